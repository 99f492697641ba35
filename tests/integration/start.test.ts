import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, joinNoLoad, startCluster, startClusterOnMulti } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed } from '../bed/index.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  quick,
  recordsOf,
  snapshot,
  tell,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

async function startTwo() {
  const nodes = await bed.start(2, quick);
  return [at(nodes, 0), at(nodes, 1)] as const;
}

describe('startCluster()', { concurrency: true }, () => {
  it('gives all slots to one node, and reports it', async () => {
    const [node] = await startTwo();
    const events: ClusterEvent[] = [];
    const result = await startCluster(node.address, { onEvent: (event) => events.push(event) });
    await assertLayout([[node, '0-16383']]);
    const { plan, elapsedMs, ...rest } = result;
    const nothing = { slots: 0, keys: 0, bytes: 0, keysPerSecond: 0, longestStallMs: 0 };
    assert.deepEqual(rest, { applied: true, ...nothing });
    assert.ok(elapsedMs > 0);
    assert.deepEqual(
      plan.steps.map(({ type }) => type),
      ['assign-slots'],
    );
    assert.deepEqual(
      events.filter(({ type }) => type !== 'waiting').map(({ type }) => type),
      ['plan', 'slots-assigned', 'agreed'],
    );
    assert.deepEqual(events[0], { type: 'plan', plan });
    assert.equal(await ask(node, 'SET', 'key', 'value'), 'OK');
  });

  it('takes a node that holds keys, and keeps them', async () => {
    const [node] = await startTwo();
    // A node without slots accepts no keys, but one that loses its slots keeps its keys
    await startCluster(node.address);
    await tell(node, ['SET', 'key', 'value']);
    await tell(node, ['CLUSTER', 'FLUSHSLOTS']).catch(() => undefined);
    await tell(node, ['CLUSTER', 'DELSLOTS', ...Array.from({ length: 16384 }, (_, slot) => `${slot}`)]).catch(
      () => undefined,
    );
    assert.match(String(await ask(node, 'INFO', 'keyspace')), /^db0:keys=1/m);
    await startCluster(node.address);
    assert.equal(await ask(node, 'GET', 'key'), 'value');
  });

  it('is done if the node is this cluster already, and refuses one with another node', async () => {
    const [node, other] = await startTwo();
    await startCluster(node.address);
    const before = await snapshot([node]);
    assert.deepEqual((await startCluster(node.address)).plan.steps, []);
    const { code, stdout, stderr } = await runMain(['start', node.address]);
    assert.deepEqual([code, stderr], [0, ''], stdout);
    assert.match(stdout, /is already a cluster/);
    assert.deepEqual(await snapshot([node]), before);
    const refused = { name: 'ClusterError', code: 'ALREADY_IN_CLUSTER', address: node.address };
    await joinNoLoad(node.address, other.address);
    await assert.rejects(startCluster(node.address), refused);
    await assert.rejects(startClusterOnMulti([node.address, other.address]), { code: 'ALREADY_IN_CLUSTER' });
  });

  it('refuses a server without cluster mode', async () => {
    const node = at(await bed.start(1, { cluster: false }), 0);
    await assert.rejects(startCluster(node.address), {
      code: 'NOT_CLUSTER_ENABLED',
      address: node.address,
    });
  });

  it('continues with slots that an interrupted start assigned', async () => {
    const [node] = await startTwo();
    await tell(node, ['CLUSTER', 'ADDSLOTS', ...Array.from({ length: 5000 }, (_, slot) => `${slot}`)]);
    await startCluster(node.address, { maxSlots: 3000 });
    await assertLayout([[node, '0-16383']]);
  });

  it('refuses wrong arguments before it connects', async () => {
    await assert.rejects(startClusterOnMulti([]), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(startCluster('127.0.0.1'), { code: 'INVALID_ARGUMENT' });
    for (const maxSlots of [0, -1, 1.5])
      await assert.rejects(startCluster('127.0.0.1:1', { maxSlots }), { code: 'INVALID_ARGUMENT' });
  });
});

describe('startClusterOnMulti()', { concurrency: true }, () => {
  it('shares the slots in the order given, with a config epoch of its own for each', async () => {
    const nodes = await bed.start(3, quick);
    const [first, second, third] = [at(nodes, 2), at(nodes, 0), at(nodes, 1)];
    await startClusterOnMulti([first.address, second.address, { host: third.host, port: third.port }]);
    await assertLayout([
      [first, '0-5461'],
      [second, '5462-10922'],
      [third, '10923-16383'],
    ]);
    for (const node of nodes) {
      const epochs = (await recordsOf(node)).map(({ configEpoch }) => configEpoch);
      assert.equal(new Set(epochs).size, 3, `epochs ${epochs}`);
    }
  });

  it('takes an address that is given twice, or by another name, as one node', async () => {
    const [first, second] = await startTwo();
    await startClusterOnMulti([
      first.address,
      second.address,
      first.address,
      `localhost:${first.port}`,
      { host: second.host, port: second.port },
    ]);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
  });

  it('takes host names, which CLUSTER MEET does not', async () => {
    const [first, second] = await startTwo();
    await startClusterOnMulti([`localhost:${first.port}`, `localhost:${second.port}`]);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
  });

  it('changes nothing in a dry run', async () => {
    const [first, second] = await startTwo();
    const before = await snapshot([first, second]);
    const events: string[] = [];
    const result = await startClusterOnMulti([first.address, second.address], {
      dryRun: true,
      onEvent: ({ type }) => events.push(type),
    });
    assert.equal(result.applied, false);
    assert.deepEqual(events, ['plan']);
    assert.deepEqual(
      result.plan.steps.map(({ type }) => type),
      ['assign-slots', 'assign-slots', 'meet'],
    );
    assert.deepEqual(result.plan.masters, [
      { id: await idOfNode(first), address: first.address },
      { id: await idOfNode(second), address: second.address },
    ]);
    assert.deepEqual(await snapshot([first, second]), before);
    await assertAlone(first);
  });

  it('changes nothing if one of the nodes is in a cluster, holds keys, has no cluster mode or is down', async () => {
    const nodes = await bed.start(3, quick);
    const [fresh, member, full] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const standalone = at(await bed.start(1, { cluster: false }), 0);
    await Promise.all([member, full].map(({ address }) => startCluster(address)));
    await tell(full, ['SET', 'key', 'value']);
    await tell(full, ['CLUSTER', 'DELSLOTS', ...Array.from({ length: 16384 }, (_, slot) => `${slot}`)]);
    const cases: [string, string | RegExp][] = [
      [member.address, 'ALREADY_IN_CLUSTER'],
      [full.address, 'NODE_NOT_EMPTY'],
      [standalone.address, 'NOT_CLUSTER_ENABLED'],
      ['127.0.0.1:1', 'ECONNREFUSED'],
      // The cluster bus port is open, but does not speak the protocol
      [`127.0.0.1:${fresh.busPort}`, /^(CLOSED|ECONNRESET)$/],
    ];
    for (const [address, code] of cases) {
      await assert.rejects(
        startClusterOnMulti([fresh.address, address], { connectTimeout: 2000 }),
        (error) => {
          assert.ok(error instanceof Error && 'code' in error);
          assert.match(String(error.code), new RegExp(code), `${address}: ${error.message}`);
          assert.ok(error.message.includes(address), error.message);
          return true;
        },
      );
      await assertAlone(fresh);
    }
    await assertLayout([[member, '0-16383']]);
  });

  it('continues an interrupted start that introduced some nodes, and refuses slots of others', async () => {
    const nodes = await bed.start(4, quick);
    const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const addresses = [first, second, third].map(({ address }) => address);
    const slots = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);
    await tell(first, ['CLUSTER', 'SET-CONFIG-EPOCH', '1'], ['CLUSTER', 'ADDSLOTS', ...slots(0, 5461)]);
    await tell(second, ['CLUSTER', 'SET-CONFIG-EPOCH', '2'], ['CLUSTER', 'ADDSLOTS', ...slots(5462, 6000)]);
    await tell(first, ['CLUSTER', 'MEET', second.host, `${second.port}`]);
    await startClusterOnMulti(addresses);
    assert.deepEqual((await startClusterOnMulti(addresses)).plan.steps, []);
    await assert.rejects(startClusterOnMulti(addresses.toReversed()), { code: 'ALREADY_IN_CLUSTER' });
    await assertLayout([
      [first, '0-5461'],
      [second, '5462-10922'],
      [third, '10923-16383'],
    ]);
    await assert.rejects(startClusterOnMulti([...addresses, fourth.address]), { code: 'ALREADY_IN_CLUSTER' });
    await tell(fourth, ['CLUSTER', 'ADDSLOTS', '1']);
    const other = at(await bed.start(1, quick), 0);
    await assert.rejects(startClusterOnMulti([other.address, fourth.address]), {
      code: 'ALREADY_IN_CLUSTER',
      address: fourth.address,
    });
    await assertAlone(other);
  });
});
