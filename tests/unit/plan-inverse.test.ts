import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inversePlan, type Plan, type PlannedNode, parsePlan, type Step } from '../../lib/index.ts';
import { expandSlots, SLOT_COUNT, toRanges } from '../../lib/model/slot.ts';
import { planCreate } from '../../lib/plan/create.ts';
import { planGiveAway } from '../../lib/plan/give-away.ts';
import { type Draft, nodeRef, toPlan } from '../../lib/plan/plan.ts';
import { advance, nodesAfter, projectionOf } from '../../lib/plan/projection.ts';
import { draftRebalance } from '../../lib/plan/rebalance.ts';
import { draftReshard } from '../../lib/plan/reshard.ts';
import { fc } from '../helpers/properties.ts';
import { ownersIn, recordOf } from '../helpers/slot-plans.ts';

/** All slots distributed to so many masters by a seed, unevenly and in pieces. */
function scattered(masters: number, seed: number) {
  let state = seed >>> 0 || 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const held: number[][] = Array.from({ length: masters }, () => []);
  for (let slot = 0, owner = 0; slot < SLOT_COUNT; slot++) {
    if (random() < 0.1) owner = Math.floor(random() ** 2 * masters);
    held[slot < masters ? slot : owner]?.push(slot);
  }
  return held.map((slots, node) => recordOf(node, toRanges(slots)));
}

/** A plan of moves for a cluster of some masters, and the records it was made from. */
const movePlans = fc
  .tuple(
    fc.oneof(fc.integer({ min: 2, max: 12 }), fc.integer({ min: 2, max: 1000 })),
    fc.nat(),
    fc.constantFrom('rebalance', 'reshard', 'drain'),
  )
  .map(([masters, seed, operation]) => {
    const nodes = scattered(masters, seed);
    const [first, ...others] = nodes;
    assert.ok(first);
    const planned =
      operation === 'rebalance'
        ? draftRebalance({ masters: nodes.map((node) => ({ node, weight: 1 + (seed % 3) })), threshold: 0 })
        : operation === 'drain'
          ? planGiveAway(first, others)
          : draftReshard({ sources: others, target: first, slots: 1 + (seed % others.length) });
    const steps = 'refusal' in planned ? [] : 'steps' in planned ? planned.steps : planned;
    const members = nodes.map(nodeRef);
    const owners = steps.map(({ target, slots }) => ({ id: target.id, slots }));
    const draft: Draft = { operation, steps, masters: members, expect: { members, owners } };
    return { nodes, plan: toPlan(draft, nodes) };
  });

/** Owners and roles as text, equal for equal states. */
function stateOf(nodes: readonly PlannedNode[]): string {
  const { owners, masters } = projectionOf(nodes);
  return JSON.stringify([owners, [...masters].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function planWith(steps: readonly Step[], before: readonly PlannedNode[]): Plan {
  return { version: 1, operation: 'test', steps, masters: before.map(nodeOf), before };
}

const nodeOf = ({ id, address }: PlannedNode) => ({ id, address });
const refOf = (node: number) => nodeRef(recordOf(node, []));
const master = (node: number, slots: readonly (readonly [number, number])[]): PlannedNode => ({
  ...refOf(node),
  role: 'master',
  configEpoch: node,
  slots,
});
const replica = (node: number, of: number): PlannedNode => ({
  ...refOf(node),
  role: 'replica',
  masterId: refOf(of).id,
  configEpoch: of,
  slots: [],
});

describe('inversePlan()', () => {
  test('undoes every plan of moves, for 2 to 1000 masters: owners and roles are as before', () => {
    fc.assert(
      fc.property(movePlans, ({ plan }) => {
        const inverse = inversePlan(plan);
        assert.equal(stateOf(inverse.before), stateOf(nodesAfter(plan)));
        assert.equal(stateOf(nodesAfter(inverse)), stateOf(plan.before));
        const again = inversePlan(inverse);
        assert.equal(stateOf(nodesAfter(again)), stateOf(nodesAfter(plan)));
      }),
      { numRuns: 40 },
    );
  });

  test('loses no slot and gives none twice, on the way there and back', () => {
    fc.assert(
      fc.property(movePlans, ({ nodes, plan }) => {
        assert.equal(ownersIn(nodes).filter((owner) => owner === undefined).length, 0);
        for (const one of [plan, inversePlan(plan)]) {
          const after = nodesAfter(one);
          assert.equal(
            after.reduce((sum, { slots }) => sum + expandSlots(slots).length, 0),
            SLOT_COUNT,
          );
          assert.equal(new Set(after.flatMap(({ slots }) => expandSlots(slots))).size, SLOT_COUNT);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('moves only slots that the plan moved, each once and from its current owner', () => {
    fc.assert(
      fc.property(movePlans, ({ plan }) => {
        const inverse = inversePlan(plan);
        const moved = (one: Plan) =>
          one.steps.flatMap((step) => ('slots' in step ? expandSlots(step.slots) : []));
        assert.deepEqual(
          moved(inverse).sort((a, b) => a - b),
          moved(plan).sort((a, b) => a - b),
        );
        const projection = projectionOf(inverse.before);
        for (const step of inverse.steps) {
          assert.ok(step.type === 'move-slots');
          for (const slot of expandSlots(step.slots)) assert.equal(projection.owners[slot], step.source.id);
          assert.equal(advance(projection, step).length, expandSlots(step.slots).length);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('is the same for the same plan, and survives JSON, as plans do', () => {
    fc.assert(
      fc.property(movePlans, ({ plan }) => {
        assert.deepEqual(parsePlan(JSON.stringify(plan)), plan);
        const inverse = inversePlan(plan);
        assert.deepEqual(inversePlan(parsePlan(JSON.stringify(plan))), inverse);
        assert.deepEqual(parsePlan(JSON.stringify(inverse)), inverse);
      }),
      { numRuns: 20 },
    );
  });

  test('dissolves a new cluster, replicas first, and resets each node once', () => {
    const nodes = [0, 1, 2, 3].map((node) => recordOf(node, []));
    const { draft } = planCreate(nodes.map(nodeRef), { replicas: 1, zones: new Map(), maxSlots: SLOT_COUNT });
    const plan = toPlan(draft, nodes);
    const { steps, expect, before } = inversePlan(plan);
    assert.deepEqual(
      steps.map((step) => [step.type, step.type === 'reset' && step.node.address]),
      [2 + 1, 2, 0, 1].map((node) => ['reset', refOf(node).address]),
    );
    assert.equal(expect, undefined, 'no node is left to ask');
    assert.deepEqual(nodesAfter({ before, steps }), []);
  });

  test('moves slots back before a node that joined is forgotten and reset', () => {
    const before = [master(0, [[0, 9]]), master(1, [])];
    const [a, b] = [refOf(0), refOf(1)];
    const plan = planWith(
      [
        { type: 'meet', nodes: [b], to: [a], serving: true },
        { type: 'move-slots', source: a, target: b, slots: [[0, 4]] },
      ],
      before,
    );
    assert.deepEqual(inversePlan({ ...plan, expect: { members: [a, b] } }).steps, [
      { type: 'move-slots', source: b, target: a, slots: [[0, 4]] },
      { type: 'forget', node: b, by: [a] },
      { type: 'reset', node: b },
    ]);
  });

  test('gives a replica back to its former master, and a former master its role', () => {
    const before = [master(0, [[0, 9]]), master(1, [[10, 19]]), replica(2, 0), replica(3, 0)];
    const [a, b, c] = [refOf(0), refOf(1), refOf(2)];
    for (const step of [
      { type: 'replicate', replica: c, master: b },
      { type: 'failover', replica: c, master: a, mode: 'graceful' },
    ] as const) {
      const plan = planWith([step], before);
      const inverse = inversePlan(plan);
      assert.notEqual(stateOf(nodesAfter(plan)), stateOf(before));
      assert.equal(stateOf(nodesAfter(inverse)), stateOf(before), step.type);
      assert.ok(
        inverse.masters.every(({ id }) => inverse.before.find((node) => node.id === id)?.role === 'master'),
      );
    }
  });

  test('refuses what cannot be undone, and names the node', () => {
    const before = [master(0, [[0, 9]]), master(1, []), replica(2, 0)];
    const [a, b, c] = [refOf(0), refOf(1), refOf(2)];
    const steps: [Step, address: string][] = [
      [{ type: 'reset', node: b }, b.address],
      [{ type: 'forget', node: b, by: [a] }, b.address],
      [{ type: 'take-slots', node: b, slots: [[0, 9]], from: [a] }, b.address],
      [{ type: 'close-slots', node: a, slots: [[3, 3]], owner: a }, a.address],
      [{ type: 'replicate', replica: b, master: a }, b.address],
    ];
    for (const [step, address] of steps) {
      assert.throws(
        () => inversePlan(planWith([{ type: 'replicate', replica: c, master: a }, step], before)),
        { name: 'ClusterError', code: 'NOT_REVERSIBLE', address },
        step.type,
      );
    }
  });
});
