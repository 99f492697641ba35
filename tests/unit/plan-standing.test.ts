import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planRebalance, planReshard } from '../../lib/index.ts';
import { mergeReports } from '../../lib/model/view.ts';
import { nodeRef, type Plan, toPlan } from '../../lib/plan/plan.ts';
import { ownOpenSlots } from '../../lib/plan/plan-differences.ts';
import type { PlanView } from '../../lib/plan/plan-view.ts';
import { standingOf } from '../../lib/plan/standing.ts';
import { agreedView, idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

const cluster: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
];
const plan: Plan = planReshard(agreedView(cluster), { from: [idOf(1)], to: idOf(2), slots: [[0, 99]] });

/** The cluster as it is now, with all nodes in agreement. */
function sightOf(
  lines: readonly Line[],
  silent: readonly number[] = [],
  more: Partial<PlanView> = {},
): PlanView {
  const view = agreedView(lines, silent);
  const members = new Set(view.nodes.map(({ id }) => id));
  const none = new Map<string, never>();
  return { view, members, otherIds: none, keys: none, reached: new Set(), copying: new Set(), ...more };
}

const moved = (slots: string, rest: string): Line[] => [
  { node: 1, slots: rest },
  { node: 2, slots, epoch: 9 },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
];

/** The field and the node of each difference. */
const differences = (lines: readonly Line[], silent?: readonly number[], more?: Partial<PlanView>) =>
  standingOf(plan, sightOf(lines, silent, more)).differences.map(({ field, node }) => `${field}: ${node}`);

const name = (node: number) => `127.0.0.1:${portOf(node)}`;

describe('standingOf()', () => {
  test('reports what is done and what is left, slot by slot', () => {
    const before = standingOf(plan, sightOf(cluster));
    assert.deepEqual([before.differences, before.done, before.left], [[], [], plan.steps]);
    const half = standingOf(plan, sightOf(moved('0-29 8192-16383', '30-8191')));
    assert.deepEqual(half.differences, []);
    assert.deepEqual(half.done, [{ ...plan.steps[0], slots: [[0, 29]] }]);
    assert.deepEqual(half.left, [{ ...plan.steps[0], slots: [[30, 99]] }]);
    const after = standingOf(plan, sightOf(moved('0-99 8192-16383', '100-8191')));
    assert.deepEqual([after.differences, after.done, after.left], [[], plan.steps, []]);
  });

  test('does not say of a part what was counted in the whole', () => {
    const content = { keys: 184, bytes: 94_000, bigKeys: [] };
    const steps = plan.steps.map((step) => ({ ...step, content }));
    const half = standingOf({ ...plan, steps } as Plan, sightOf(moved('0-29 8192-16383', '30-8191')));
    for (const step of [...half.done, ...half.left]) assert.ok(!('content' in step));
    const before = standingOf({ ...plan, steps } as Plan, sightOf(cluster));
    assert.deepEqual(before.left, steps);
  });

  test('finds no difference in a replica of a replica that has found its master', () => {
    const chain = (master: number): Line[] => [
      { node: 1, slots: '0-8191' },
      { node: 2, slots: '8192-16383' },
      { node: 3, flags: 'slave', master: 1, epoch: 1 },
      { node: 4, flags: 'slave', master, epoch: 1 },
    ];
    const { nodes } = agreedView(chain(3));
    const [one, , three] = nodes.map(nodeRef);
    assert.ok(one && three);
    const steps = [{ type: 'failover' as const, replica: three, master: one, mode: 'graceful' as const }];
    const failing = toPlan({ operation: 'failover', masters: [], steps }, nodes);
    const found = (lines: readonly Line[]) =>
      standingOf(failing, sightOf(lines)).differences.map(({ node }) => node);
    assert.deepEqual(
      [1, 3].map((master) => found(chain(master))),
      [[], []],
    );
    assert.deepEqual(found(chain(2)), [name(4)]);
  });

  test('reports slots that have neither their old nor their new owner, with both nodes', () => {
    const other = standingOf(plan, sightOf(moved('200-209 8192-16383', '0-199 210-8191'))).differences;
    assert.deepEqual(
      other.map(({ field, node }) => [field, node]),
      [['slots', name(2)]],
    );
    for (const word of ['200-209', name(1), name(2)])
      assert.ok(other[0]?.text.includes(word), other[0]?.text);
    assert.deepEqual(differences(moved('8192-16383', '0-8190')), [`slots: ${name(1)}`]);
  });

  test('reports changed roles, and nodes that joined, left, do not answer or were replaced', () => {
    const swapped = cluster.map((line) => {
      if (line.node === 1) return { node: 1, flags: 'slave', master: 3 };
      return line.node === 3 ? { node: 3, slots: '0-8191' } : line;
    });
    assert.deepEqual(differences(swapped).slice(0, 2), [`role: ${name(1)}`, `role: ${name(3)}`]);
    assert.deepEqual(differences([...cluster, { node: 4 }]), [`membership: ${name(4)}`]);
    assert.deepEqual(differences(cluster.slice(0, 2)), [`membership: ${name(3)}`]);
    assert.deepEqual(differences(cluster, [3]), [`answer: ${name(3)}`]);
    const otherIds = new Map([[idOf(3), { id: idOf(7), isFresh: true }]]);
    assert.deepEqual(differences(cluster.slice(0, 2), [], { otherIds }), [`id: ${name(3)}`]);
  });

  test('accepts open slots only between the two nodes of a move', () => {
    const opened = (slot: number): Line[] => [
      { node: 1, slots: `0-8191 [${slot}->-${idOf(2)}]` },
      { node: 2, slots: `8192-16383 [${slot}-<-${idOf(1)}]` },
      { node: 3, flags: 'slave', master: 1, epoch: 1 },
    ];
    assert.deepEqual(differences(opened(5)), []);
    assert.deepEqual([...ownOpenSlots(plan, sightOf(opened(5)).view)], [5]);
    assert.deepEqual(differences(opened(500)), [`open slots: ${name(1)}`, `open slots: ${name(2)}`]);
  });

  test('accepts that a master becomes a replica of the node that took its last slot', () => {
    const all = planReshard(agreedView(cluster), { from: [idOf(1)], to: idOf(2), slots: 8192 });
    const after: Line[] = [
      { node: 1, flags: 'slave', master: 2, epoch: 9 },
      { node: 2, slots: '0-16383', epoch: 9 },
      { node: 3, flags: 'slave', master: 2, epoch: 9 },
    ];
    const standing = standingOf(all, sightOf(after));
    assert.deepEqual([standing.differences, standing.left], [[], []]);
  });

  test('expects a node that is to join to be outside, alone and empty', () => {
    const view = agreedView(cluster);
    const alone = reportOf(4, { lines: [{ node: 4 }], state: 'fail' });
    const members = view.nodes.map(nodeRef);
    const node = nodeRef(alone.myself);
    const steps = [{ type: 'meet' as const, nodes: [node], to: members, serving: true }];
    const joining = toPlan({ operation: 'join', steps, masters: members.slice(0, 2) }, [
      ...view.nodes,
      alone.myself,
    ]);
    const reports = new Map([...view.reports, [node.id, alone]]);
    const merged = mergeReports(view.seed, view.seedId, reports, view.unreachable);
    const seen = { ...sightOf(cluster), view: merged };
    const fresh = standingOf(joining, seen);
    assert.deepEqual([fresh.differences, fresh.done, fresh.left], [[], [], steps]);
    const withKeys = standingOf(joining, { ...seen, keys: new Map([[node.id, 3]]) });
    assert.deepEqual(
      withKeys.differences.map(({ field, node }) => [field, node]),
      [['keys', name(4)]],
    );
    const inside = [...cluster, { node: 4 }];
    const joined = standingOf(joining, sightOf(inside));
    assert.deepEqual([joined.differences, joined.done, joined.left], [[], steps, []]);
  });
});

describe('planRebalance() and planReshard() of a view', () => {
  test('give a whole plan, the same for the same view', () => {
    const view = agreedView([{ node: 1, slots: '0-16383' }, { node: 2 }]);
    const one = planRebalance(view, { useEmptyMasters: true });
    assert.deepEqual(one, planRebalance(view, { useEmptyMasters: true }));
    assert.deepEqual(one.steps, [
      {
        type: 'move-slots',
        source: nodeRef(view.nodes[0] as never),
        target: nodeRef(view.nodes[1] as never),
        slots: [[0, 8191]],
      },
    ]);
    assert.deepEqual(planRebalance(view).steps, []);
    assert.equal(one.reasons?.[0]?.id, idOf(1));
  });

  test('refuse unknown ids, and slots that none of the sources has', () => {
    const view = agreedView(cluster);
    for (const [code, attempt] of [
      ['INVALID_ARGUMENT', () => planRebalance(view, { weights: { [idOf(9)]: 1 } })],
      ['INVALID_ARGUMENT', () => planRebalance(view, { weights: { [idOf(3)]: 1 } })],
      ['INVALID_ARGUMENT', () => planReshard(view, { from: 'all', to: idOf(3), slots: 1 })],
      ['SLOTS_NOT_HELD', () => planReshard(view, { from: [idOf(1)], to: idOf(2), slots: 9000 })],
      ['SAME_NODE', () => planReshard(view, { from: [idOf(1)], to: idOf(1), slots: 1 })],
    ] as const) {
      assert.throws(attempt, { code });
    }
  });
});
