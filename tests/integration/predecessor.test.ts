// What the tests of redis-trib.py assert, asserted here.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  fixMigrating,
  joinCluster,
  joinNoLoad,
  listNodes,
  migrateSlots,
  quitCluster,
  replicate,
  rescueCluster,
  shutdownCluster,
  startCluster,
  startClusterOnMulti,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, quick } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

async function slotsAt(node: ServerNode): Promise<Map<number, readonly number[]>> {
  const { nodes } = await listNodes(node.address);
  return new Map(nodes.map(({ port, assignedSlots }) => [port, assignedSlots]));
}

async function withClient<Result>(
  node: ServerNode,
  work: (client: ClusterClient) => Promise<Result>,
): Promise<Result> {
  const client = new ClusterClient(node);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

const twenty = range(0, 20).map((index) => [`key_${index}`, `value_${index}`] as const);

describe('The tests of redis-trib.py', { concurrency: true }, () => {
  it('basic_api: grow to two, migrate, shrink to the other, shut down', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await startClusterOnMulti([first.address]);
    const client = new ClusterClient(first);
    await client.set('key', 'value');
    assert.equal(await client.get('key'), 'value');

    await joinCluster(first.address, second.address);
    for (const [key, value] of twenty) await client.set(key, value);
    for (const [key, value] of twenty) assert.equal(await client.get(key), value);
    assert.deepEqual(
      await slotsAt(first),
      new Map([
        [first.port, range(8192, 16384)],
        [second.port, range(0, 8192)],
      ]),
    );

    await migrateSlots(first.address, second.address, [8192]);
    assert.deepEqual(
      await slotsAt(first),
      new Map([
        [first.port, range(8193, 16384)],
        [second.port, range(0, 8193)],
      ]),
    );
    await migrateSlots(first.address, second.address, [8193, 8194, 8195]);
    assert.deepEqual(
      await slotsAt(first),
      new Map([
        [first.port, range(8196, 16384)],
        [second.port, range(0, 8196)],
      ]),
    );

    await assert.rejects(migrateSlots(first.address, second.address, [8192]), { code: 'SLOTS_NOT_HELD' });
    await assert.rejects(migrateSlots(first.address, second.address, [8195, 8196]), {
      code: 'SLOTS_NOT_HELD',
    });
    await assert.rejects(
      migrateSlots(first.address, third.address, [8196]),
      /Two nodes are not in the same cluster/,
    );

    await quitCluster(first.address);
    assert.deepEqual(await slotsAt(first), new Map([[first.port, []]]));
    assert.deepEqual(await slotsAt(second), new Map([[second.port, range(0, 16384)]]));
    await client.close();
    await withClient(second, async (client) => {
      for (const [key, value] of twenty) assert.equal(await client.get(key), value);
      assert.equal(await client.get('key'), 'value');
      await assert.rejects(shutdownCluster(second.address), { code: 'NODE_NOT_EMPTY' });
      for (const [key] of [...twenty, ['key']] as const) await client.command(key, ['DEL', key]);
    });
    await shutdownCluster(second.address);
    await assert.rejects(ask(second, 'GET', 'key'), { code: 'CLUSTERDOWN' });
  });

  it('basic_api: start with few slots in one ADDSLOTS', async () => {
    const nodes = await bed.start(2, quick);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await startCluster(first.address, { maxSlots: 7000 });
    await withClient(first, async (client) => {
      await client.set('key', 'value');
      assert.equal(await client.get('key'), 'value');
      await client.command('key', ['DEL', 'key']);
    });
    await shutdownCluster(first.address);

    await startClusterOnMulti([first.address, second.address], { maxSlots: 7000 });
    await withClient(first, async (client) => {
      await client.set('key', 'value');
      assert.equal(await client.get('key'), 'value');
      await client.command('key', ['DEL', 'key']);
    });
    await quitCluster(second.address);
    await shutdownCluster(first.address);
  });

  it('basic_api: start two, then three, then three with one given twice', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = nodes.map(({ address }) => address) as [string, string, string];
    const counts = async () => {
      const { nodes } = await listNodes(first);
      return nodes.map(({ assignedSlots }) => assignedSlots.length);
    };
    await startClusterOnMulti([first, second]);
    assert.deepEqual(await counts(), [8192, 8192]);
    await quitCluster(first);
    await shutdownCluster(second);
    for (const addresses of [
      [first, second, third],
      [first, second, first, third],
    ]) {
      await startClusterOnMulti(addresses);
      assert.deepEqual(await counts(), [5462, 5461, 5461]);
      await quitCluster(first);
      await quitCluster(second);
      await shutdownCluster(third);
    }
  });

  it('basic_api: fix a slot that is importing, then migrating', async () => {
    const nodes = await bed.start(2, quick);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await startClusterOnMulti([first.address]);
    await joinCluster(first.address, second.address, {
      balancer: {
        balancePlan(masters) {
          const [source, target] = [first, second].map(({ port }) =>
            masters.find((node) => node.port === port),
          );
          assert.ok(source && target);
          // Two instead of one: a master that gives away its last slot becomes a replica today
          return [[source, target, 2]];
        },
      },
    });
    const client = new ClusterClient(first);
    await client.set('h-893', 'I am in slot 0');
    await fixMigrating(first.address);
    assert.equal(await client.get('h-893'), 'I am in slot 0');

    const { nodes: listed } = await listNodes(first.address);
    const secondId = listed.find(({ port }) => port === second.port)?.nodeId ?? '';
    await ask(first, 'CLUSTER', 'SETSLOT', '0', 'IMPORTING', secondId);
    await fixMigrating(first.address);
    assert.equal(await client.get('h-893'), 'I am in slot 0');
    assert.deepEqual(
      await slotsAt(first),
      new Map([
        [first.port, [0, ...range(2, 16384)]],
        [second.port, [1]],
      ]),
    );

    await ask(first, 'CLUSTER', 'SETSLOT', '0', 'MIGRATING', secondId);
    await fixMigrating(first.address);
    assert.equal(await client.get('h-893'), 'I am in slot 0');

    await quitCluster(second.address);
    await client.command('h-893', ['DEL', 'h-893']);
    await client.close();
    await shutdownCluster(first.address);
  });

  it('basic_api: join without load, migrate one slot with its keys', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await startClusterOnMulti([first.address]);
    const client = new ClusterClient(first);
    await client.set('x-{h-893}', 'y');
    await client.set('y-{h-893}', 'zzZ');
    await client.set('z-{h-893}', 'w');
    await client.command('h-893', ['INCR', 'h-893']);
    const countsAt = async (node: ServerNode) =>
      [...(await slotsAt(node))].map(([port, slots]) => [port, slots.length]);

    await joinNoLoad(first.address, second.address);
    assert.deepEqual(await countsAt(first), [
      [first.port, 16384],
      [second.port, 0],
    ]);
    await joinNoLoad(first.address, third.address);
    await migrateSlots(first.address, second.address, [0]);
    assert.deepEqual(await countsAt(third), [
      [first.port, 16383],
      [second.port, 1],
      [third.port, 0],
    ]);
    assert.equal(await ask(second, 'GET', 'h-893'), '1');
    assert.equal(await ask(second, 'GET', 'y-{h-893}'), 'zzZ');

    await quitCluster(third.address);
    await quitCluster(second.address);
    for (const key of ['x-{h-893}', 'y-{h-893}', 'z-{h-893}', 'h-893'])
      await client.command(key, ['DEL', key]);
    await client.close();
    await shutdownCluster(first.address);
  });

  it('replicates: replicate, then quit the other master, the replica, and shut down', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await startCluster(first.address);
    await joinCluster(first.address, second.address);
    await replicate(first.address, third.address);
    await withClient(first, async (client) => {
      for (const [key, value] of twenty) await client.set(key, value);
      assert.deepEqual(
        await slotsAt(first),
        new Map([
          [first.port, range(8192, 16384)],
          [second.port, range(0, 8192)],
          [third.port, []],
        ]),
      );
      await assert.rejects(quitCluster(first.address), { code: 'HAS_REPLICAS' });
      await quitCluster(second.address);
      assert.deepEqual((await slotsAt(first)).get(first.port), range(0, 16384));
      for (const [key, value] of twenty) assert.equal(await client.get(key), value);
      for (const [key] of twenty) await client.command(key, ['DEL', key]);
    });
    await quitCluster(third.address);
    await assert.rejects(quitCluster(first.address), { code: 'LAST_NODE' });
    await shutdownCluster(first.address);
  });

  it('rescue: a new node takes the slots of a dead one', async () => {
    const nodes = await bed.start(4, quick);
    const [fresh, first, second, lost] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await startClusterOnMulti([first.address, second.address, lost.address]);
    const slots = (await slotsAt(first)).get(lost.port);
    await lost.stop();
    await eventually('the cluster declares it failed', async () =>
      /^\S+ \S+ master,fail /m.test(String(await ask(second, 'CLUSTER', 'NODES'))),
    );
    await rescueCluster(second.address, fresh.address);
    for (const node of [fresh, first, second]) assert.deepEqual((await slotsAt(node)).get(fresh.port), slots);
    await quitCluster(fresh.address);
    await quitCluster(first.address);
    await shutdownCluster(second.address, { ignoreFailed: true });
  });
});
