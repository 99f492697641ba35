// What is advised about a dead master is carried out here, from the situation in which it is given:
// tests/helpers/advice-followed.ts lists every place that gives advice.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  applyPlan,
  type ClusterError,
  check,
  delNode,
  failover,
  joinNoLoad,
  quitCluster,
  replicate,
  rescueCluster,
  shutdownCluster,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import {
  assertFindings,
  assertSoon,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  quick,
  seenBy,
  sizeOf,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, nextOf, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const keys = keysOfSlot(12_000, 9);
const noElection = { config: { ...quick.config, 'cluster-replica-no-failover': 'yes' } };

describe('What is advised about a dead master', { concurrency: 3 }, () => {
  it('without a replica: start it; or give its slots away, and then take it out', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, dead, fresh] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const hands = { nodes, fresh: fresh.address };
    await tell(dead, ...keys.map((key) => ['SET', key, 'value']));
    await ask(dead, 'SAVE');
    for (const kind of ['node-failed', 'slots-uncovered'] as const) {
      await dead.kill();
      await declaredFailed([first, second], dead);
      // The best comes first, and keeps every key.
      const [next] = await nextOf(first, kind);
      assert.equal(next?.do, 'start-node');
      const { plan: giving } = await rescueCluster(first.address, fresh.address, { dryRun: true });
      await follow({ node: dead.address, ...next }, hands);
      await eventually('it serves', async () => (await check(first.address)).ok);
      assert.equal(await sizeOf(dead), keys.length);
      // A plan that gives its slots away no longer fits, and made again it has nothing to do.
      const stale = await refusalOf(applyPlan(first.address, giving));
      assert.deepEqual([stale.code, stale.address], ['PLAN_STALE', dead.address], stale.message);
      const plan = async () => {
        assert.deepEqual((await rescueCluster(first.address, fresh.address)).plan.steps, []);
      };
      await follow(adviceFor(stale.next, 'plan'), { nodes, plan });
    }
    await dead.kill();
    await declaredFailed([first, second], dead);
    const error = await refusalOf(delNode(first.address, dead.address));
    assert.equal(error.code, 'NODE_NOT_EMPTY');
    for (const next of error.next) await follow(next, hands);
    assert.equal((await seenBy(second))[fresh.address], '10923-16383');
    await follow(adviceFor(await nextOf(first, 'node-failed'), 'del-node'), hands);
    await assertFindings(first.address, []);
  });

  it('without a replica, and without a new node: its slots go to the others', async () => {
    const nodes = await startMasters(bed, 3, 0, quick);
    const [first, second, dead] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await dead.kill();
    await declaredFailed([first, second], dead);
    await follow(adviceFor(await nextOf(first, 'node-failed'), 'fix'), { nodes });
    await follow(adviceFor(await nextOf(first, 'node-failed'), 'del-node'), { nodes });
    await assertFindings(first.address, []);
  });

  it('whose replica lives: the replica takes over, with every key', async () => {
    const nodes = await startMasters(bed, 3, 2, noElection);
    const [first, second, dead, replica, fresh] = [
      at(nodes, 0),
      at(nodes, 1),
      at(nodes, 2),
      at(nodes, 3),
      at(nodes, 4),
    ];
    await replicate(dead.address, replica.address);
    await tell(dead, ...keys.map((key) => ['SET', key, 'value']));
    await eventually('it is copied', async () => (await sizeOf(replica)) === keys.length);
    await dead.kill();
    await declaredFailed([first, second], dead);
    const all = [
      await nextOf(first, 'node-failed'),
      (await refusalOf(rescueCluster(first.address, fresh.address))).next,
      (await refusalOf(delNode(first.address, dead.address))).next,
    ];
    const [advice, ...others] = all.map((next) => adviceFor(next, 'failover'));
    assert.ok(advice);
    for (const other of others) assert.deepEqual(other, advice);
    await follow(advice, { nodes });
    assert.equal((await seenBy(second))[replica.address], '10923-16383');
    assert.equal(await sizeOf(replica), keys.length);
    await follow(adviceFor(await nextOf(first, 'node-failed'), 'del-node'), { nodes });
    await assertFindings(first.address, []);
  });

  it('that too few can vote against: the replica takes over without a vote', async () => {
    const nodes = await startMasters(bed, 3, 1, noElection);
    const [first, second, dead, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await replicate(dead.address, replica.address);
    await tell(dead, ...keys.map((key) => ['SET', key, 'value']));
    await eventually('it is copied', async () => (await sizeOf(replica)) === keys.length);
    await Promise.all([second.kill(), dead.kill()]);
    const error = await refusalOf(failover(replica.address, { mode: 'force', agreeTimeout: 4000 }));
    assert.equal(error.code, 'NOT_REACHED');
    await follow(adviceFor(error.next, 'failover'), { nodes });
    assert.equal((await seenBy(first))[replica.address], '10923-16383');
    assert.equal(await sizeOf(replica), keys.length);
  });

  it('that nobody is left to declare failed: it is given up and taken out, and the survivor can end', async () => {
    const [first, ...dead] = await startMasters(bed, 3, 0, quick);
    assert.ok(first);
    await Promise.all(dead.map((node) => node.kill()));
    const nodes = [first];
    const refused = await refusalOf(quitCluster(first.address));
    assert.equal(refused.code, 'NODE_UNREACHABLE');
    assert.ok(refused.next.every(({ when }) => when !== 'declared-failed'));
    assert.equal(
      (await refusalOf(shutdownCluster(first.address, { ignoreFailed: true }))).code,
      'MORE_NODES',
    );
    await follow(adviceFor(refused.next, 'fix', 'gone-with-its-keys'), { nodes });
    for (let left = dead.length; left > 0; left--) {
      const again = await refusalOf(quitCluster(first.address));
      // A server may have declared them failed since: then nothing waits for them.
      if (again.code === 'LAST_NODE') break;
      await follow(adviceFor(again.next, 'del-node', 'gone-for-good'), { nodes });
    }
    const last = await refusalOf(quitCluster(first.address));
    assert.equal(last.code, 'LAST_NODE');
    const { plan } = await shutdownCluster(first.address, { ignoreFailed: true });
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['reset'],
    );
  });

  it('beside a slot that is imported from it: that is closed first, and all keys are served', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, third, dead] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, dead.address);
    await tell(third, ...keys.map((key) => ['SET', key, 'value']));
    await ask(second, 'CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(dead));
    await dead.kill();
    await declaredFailed([first, second, third], dead);
    const again = () => delNode(first.address, dead.address);
    const error = await refusalOf(again());
    assert.deepEqual([error.code, error.openSlots], ['OPEN_SLOT', [5]]);
    for (const next of error.next) await follow(next, { nodes, again });
    await assertFindings(first.address, []);
    assert.equal(await sizeOf(third), keys.length);
  });

  it('whose name is all that is left: a name without an address is taken out', async (t) => {
    const nodes = await startMasters(bed, 2, 1, quick);
    const [first, second, gone] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, gone.address);
    await gone.kill();
    await declaredFailed([first, second], gone);
    // A member that starts with such a line in its nodes.conf knows the id, and no address.
    const path = join(second.dir, 'nodes.conf');
    await second.stop();
    const text = await readFile(path, 'latin1');
    const without = text.replace(new RegExp(`127\\.0\\.0\\.1:${gone.port}@\\S+ \\S+`), ':0@0 master,noaddr');
    await second.restart({ nodesConf: { text: without } });
    const { findings } = await check(first.address);
    const stale = findings.find((one) => one.kind === 'node-no-address');
    if (!stale) return t.skip(`it has an address again: ${findings.map(({ kind }) => kind).join()}`);
    const remove = adviceFor(stale.next, 'del-node');
    await follow(remove, { nodes }).catch(async ({ next }: ClusterError) => {
      const again = (options: object) => delNode(first.address, remove.node ?? '', options);
      await follow(adviceFor(next, 'retry', 'gone-for-good'), { nodes, again });
    });
    await assertFindings(first.address, []);
  });

  it('that cannot follow: a forced failover is done though the former master cannot follow', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [master, replica] = [at(nodes, 0), at(nodes, 3)];
    await replicate(master.address, replica.address);
    await ask(master, 'CONFIG', 'SET', 'masterauth', 'old');
    const again = (options: object) => failover(replica.address, options);
    const error = await refusalOf(again({}));
    assert.equal(error.code, 'NO_REPLICA');
    await follow(adviceFor(error.next, 'retry', 'anyway'), { nodes, again });
    assert.equal((await seenBy(replica))[replica.address], '0-5461');
    // What was said before is still true, and check says it.
    await assertSoon(async () => {
      const kinds = (await check(replica.address)).findings.map(({ kind }) => kind);
      assert.ok(kinds.includes('replica-link-down') || kinds.includes('cannot-follow'), kinds.join());
    });
  });

  it('whose replica is empty: start it, and no key is lost; or give its keys up', async () => {
    const nodes = await startMasters(bed, 3, 1, noElection);
    const [first, second, dead, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await tell(dead, ...keys.map((key) => ['SET', key, 'value']));
    await ask(dead, 'SAVE');
    await joinNoLoad(first.address, replica.address);
    await ask(replica, 'CONFIG', 'SET', 'masterauth', 'wrong');
    await ask(replica, 'CLUSTER', 'REPLICATE', await idOfNode(dead));
    const again = (options: object) => failover(replica.address, { mode: 'force', ...options });
    const stop = async () => {
      await dead.kill();
      await declaredFailed([first, second], dead);
      const error = await refusalOf(again({}));
      assert.equal(error.code, 'KEYS_IN_DOUBT');
      return error.next;
    };
    const [start, give] = await stop();
    assert.ok(start && give);
    await follow(start, { nodes });
    await eventually('it serves', async () => (await seenBy(first))[dead.address] === '10923-16383');
    assert.equal(await sizeOf(dead), keys.length);
    await stop();
    await follow(give, { nodes, again });
    assert.equal((await seenBy(first))[replica.address], '10923-16383');
  });
});
