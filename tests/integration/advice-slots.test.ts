// What is advised about slots and plans, followed to the letter.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  applyPlan,
  check,
  failover,
  fixMigrating,
  joinNoLoad,
  listMasters,
  migrateSlots,
  parsePlan,
  rebalance,
  replicate,
  reshard,
} from '../../lib/index.ts';
import { movePlanned } from '../../lib/operations/move-planned.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertFindings,
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  seenBy,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
import { disown, strand } from '../helpers/misplaced.ts';

let bed: Bed;
let nodes: ServerNode[];
let first: ServerNode;
let second: ServerNode;
let spare: ServerNode;
let other: ServerNode;
before(async () => {
  bed = await openBed();
  nodes = await startMasters(bed, 2, 2);
  [first, second, spare, other] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
});
after(() => bed.close());

/** Opens a slot of the first master for a move to the second. */
async function open(slot: number): Promise<void> {
  await tell(second, ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', await idOfNode(first)]);
  await tell(first, ['CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', await idOfNode(second)]);
}

describe('Advice', { concurrency: true }, () => {
  describe('about slots', { concurrency: 1 }, () => {
    it('for a node that is in no cluster: to add it, and the same call moves them', async () => {
      const again = () => migrateSlots(first.address, spare.address, [0]);
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'NOT_SAME_CLUSTER');
      await follow(adviceFor(next, 'join-no-load'), { nodes });
      await again();
      assert.equal((await seenBy(second))[spare.address], '0');
    });

    it('that no source has: all masters are sources', async () => {
      const again = (options: object) =>
        reshard(first.address, { from: [second.address], to: spare.address, slots: [[0, 1]], ...options });
      const { code, next } = await refusalOf(again({}));
      assert.equal(code, 'SLOTS_NOT_HELD');
      await follow(adviceFor(next, 'retry'), { nodes, again });
      assert.equal((await seenBy(first))[spare.address], '0-1');
    });

    it('that moved after they were chosen: to choose again', async () => {
      let slot = 8192;
      const again = async () => {
        const { nodes: masters } = await listMasters(first.address);
        const [sourceId = '', targetId = ''] = [first, second].map(
          ({ port }) => masters.find((one) => one.port === port)?.nodeId,
        );
        return movePlanned(first.address, 'reshard', [{ sourceId, targetId, slots: [slot] }]);
      };
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'SLOTS_NOT_HELD');
      slot = 5;
      await follow(adviceFor(next, 'retry'), { nodes, again });
      await migrateSlots(second.address, first.address, [5]);
    });

    it('that another tool opens while others are repaired: the same call', async () => {
      await open(7);
      const approve = () => open(8).then(() => true);
      const { code, openSlots, next } = await refusalOf(fixMigrating(first.address, { approve }));
      assert.deepEqual([code, openSlots], ['OPEN_SLOT', [8]]);
      const again = () => fixMigrating(first.address);
      await follow(adviceFor(next, 'retry', 'moves-done'), { nodes, again });
      assert.deepEqual(await openSlotsAt(nodes), []);
      await migrateSlots(second.address, first.address, [7, 8]);
    });

    it('in a plan that no longer fits, or is none: to make it again', async () => {
      const planOf = async () =>
        (await migrateSlots(first.address, second.address, [[10, 11]], { dryRun: true })).plan;
      const stale = await planOf();
      await migrateSlots(first.address, spare.address, [10]);
      const errors = [
        await refusalOf(applyPlan(first.address, stale)),
        await refusalOf(Promise.resolve('{}').then(parsePlan)),
      ];
      assert.deepEqual(
        errors.map(({ code, next }) => [code, next]),
        ['PLAN_STALE', 'PLAN_INVALID'].map((code) => [code, [{ do: 'plan' }]]),
      );
      await migrateSlots(spare.address, first.address, [10]);
      const plan = async () => applyPlan(first.address, parsePlan(JSON.stringify(await planOf())));
      await follow(adviceFor(errors[0]?.next, 'plan'), { nodes, plan });
      await migrateSlots(second.address, first.address, [[10, 11]]);
    });

    it('that have an owner, if a master without slots holds keys of them: it can follow once they are settled', async () => {
      const [key = ''] = keysOfSlot(20, 1);
      await joinNoLoad(first.address, other.address);
      await strand(other, first, 20, { [key]: 'old' });
      const again = () => replicate(first.address, other.address);
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'NODE_NOT_EMPTY');
      const undecided = await refusalOf(follow(adviceFor(next, 'fix'), { nodes }));
      assert.equal(undecided.code, 'KEYS_IN_DOUBT');
      await follow(adviceFor(undecided.next, 'fix', 'keys-unwanted'), { nodes });
      await again();
      assert.equal((await seenBy(second))[other.address], `replica of ${first.address}`);
    });

    it('that nobody owns and one imports: a repair, and the replica takes over', async () => {
      await disown([first, second, spare], first, 30);
      await ask(second, 'CLUSTER', 'SETSLOT', '30', 'IMPORTING', await idOfNode(first));
      const again = () => failover(other.address);
      const { code, openSlots, next } = await refusalOf(again());
      assert.deepEqual([code, openSlots], ['OPEN_SLOT', [30]]);
      for (const one of next) await follow(one, { nodes, again });
      await assertSoon(async () => assert.equal((await check(first.address)).ok, true));
      // A former master has to copy the new one first.
      await assertSoon(async () => void (await failover(first.address)));
    });

    it('that a node may not take: the same call, when it may', async (t) => {
      if (bed.server.major < 7) return t.skip('it has no rights to parts of a command');
      await disown([first, second, spare], first, 40);
      const allow = (right: string) =>
        Promise.all([first, second, spare].map((node) => ask(node, 'ACL', 'SETUSER', 'default', right)));
      await allow('-cluster|bumpepoch');
      const again = () => fixMigrating(first.address);
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'SLOTS_UNCOVERED');
      await allow('+cluster|bumpepoch');
      await follow(adviceFor(next, 'retry', 'repaired'), { nodes, again });
      assert.equal((await check(first.address)).ok, true);
    });

    it('of a node that is in no cluster: to start one', async () => {
      const [alone] = await bed.start(1, quick);
      assert.ok(alone);
      const again = () => rebalance(alone.address);
      const { code, next } = await refusalOf(again());
      assert.equal(code, 'NOT_IN_CLUSTER');
      await follow(adviceFor(next, 'start'), { nodes: [alone] });
      assert.deepEqual((await again()).plan.steps, []);
    });
  });

  describe('about a slot that moves to a dead master', () => {
    it('to start it, or to take it out, and the same call repairs the slot', async () => {
      const nodes = await startMasters(bed, 3, 1, quick);
      const [first, second, dead, gone] = nodes as [ServerNode, ServerNode, ServerNode, ServerNode];
      const living = [first, second];
      await joinNoLoad(first.address, gone.address);
      await ask(first, 'CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(dead));
      await ask(second, 'CLUSTER', 'SETSLOT', '6000', 'MIGRATING', await idOfNode(gone));
      await Promise.all([dead.kill(), gone.kill()]);
      await declaredFailed(living, dead);
      await declaredFailed(living, gone);
      const again = () => fixMigrating(first.address);
      const both = await refusalOf(again());
      assert.deepEqual([both.code, both.openSlots], ['OPEN_SLOT', [5, 6000]]);
      await follow(adviceFor(both.next, 'start-node'), { nodes });
      await eventually('it serves', async () => {
        const seen = await Promise.all(living.map(seenBy));
        const state = String(await ask(dead, 'CLUSTER', 'INFO'));
        return seen.every((one) => one[dead.address] === '10923-16383') && /_state:ok/.test(state);
      });
      const one = await refusalOf(follow(adviceFor(both.next, 'retry', 'repaired'), { nodes, again }));
      assert.deepEqual(one.openSlots, [6000]);
      await follow(adviceFor(one.next, 'del-node', 'gone-for-good'), { nodes });
      await follow(adviceFor(one.next, 'retry', 'repaired'), { nodes, again });
      await assertFindings(first.address, []);
      assert.equal((await seenBy(first))[dead.address], '5 10923-16383');
    });
  });

  describe('about a slot that two masters claim', () => {
    it('to repair it, which deletes no key without an answer', async () => {
      const config = { 'cluster-node-timeout': '30000' };
      const nodes = await startMasters(bed, 3, 0, { relay: true, config });
      const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      await tell(first, ...keysOfSlot(5, 3).map((key) => ['SET', key, 'value']));
      third.cutOff([first, second]);
      await ask(third, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first));
      await ask(third, 'CLUSTER', 'SETSLOT', '5', 'NODE', await idOfNode(third));
      const { findings } = await check(first.address);
      const contested = findings.find(({ kind }) => kind === 'slots-contested');
      // They cannot agree before they hear from one another.
      const hands = { nodes, agreeTimeout: 1500 };
      const error = await refusalOf(follow(adviceFor(contested?.next, 'fix', 'stays'), hands));
      assert.equal(error.code, 'KEYS_IN_DOUBT');
      assert.equal(await ask(first, 'DBSIZE'), 3);
      const late = await refusalOf(follow(adviceFor(error.next, 'fix', 'keys-unwanted'), hands));
      assert.equal(late.code, 'NOT_REACHED');
      third.reconnect();
      const again = () => fixMigrating(first.address);
      await follow(adviceFor(late.next, 'retry', 'healthy'), { nodes, again });
      await assertFindings(first.address, []);
      assert.equal((await seenBy(second))[third.address], '5 10923-16383');
    });
  });
});
