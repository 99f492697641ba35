import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lateFollowers } from '../../lib/apply/follow-up.ts';
import {
  attemptLacks,
  chainedReplicas,
  deniedPromotion,
  followedBy,
  followersBelow,
  followersOf,
  promotionBar,
  promotionLoss,
  type ReplicaProgress,
  slotsOfOthers,
  topMaster,
} from '../../lib/model/promotion.ts';
import { type NodeReport, nodeById } from '../../lib/model/view.ts';
import { planDelNode, stepsToFollowUp } from '../../lib/plan/del-node.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, reportOf, viewOf } from '../helpers/views.ts';

/** 4 follows 1, which follows 3. */
const chain: readonly Line[] = [
  { node: 1, flags: 'slave', master: 3 },
  { node: 2, slots: '8192-16383' },
  { node: 3, slots: '0-8191' },
  { node: 4, flags: 'slave', master: 1 },
];
/** What 4 remembers from before: 1 is the master. */
const before: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1 },
  { node: 4, flags: 'slave', master: 1 },
];

describe('The node that a node follows', () => {
  test('is what it reports, and what most others report of one that does not answer', () => {
    const answering = viewOf({ 1: { lines: chain }, 2: { lines: before }, 3: { lines: before } });
    assert.equal(followedBy(answering, idOf(1)), idOf(3));
    const silent = viewOf({ 4: { lines: before }, 2: { lines: chain }, 3: { lines: chain } });
    assert.equal(followedBy(silent, idOf(1)), idOf(3));
    assert.equal(followedBy(silent, idOf(9)), undefined);
  });

  test('is not what its own replica alone remembers', () => {
    const view = viewOf({ 4: { lines: before }, 2: { lines: chain } });
    assert.equal(followedBy(view, idOf(1)), idOf(3));
    // If nobody else knows it, there is nothing else to believe.
    const alone = viewOf({ 4: { lines: before }, 2: { lines: chain.slice(1) } });
    assert.equal(followedBy(alone, idOf(1)), null);
  });

  test('leads to a master that follows none, or to none', () => {
    const links = fc.array(fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }), {
      minLength: 6,
      maxLength: 6,
    });
    fc.assert(
      fc.property(links, fc.integer({ min: 1, max: 6 }), (masters, from) => {
        const lines = masters.map(
          (master, index): Line =>
            master === undefined ? { node: index + 1 } : { node: index + 1, flags: 'slave', master },
        );
        const view = agreedView(lines);
        const top = topMaster(view, idOf(from));
        if (top) assert.equal(followedBy(view, top.id), null);
        else assert.notEqual(followedBy(view, idOf(from)), null);
      }),
    );
  });
});

describe('A replica of a replica', () => {
  const chainedIn = (view: Parameters<typeof chainedReplicas>[0]) =>
    chainedReplicas(view).map((one) => [one.replica.id, one.followed.id, one.master.id]);

  test('is found with the master at the end of its chain', () => {
    assert.deepEqual(chainedIn(agreedView(chain)), [[idOf(4), idOf(1), idOf(3)]]);
    assert.deepEqual(chainedIn(agreedView(before)), []);
    // What it remembers of the node that it follows does not count, if that answers.
    assert.deepEqual(chainedIn(viewOf({ 1: { lines: chain }, 3: { lines: chain }, 4: { lines: before } })), [
      [idOf(4), idOf(1), idOf(3)],
    ]);
  });

  test('is not found if one of the chain does not answer', () => {
    for (const silent of [1, 3, 4]) assert.deepEqual(chainedIn(agreedView(chain, [silent])), []);
  });

  test('is below its master, but does not follow it', () => {
    const view = agreedView(chain);
    const idsOf = (nodes: readonly { readonly id: string }[]) => nodes.map(({ id }) => id);
    assert.deepEqual(idsOf(followersOf(view, idOf(3))), [idOf(1)]);
    assert.deepEqual(idsOf(followersBelow(view, idOf(3))), [idOf(1), idOf(4)]);
  });

  test('gets a master of its own when that leaves', () => {
    const leaver = nodeById(agreedView(chain), idOf(3));
    assert.ok(leaver);
    const { steps } = planDelNode(agreedView(chain), leaver);
    assert.deepEqual(
      steps.flatMap((step) => (step.type === 'replicate' ? [[step.replica.id, step.master.id]] : [])),
      [
        [idOf(1), idOf(2)],
        [idOf(4), idOf(2)],
      ],
    );
  });
});

describe('A replica', () => {
  test('that has not heard of a failover would take slots that another serves', () => {
    const taken = (view: Parameters<typeof slotsOfOthers>[0]) =>
      [...slotsOfOthers(view, idOf(4), idOf(1))].map(([id, { length }]) => [id, length]);
    // 1 is dead, and 3 has its slots.
    const since = chain.map((line): Line => {
      if (line.node === 1) return { node: 1, epoch: 1, flags: 'master,fail', link: 'disconnected' };
      return line.node === 4 ? { ...line, epoch: 1 } : line;
    });
    assert.deepEqual(taken(viewOf({ 2: { lines: since }, 3: { lines: since }, 4: { lines: before } })), [
      [idOf(3), 8192],
    ]);
    assert.deepEqual(taken(viewOf({ 2: { lines: since }, 3: { lines: since }, 4: { lines: since } })), []);
    assert.deepEqual(taken(agreedView(before, [1])), []);
    // Another that took them, and is dead by now, keeps them from nobody.
    const gone = since.map((line) =>
      line.node === 3 ? { ...line, flags: 'master,fail', link: 'disconnected' } : line,
    );
    assert.deepEqual(taken(viewOf({ 2: { lines: gone }, 4: { lines: before } })), []);
  });

  const barOf = (view: Parameters<typeof promotionBar>[0], master: number) =>
    promotionBar(view, idOf(master))?.kind;

  test('cannot replace a replica, nor a master without slots', () => {
    assert.equal(barOf(agreedView(chain), 1), 'replica-of-replica');
    assert.equal(barOf(agreedView(chain, [1]), 1), 'replica-of-replica');
    assert.equal(
      barOf(agreedView([...chain.slice(1, 3), { node: 5 }, { node: 6, flags: 'slave', master: 5 }]), 5),
      'no-slots',
    );
    assert.equal(barOf(agreedView(before), 1), undefined);
  });

  test('cannot replace a master whose slots another owns by now, though it remembers them', () => {
    const deposed = chain.map((line) => (line.node === 1 ? { node: 1, epoch: 1 } : line));
    assert.equal(
      barOf(viewOf({ 4: { lines: before }, 2: { lines: deposed }, 3: { lines: deposed } }), 1),
      'no-slots',
    );
  });

  test('replaces a master whose slots only it remembers', () => {
    const others = before.filter(({ node }) => node !== 1);
    assert.equal(barOf(viewOf({ 4: { lines: before }, 2: { lines: others } }), 1), undefined);
  });
});

describe('A promotion', () => {
  const [master, other] = [1, 2];
  const denied = (byMaster: readonly Line[] | undefined, byOther: readonly Line[]) =>
    deniedPromotion(idOf(3), { former: byMaster && reportOf(master, { lines: byMaster }), hasSlots: true }, [
      reportOf(other, { lines: byOther }),
    ]).map(({ myself }) => myself.id);

  test('is done when the former master and others say so', () => {
    assert.deepEqual(denied(chain, chain), []);
    assert.deepEqual(denied(undefined, chain), []);
    assert.deepEqual(denied(before, chain), [idOf(master)]);
    assert.deepEqual(denied(chain, before), [idOf(other)]);
    assert.deepEqual(denied(before, before), [idOf(master), idOf(other)]);
  });

  test('needs no slots if the master had none', () => {
    const empty = [{ node: 1, flags: 'master,fail' }, { node: 2, slots: '0-16383' }, { node: 3 }] as const;
    const by = (hasSlots: boolean) =>
      deniedPromotion(idOf(3), { former: undefined, hasSlots }, [reportOf(other, { lines: empty })]).length;
    assert.deepEqual([by(false), by(true)], [0, 1]);
  });

  test('is not done while others know a newer owner of the slots', () => {
    const kept = before.map((line) => (line.node === 3 ? { node: 3 } : line));
    assert.deepEqual(denied(kept, kept), [idOf(master), idOf(other)]);
  });
});

describe('A promotion without the master', () => {
  const at = (id: number, fields: Partial<ReplicaProgress>): ReplicaProgress => ({
    id: idOf(id),
    keys: 10,
    offset: 100,
    replicationId: 'a',
    wasLinked: true,
    ...fields,
  });

  test('loses nothing if no other replica has received more', () => {
    assert.equal(promotionLoss(at(3, {}), []), undefined);
    assert.equal(promotionLoss(at(3, {}), [at(4, {}), at(5, { offset: 99 })]), undefined);
    // Its data was read from disk.
    assert.equal(promotionLoss(at(3, { wasLinked: false }), []), undefined);
    assert.equal(promotionLoss(at(3, { keys: 0 }), []), undefined);
    // Offsets of another stream say nothing.
    assert.equal(promotionLoss(at(3, {}), [at(4, { offset: 900, replicationId: 'b' })]), undefined);
  });

  test('loses what another has received', () => {
    const ahead = at(4, { offset: 130 });
    assert.deepEqual(promotionLoss(at(3, {}), [at(5, { offset: 110 }), ahead]), { ahead, bytes: 30 });
  });

  test('loses everything if it never copied its master', () => {
    const empty = at(3, { keys: 0, offset: 0, replicationId: 'c', wasLinked: false });
    assert.equal(promotionLoss(empty, []), 'empty');
    assert.equal(promotionLoss(empty, [at(4, { keys: 0, replicationId: 'd', wasLinked: false })]), 'empty');
    assert.deepEqual(promotionLoss(empty, [at(4, {})]), { ahead: at(4, {}), bytes: 100 });
  });

  test('names one that itself may be promoted', () => {
    const progress = fc.record({
      keys: fc.nat(3),
      offset: fc.nat(3),
      replicationId: fc.constantFrom('a', 'b'),
      wasLinked: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(progress, { minLength: 1, maxLength: 5 }), (list) => {
        const all = list.map((fields, index) => at(index + 1, fields));
        // The advice is followed until it ends: never in a circle.
        for (let at = all[0], steps = 0; at; steps++) {
          assert.ok(steps <= 2, 'a chain of advice of at most three');
          const loss = promotionLoss(
            at,
            all.filter((one) => one !== at),
          );
          if (loss === undefined || loss === 'empty') break;
          at = loss.ahead;
        }
      }),
    );
  });
});

test('Nodes that follow a replica that leaves follow its master', () => {
  const view = agreedView(chain);
  const leaver = nodeById(view, idOf(1));
  assert.ok(leaver);
  const expected = [[idOf(4), idOf(3)]];
  const pairs = stepsToFollowUp(view, leaver).map(({ replica, master }) => [replica.id, master.id]);
  assert.deepEqual(pairs, expected);
  assert.deepEqual(
    planDelNode(view, leaver).steps.map(({ type }) => type),
    ['replicate', 'forget', 'reset'],
  );
  const last = nodeById(view, idOf(4));
  assert.deepEqual(last && stepsToFollowUp(view, last), []);
});

test('Nodes that have not found the new master are told, but no master that has slots', () => {
  const replicas = [1, 4, 5].map((id) => ({ id: idOf(id), masterId: idOf(3) }));
  const lateIn = (own: readonly Line[]) =>
    lateFollowers(
      replicas,
      new Map<string, NodeReport | Error>([
        [idOf(1), reportOf(1, { lines: own })],
        [idOf(4), reportOf(4, { lines: own })],
        [idOf(5), new Error('no answer')],
      ]),
    ).map(({ id }) => id);
  assert.deepEqual(lateIn(chain), [idOf(4)]);
  // They do not know it for a master yet.
  assert.deepEqual(lateIn(before), []);
  const stepping = chain.map((line) => (line.node === 1 ? { node: 1, slots: '0' } : line));
  assert.deepEqual(lateIn(stepping), [idOf(4)]);
  const empty = chain.map((line) => (line.node === 1 ? { node: 1 } : line));
  assert.deepEqual(lateIn(empty), [idOf(1), idOf(4)]);
});

test('attemptLacks() tells a stream that was not applied from votes that were not given', () => {
  const lacks = (applied: number, written: number, before: number, now: number, isOneStream = true) =>
    attemptLacks({ applied, written, isOneStream, epochs: [before, now] });
  assert.equal(lacks(13, 344, 4, 4), 'behind');
  // Another election may have raised the epoch.
  assert.equal(lacks(13, 344, 4, 5), 'behind');
  assert.equal(lacks(345, 344, 4, 4), 'ahead');
  // Of a master that was started again, the replica still has the count of before.
  assert.equal(lacks(345, 344, 4, 4, false), undefined);
  assert.equal(lacks(344, 344, 4, 5), 'votes');
  assert.equal(lacks(344, 344, 4, 4), undefined);
});
