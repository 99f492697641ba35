import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { reset } from '../../lib/apply/steps/reset.ts';
import {
  type ClusterError,
  type ClusterEvent,
  delNode,
  joinNoLoad,
  type OperationOptions,
  quitCluster,
  replicate,
  shutdownCluster,
  startCluster,
} from '../../lib/index.ts';
import { withContext } from '../../lib/operations/cluster.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAlone,
  assertLayout,
  at,
  declaredFailed,
  idOfNode,
  quick,
  recordsOf,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';

const relays = { skip: process.platform !== 'linux' && 'needs loopback addresses of Linux' };

import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

describe('reset()', () => {
  it('leaves a node alone that another follows', async () => {
    const [master, replica] = (await startMasters(bed, 1, 1)) as [ServerNode, ServerNode];
    await replicate(master.address, replica.address);
    const node = { id: await idOfNode(master), address: master.address };
    const again = () =>
      withContext(master.address, { agreeTimeout: 1000 }, (context) => reset(context, node));
    const error = await refusalOf(again());
    assert.deepEqual([error.code, error.address], ['HAS_REPLICAS', master.address]);
    assert.equal(await idOfNode(master), node.id);
    await follow(adviceFor(error.next, 'quit'), { nodes: [master, replica] });
    await follow(adviceFor(error.next, 'retry'), { nodes: [master], again });
    for (const one of [master, replica]) await assertAlone(one);
  });

  it('leaves a node alone that another follows which hangs', async () => {
    const [master, replica] = (await startMasters(bed, 1, 1)) as [ServerNode, ServerNode];
    await replicate(master.address, replica.address);
    const node = { id: await idOfNode(master), address: master.address };
    const again = () =>
      withContext(master.address, { agreeTimeout: 1000 }, (context) => reset(context, node));
    await replica.freeze();
    const error = await refusalOf(again());
    assert.deepEqual([error.code, await idOfNode(master)], ['HAS_REPLICAS', node.id]);
    assert.deepEqual(error.next, [{ do: 'retry', node: replica.address, when: 'answers' }]);
    await replica.thaw();
    const answered = await refusalOf(follow(adviceFor(error.next, 'retry'), { nodes: [master], again }));
    await follow(adviceFor(answered.next, 'quit'), { nodes: [master, replica] });
    await follow(adviceFor(answered.next, 'retry'), { nodes: [master], again });
    for (const one of [master, replica]) await assertAlone(one);
  });
});

/** A cluster of which one master is dead, and its only replica may not be elected. */
async function startLastCopy(): Promise<{
  readonly others: readonly ServerNode[];
  readonly replica: ServerNode;
}> {
  const nodes = await startMasters(bed, 3, 1, quick);
  const [dead, second, third, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
  await replicate(dead.address, replica.address);
  await ask(replica, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes');
  await tell(dead, ['SET', 'b', 'the last copy']);
  await eventually('the replica has it', async () => (await ask(replica, 'DBSIZE')) === 1);
  await dead.kill();
  await declaredFailed([second, third, replica], dead);
  return { others: [second, third], replica };
}

describe('quitCluster()', { concurrency: true }, () => {
  it('gives the slots of a master to the others in equal shares, with their keys, and resets it', async () => {
    const nodes = await startMasters(bed, 4);
    const [first, second, third, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 400 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const held = Number(await ask(leaver, 'DBSIZE'));
    const id = await idOfNode(leaver);
    const result = await quitCluster(leaver.address);
    assert.deepEqual([result.applied, result.slots, result.keys], [true, 4096, held]);
    await assertAlone(leaver);
    assert.equal(await ask(leaver, 'DBSIZE'), 0);
    assert.notEqual(await idOfNode(leaver), id);
    const [a, b, c] = await Promise.all([first, second, third].map((node) => ask(node, 'DBSIZE')));
    assert.equal(Number(a) + Number(b) + Number(c), keys.length);
    const views = await Promise.all([first, second, third].map((node) => ask(node, 'CLUSTER', 'NODES')));
    for (const view of views) {
      assert.equal(String(view).trim().split('\n').length, 3);
      assert.ok(!String(view).includes(id));
    }
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('waits for a node that loads the keys of the master to which it gave its last slot', async (t) => {
    if (bed.server.major < 7) return t.skip('it does not answer while it loads as little as this');
    const slow = { 'key-load-delay': '2000', 'loading-process-events-interval-bytes': '1024' };
    const nodes = await startMasters(bed, 2, 0, { config: { ...quick.config, ...slow } });
    const [first, leaver] = [at(nodes, 0), at(nodes, 1)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 500 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, 'x'.repeat(100))));
    await client.close();
    const { applied } = await quitCluster(leaver.address);
    assert.ok(applied);
    await assertAlone(leaver);
    assert.equal(await ask(first, 'DBSIZE'), keys.length);
  });

  it('removes a master without slots, and a replica', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, empty, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, empty.address);
    await replicate(second.address, replica.address);
    await tell(second, ['SET', 'foo', 'bar']);
    await quitCluster(empty.address);
    await assertAlone(empty);
    await quitCluster(replica.address);
    await assertAlone(replica);
    assert.equal(await ask(replica, 'DBSIZE'), 0);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
    assert.equal(await ask(second, 'GET', 'foo'), 'bar');
  });

  it('ends an introduction that would bring the node back under its new id', relays, async () => {
    const nodes = await startMasters(bed, 2, 1, { ...quick, relay: true });
    const [first, second, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await joinNoLoad(first.address, leaver.address);
    // As Valkey does on its own after a node was made to forget another: they are introduced again, which takes a while.
    await ask(first, 'CLUSTER', 'FORGET', await idOfNode(leaver));
    // A handshake is given up after a node timeout.
    await ask(first, 'CONFIG', 'SET', 'cluster-node-timeout', '60000');
    leaver.cutOff([first]);
    await ask(first, 'CLUSTER', 'MEET', leaver.host, `${leaver.port}`);
    await quitCluster(leaver.address);
    for (const node of [first, second])
      assert.ok(!String(await ask(node, 'CLUSTER', 'NODES')).includes(leaver.address), node.address);
    await assertAlone(leaver);
  });

  it('ends an introduction by a member that it holds for failed', relays, async () => {
    const nodes = await startMasters(bed, 3, 1, { ...quick, relay: true });
    const [first, second, third, leaver] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, leaver.address);
    first.cutOff();
    await declaredFailed([second, third, leaver], first);
    leaver.cutOff([first]);
    first.reconnect();
    await eventually('the others find the first again', async () => {
      const seen = await Promise.all([second, third].map(recordsOf));
      return seen.flat().every(({ flags }) => !/fail/.test(flags.join()));
    });
    await ask(first, 'CLUSTER', 'FORGET', await idOfNode(leaver));
    await ask(first, 'CONFIG', 'SET', 'cluster-node-timeout', '60000');
    await ask(first, 'CLUSTER', 'MEET', leaver.host, `${leaver.port}`);
    await quitCluster(leaver.address);
    assert.ok(!String(await ask(first, 'CLUSTER', 'NODES')).includes(leaver.address));
    await assertAlone(leaver);
  });

  it('keeps a replica that has the last copy of keys, until it has taken over', async () => {
    const { others, replica } = await startLastCopy();
    const [member] = others as [ServerNode, ServerNode];
    const refused = await refusalOf(quitCluster(replica.address));
    assert.deepEqual([refused.code, refused.address], ['KEYS_IN_DOUBT', replica.address]);
    const id = await idOfNode(replica);
    assert.equal((await refusalOf(delNode(member.address, id))).code, 'KEYS_IN_DOUBT');
    // Where a FORGET spreads, its ban lasts a minute.
    if (['redis-6.0', 'redis-7.0'].includes(bed.server.name)) {
      for (const other of others) await ask(other, 'CLUSTER', 'FORGET', id);
      const forgotten = await refusalOf(delNode(member.address, replica.address));
      assert.equal(forgotten.code, 'KEYS_IN_DOUBT');
      await follow(adviceFor(forgotten.next, 'rejoin'), { nodes: [...others, replica] });
    }
    assert.equal(await ask(replica, 'DBSIZE'), 1);
    const { next } = await refusalOf(quitCluster(replica.address));
    await follow(adviceFor(next, 'failover'), { nodes: [...others, replica] });
    assert.deepEqual(await tell(replica, ['GET', 'b']), ['the last copy']);
  });

  it('resets a replica with the last copy of keys if forced, with a warning', async () => {
    const { others, replica } = await startLastCopy();
    const refused = await refusalOf(quitCluster(replica.address));
    const said: string[] = [];
    const onEvent = (event: ClusterEvent): void => {
      if (event.type === 'warning' && event.node === replica.address) said.push(event.message);
    };
    const again = (options?: OperationOptions) => quitCluster(replica.address, { ...options, onEvent });
    await follow(adviceFor(refused.next, 'retry', 'anyway'), { nodes: [...others, replica], again });
    assert.equal(said.length, 1);
    await assertAlone(replica);
  });

  it('goes once a replica that does not answer has failed, as the refusal says', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(first.address, replica.address);
    // Long enough for a refusal before it has failed.
    for (const node of nodes) await ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', '60000');
    await replica.kill();
    const error = await quitCluster(first.address).then(
      () => assert.fail('it has a replica'),
      (thrown: ClusterError) => thrown,
    );
    assert.deepEqual(
      [error.code, error.next],
      [
        'HAS_REPLICAS',
        [
          { do: 'wait', when: 'declared-failed' },
          { do: 'retry', when: 'after-that' },
        ],
      ],
    );
    for (const node of [first, second]) await ask(node, 'CONFIG', 'SET', 'cluster-node-timeout', '1000');
    await declaredFailed([first, second], replica);
    await quitCluster(first.address);
    await assertAlone(first);
  });

  it('refuses the last master and one with replicas, and a node in no cluster, and changes nothing', async () => {
    const nodes = await startMasters(bed, 2, 3);
    const [first, second, replica, fresh, single] = nodes as [
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
    ];
    await Promise.all([replicate(first.address, replica.address), startCluster(single.address)]);
    const before = await snapshot(nodes);
    await assert.rejects(quitCluster(first.address), { code: 'HAS_REPLICAS' });
    await assert.rejects(quitCluster(single.address), { code: 'LAST_NODE', address: single.address });
    await assert.rejects(quitCluster(fresh.address), { code: 'NOT_IN_CLUSTER', address: fresh.address });
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    await assert.rejects(quitCluster(standalone.address), { code: 'NOT_CLUSTER_ENABLED' });
    await assert.rejects(quitCluster('127.0.0.1:1'), { code: 'ECONNREFUSED' });
    assert.deepEqual(await snapshot(nodes), before);
    assert.equal((await quitCluster(second.address, { dryRun: true })).applied, false);
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('is done if the node has left already', async () => {
    const nodes = await startMasters(bed, 2);
    const leaver = at(nodes, 1);
    await quitCluster(leaver.address);
    assert.deepEqual((await quitCluster(leaver.address)).plan.steps, []);
    const { code, stdout, stderr } = await runMain(['quit', leaver.address]);
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /had left its cluster already/);
  });
});

describe('shutdownCluster()', { concurrency: true }, () => {
  it('resets the last node of a cluster', async () => {
    const node = at(await startMasters(bed, 1), 0);
    const before = await snapshot([node]);
    const dry = await shutdownCluster(node.address, { dryRun: true });
    assert.deepEqual(
      dry.plan.steps.map(({ type }) => type),
      ['reset'],
    );
    assert.deepEqual(await snapshot([node]), before);
    const result = await shutdownCluster(node.address);
    assert.equal(result.applied, true);
    await assertAlone(node);
    await startCluster(node.address);
    await assertLayout([[node, '0-16383']]);
  });

  it('refuses if there are more nodes or keys, and changes nothing', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, full] = [at(nodes, 0), at(nodes, 2)];
    await startCluster(full.address);
    await tell(full, ['SET', 'key', 'value']);
    const before = await snapshot(nodes);
    await assert.rejects(shutdownCluster(first.address), { code: 'MORE_NODES' });
    await assert.rejects(shutdownCluster(full.address), { code: 'NODE_NOT_EMPTY', address: full.address });
    assert.deepEqual(await snapshot(nodes), before);
    assert.equal(await ask(full, 'GET', 'key'), 'value');
  });

  it('is done if the node is in no cluster, but not if it holds keys', async () => {
    const nodes = await startMasters(bed, 1, 1);
    const [node, full] = [at(nodes, 0), at(nodes, 1)];
    await shutdownCluster(node.address);
    const before = await snapshot([node]);
    assert.deepEqual((await shutdownCluster(node.address)).plan.steps, []);
    const { code, stdout, stderr } = await runMain(['shutdown', node.address]);
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /is in no cluster/);
    assert.deepEqual(await snapshot([node]), before);
    await startCluster(full.address);
    await tell(full, ['SET', 'key', 'value']);
    await tell(full, ['CLUSTER', 'DELSLOTS', ...Array.from({ length: 16384 }, (_, slot) => `${slot}`)]);
    await assert.rejects(shutdownCluster(full.address), { code: 'NOT_IN_CLUSTER', address: full.address });
  });

  it('ignores failed nodes on request, but never live ones', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [first, second, third, empty] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(first.address, empty.address);
    await empty.kill();
    await declaredFailed([first], empty);
    await assert.rejects(shutdownCluster(first.address, { ignoreFailed: true }), { code: 'MORE_NODES' });
    await quitCluster(second.address);
    await quitCluster(third.address);
    await assert.rejects(shutdownCluster(first.address), { code: 'MORE_NODES' });
    await shutdownCluster(first.address, { ignoreFailed: true });
    await assertAlone(first);
  });
});
