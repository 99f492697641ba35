import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { countSlots, type NodeRecord } from '../../lib/model/node.ts';
import { createShares, formatRanges, SLOT_COUNT } from '../../lib/model/slot.ts';
import { type EnsurePlan, type EnsureScene, planEnsure } from '../../lib/plan/ensure.ts';
import { type Plan, toPlan } from '../../lib/plan/plan.ts';
import { nodesAfter } from '../../lib/plan/projection.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, reportOf } from '../helpers/views.ts';

/** A cluster with these lines, and new nodes. */
function sceneOf(
  lines: readonly Line[],
  fresh: readonly number[] = [],
  scene: Partial<EnsureScene> = {},
): EnsureScene {
  const newcomers = fresh.map((node): NodeRecord => reportOf(node, { lines: [{ node, epoch: 0 }] }).myself);
  const named = new Set([...lines.map(({ node }) => node), ...fresh].map(idOf));
  return { view: agreedView(lines), newcomers, named, copying: new Set(), ...scene };
}

const wanted = (masters: number, replicas = 0) => ({ masters, replicas, zones: new Map<string, string>() });
const planOf = (scene: EnsureScene, { draft }: EnsurePlan): Plan =>
  toPlan(draft, [...scene.view.nodes, ...scene.newcomers]);
const typesOf = ({ draft }: EnsurePlan): string[] => draft.steps.map(({ type }) => type);

/** Masters with equal shares, numbered from 1. */
const masters = (count: number): Line[] =>
  createShares(count).map((range, index) => ({ node: index + 1, slots: formatRanges([range]) }));
const replica = (node: number, master: number): Line => ({ node, flags: 'slave', master, epoch: master });

describe('planEnsure()', () => {
  test('does nothing if it is the cluster that is wanted, or has more replicas', () => {
    const lines = [...masters(3), replica(4, 1), replica(5, 2), replica(6, 3), replica(7, 3)];
    for (const replicas of [0, 1])
      assert.deepEqual(planEnsure(sceneOf(lines), wanted(3, replicas)).draft.steps, []);
  });

  test('leaves shares that somebody chose as they are', () => {
    // The receiver of a move has the newest epoch.
    const lines: Line[] = [
      { node: 1, epoch: 1, slots: '0-99' },
      { node: 2, epoch: 9, slots: '100-10922' },
      { node: 3, epoch: 3, slots: '10923-16383' },
    ];
    assert.deepEqual(planEnsure(sceneOf(lines), wanted(3)).draft.steps, []);
  });

  test('finishes a growth that was cut short', () => {
    const lines: Line[] = [
      { node: 1, epoch: 1, slots: '100-8191' },
      { node: 2, epoch: 2, slots: '8192-16383' },
      { node: 3, epoch: 3, slots: '0-99' },
    ];
    const scene = sceneOf(lines);
    const plan = planEnsure(scene, wanted(3));
    assert.deepEqual([...new Set(typesOf(plan))], ['move-slots']);
    for (const node of nodesAfter(planOf(scene, plan))) assert.ok(Math.abs(countSlots(node) - 5461) <= 1);
  });

  test('makes a master of one that has a replica already', () => {
    const lines = [...masters(2), { node: 3 }, { node: 4 }, replica(5, 4)];
    const plan = planEnsure(sceneOf(lines), wanted(3));
    assert.deepEqual(
      plan.masters.map(({ id }) => id),
      [idOf(4)],
    );
  });

  test('takes a replica from a master that has more than wanted, if none is free', () => {
    const lines = [...masters(2), replica(3, 1), replica(4, 1)];
    const { replicas } = planEnsure(sceneOf(lines), wanted(2, 1));
    assert.deepEqual(
      replicas.map(({ replica: one, master }) => [one.id, master.id]),
      [[idOf(3), idOf(2)]],
    );
  });

  test('waits for replicas that are still copying', () => {
    const lines = [...masters(2), replica(3, 1), replica(4, 2)];
    const plan = planEnsure(sceneOf(lines, [], { copying: new Set([idOf(4)]) }), wanted(2, 1));
    assert.deepEqual([typesOf(plan), plan.replicas], [['replicate'], []]);
  });

  test('gives its master to a replica that follows another', () => {
    const lines = [...masters(2), replica(3, 1), replica(4, 3), replica(5, 2), replica(6, 2)];
    for (const replicas of [0, 2]) {
      const plan = planEnsure(sceneOf(lines), wanted(2, replicas));
      assert.deepEqual(
        plan.draft.steps.map((step) =>
          step.type === 'replicate' ? [step.replica.id, step.master.id] : step,
        ),
        [[idOf(4), idOf(1)]],
      );
    }
  });

  test('leaves members alone that were not named and are not needed', () => {
    const scene = sceneOf([...masters(2), { node: 3 }], [], { named: new Set([idOf(1)]) });
    assert.deepEqual(planEnsure(scene, wanted(2)).draft.steps, []);
    assert.equal(planEnsure(scene, wanted(3)).masters[0]?.id, idOf(3));
  });

  test('refuses fewer masters than own slots, and too few nodes', () => {
    const lines = [...masters(3), replica(4, 1), replica(5, 1)];
    for (const [scene, request] of [
      [sceneOf(lines), wanted(2)],
      [sceneOf(lines), wanted(3, 1)],
      // A replica is not made a master.
      [sceneOf(lines), wanted(5)],
      [sceneOf(lines, [6]), wanted(4, 1)],
    ] as const)
      assert.throws(() => planEnsure(scene, request), { code: 'INVALID_ARGUMENT' });
  });

  const growth = fc.record({
    owners: fc.integer({ min: 1, max: 5 }),
    more: fc.integer({ min: 0, max: 3 }),
    replicas: fc.integer({ min: 0, max: 2 }),
    spare: fc.integer({ min: 0, max: 3 }),
    attached: fc.array(fc.nat(20), { maxLength: 6 }),
    idle: fc.nat(3),
  });

  test('ends with the cluster that is wanted, keeps every owner, and does nothing the next time', () => {
    fc.assert(
      fc.property(growth, ({ owners, more, replicas, spare, attached, idle }) => {
        let next = owners + 1;
        const lines = [
          ...masters(owners),
          ...attached.map((master) => replica(next++, (master % owners) + 1)),
          ...Array.from({ length: idle }, () => ({ node: next++, epoch: 0 })),
        ];
        const all = owners + more;
        const fresh = Array.from({ length: more + all * replicas + spare }, () => next++);
        const scene = sceneOf(lines, fresh);
        const plan = planEnsure(scene, wanted(all, replicas));
        const after = nodesAfter(planOf(scene, plan));
        const holders = after.filter(({ slots }) => slots.length > 0);
        assert.equal(holders.length, all);
        for (let owner = 1; owner <= owners; owner++) assert.ok(holders.some(({ id }) => id === idOf(owner)));
        for (const { id } of holders)
          assert.ok(after.filter(({ masterId }) => masterId === id).length >= replicas);
        // Every node has a role.
        assert.ok(after.every(({ role, slots }) => role === 'replica' || slots.length > 0));
        if (more > 0)
          for (const holder of holders) assert.ok(Math.abs(countSlots(holder) - SLOT_COUNT / all) < 1);
        const grown = after.map((node): Line => {
          const number = Number.parseInt(node.id, 16);
          return node.role === 'replica'
            ? replica(number, Number.parseInt(node.masterId ?? '', 16))
            : { node: number, slots: formatRanges(node.slots) };
        });
        assert.deepEqual(planEnsure(sceneOf(grown), wanted(all, replicas)).draft.steps, []);
      }),
      { numRuns: 60 },
    );
  });
});
