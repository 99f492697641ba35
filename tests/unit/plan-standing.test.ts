import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planRebalance, planReshard } from '../../lib/index.ts';
import { mergeReports } from '../../lib/model/view.ts';
import { nodeRef, type Plan, toPlan } from '../../lib/plan/plan.ts';
import { ownOpenSlots, type Sight, standingOf } from '../../lib/plan/standing.ts';
import { agreedView, idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

const cluster: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
];
const plan: Plan = planReshard(agreedView(cluster), { from: [idOf(1)], to: idOf(2), slots: [[0, 99]] });

/** The cluster as it is now, in which all nodes say the same. */
function sightOf(lines: readonly Line[], silent: readonly number[] = [], more: Partial<Sight> = {}): Sight {
  const view = agreedView(lines, silent);
  const members = new Set(view.nodes.map(({ id }) => id));
  const none = new Map<string, never>();
  return { view, members, strangers: none, keys: none, reached: new Set(), copying: new Set(), ...more };
}

const moved = (slots: string, rest: string): Line[] => [
  { node: 1, slots: rest },
  { node: 2, slots, epoch: 9 },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
];

const textsOf = (lines: readonly Line[], silent?: readonly number[], more?: Partial<Sight>) =>
  standingOf(plan, sightOf(lines, silent, more)).differences.map(({ field, text }) => `${field}: ${text}`);

const name = (node: number) => `127.0.0.1:${portOf(node)}`;

describe('standingOf()', () => {
  test('tells what is done and what is left, slot by slot', () => {
    const before = standingOf(plan, sightOf(cluster));
    assert.deepEqual([before.differences, before.done, before.left], [[], [], plan.steps]);
    const half = standingOf(plan, sightOf(moved('0-29 8192-16383', '30-8191')));
    assert.deepEqual(half.differences, []);
    assert.deepEqual(half.done, [{ ...plan.steps[0], slots: [[0, 29]] }]);
    assert.deepEqual(half.left, [{ ...plan.steps[0], slots: [[30, 99]] }]);
    const after = standingOf(plan, sightOf(moved('0-99 8192-16383', '100-8191')));
    assert.deepEqual([after.differences, after.done, after.left], [[], plan.steps, []]);
  });

  test('tells slots that have neither their old nor their new owner, with both', () => {
    assert.deepEqual(textsOf(moved('200-209 8192-16383', '0-199 210-8191')), [
      `slots: slots 200-209 belong to ${name(2)}, where the plan has ${name(1)}`,
    ]);
    assert.deepEqual(textsOf(moved('8192-16383', '0-8190')), [
      `slots: slots 8191 belong to nobody, where the plan has ${name(1)}`,
    ]);
  });

  test('tells roles, nodes that came in, left, give no answer or were replaced', () => {
    const swapped = cluster.map((line) => {
      if (line.node === 1) return { node: 1, flags: 'slave', master: 3 };
      return line.node === 3 ? { node: 3, slots: '0-8191' } : line;
    });
    assert.deepEqual(textsOf(swapped).slice(0, 2), [
      `role: ${name(1)} is a replica of ${name(3)} now, where the plan has a master`,
      `role: ${name(3)} is a master now, where the plan has a replica of ${name(1)}`,
    ]);
    assert.deepEqual(textsOf([...cluster, { node: 4 }]), [
      `membership: ${name(4)} (node ${idOf(4)}) is in the cluster, and not in the plan`,
    ]);
    assert.deepEqual(textsOf(cluster.slice(0, 2)), [
      `membership: ${name(3)} is not in the cluster any more, and gives no answer`,
    ]);
    assert.match(
      textsOf(cluster, [3]).join(),
      /^answer: 127\.0\.0\.1:7003 gives no answer: connect ECONNREFUSED$/,
    );
    const strangers = new Map([[idOf(3), { id: idOf(7), isFresh: true }]]);
    assert.deepEqual(textsOf(cluster.slice(0, 2), [], { strangers }), [
      `id: ${name(3)} answers as node ${idOf(7)}, where the plan has node ${idOf(3)}`,
    ]);
  });

  test('takes open slots between the two nodes of a move for its own, and no others', () => {
    const opened = (slot: number): Line[] => [
      { node: 1, slots: `0-8191 [${slot}->-${idOf(2)}]` },
      { node: 2, slots: `8192-16383 [${slot}-<-${idOf(1)}]` },
      { node: 3, flags: 'slave', master: 1, epoch: 1 },
    ];
    assert.deepEqual(textsOf(opened(5)), []);
    assert.deepEqual([...ownOpenSlots(plan, sightOf(opened(5)).view)], [5]);
    assert.deepEqual(textsOf(opened(500)), [
      `open slots: slots 500 are open on ${name(1)}, and not by this plan`,
      `open slots: slots 500 are open on ${name(2)}, and not by this plan`,
    ]);
  });

  test('lets a master that gives its last slot away become a replica of who took it', () => {
    const all = planReshard(agreedView(cluster), { from: [idOf(1)], to: idOf(2), slots: 8192 });
    const after: Line[] = [
      { node: 1, flags: 'slave', master: 2, epoch: 9 },
      { node: 2, slots: '0-16383', epoch: 9 },
      { node: 3, flags: 'slave', master: 2, epoch: 9 },
    ];
    const { differences, left } = standingOf(all, sightOf(after));
    assert.deepEqual([differences, left], [[], []]);
  });

  test('takes a node that is to join for one that is outside, alone and empty', () => {
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
    const sight = { ...sightOf(cluster), view: merged };
    const fresh = standingOf(joining, sight);
    assert.deepEqual([fresh.differences, fresh.done, fresh.left], [[], [], steps]);
    const withKeys = standingOf(joining, { ...sight, keys: new Map([[node.id, 3]]) });
    assert.deepEqual(
      withKeys.differences.map(({ text }) => text),
      [`${name(4)} holds 3 keys, and is in no cluster yet`],
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
    assert.equal(one.reasons?.[0]?.text, 'its share is 50%: 8192 slots');
  });

  test('refuse ids of nobody, and slots that nobody of the sources has', () => {
    const view = agreedView(cluster);
    for (const attempt of [
      () => planRebalance(view, { weights: { [idOf(9)]: 1 } }),
      () => planRebalance(view, { weights: { [idOf(3)]: 1 } }),
      () => planReshard(view, { from: 'all', to: idOf(3), slots: 1 }),
      () => planReshard(view, { from: [idOf(1)], to: idOf(2), slots: 9000 }),
      () => planReshard(view, { from: [idOf(1)], to: idOf(1), slots: 1 }),
    ]) {
      assert.throws(attempt, RangeError);
    }
  });
});
