import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, createCluster, drain, failover } from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertSoon,
  at,
  bePatient,
  quick,
  recordsOf,
  settled,
  snapshot,
  startMasters,
} from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`);

async function fill(node: ServerNode): Promise<void> {
  const client = new ClusterClient(node);
  await Promise.all(keys.map((key) => client.set(key, `value of ${key}`)));
  await client.close();
}

async function assertFilled(node: ServerNode): Promise<void> {
  const client = new ClusterClient(node);
  assert.deepEqual(
    await Promise.all(keys.map((key) => client.get(key))),
    keys.map((key) => `value of ${key}`),
  );
  await client.close();
}

/** Ports of masters with slots on a host. */
async function mastersOn(by: ServerNode, host: string): Promise<number[]> {
  const records = await recordsOf(by);
  return records
    .filter(
      ({ address, role, slots }) =>
        (address.host || by.host) === host && role === 'master' && slots.length > 0,
    )
    .map(({ address }) => address.port)
    .sort();
}

describe('drain()', { concurrency: 2 }, () => {
  it('leaves no master on a host and every key served, and prints the commands that undo it', async () => {
    const here = await bed.start(3, quick);
    // Otherwise the source address of a connection is taken for that of the node
    const config = { ...quick.config, 'cluster-announce-ip': '127.0.0.2' };
    const there = await bed.start(3, { config, host: '127.0.0.2' });
    const nodes = [...here, ...there];
    const seed = at(here, 0);
    await createCluster(
      nodes.map(({ address }) => address),
      { replicas: 1 },
    );
    await bePatient(nodes);
    await fill(seed);
    const home = await mastersOn(seed, '127.0.0.2');
    assert.ok(home.length > 0, 'there are masters to drain');
    const before = await snapshot(nodes);
    const dry = await drain(seed.address, '127.0.0.2', { dryRun: true });
    assert.deepEqual(
      dry.plan.steps.map(({ type }) => type),
      home.map(() => 'failover'),
    );
    assert.deepEqual(await snapshot(nodes), before);
    const { code, stdout, stderr } = await runMain(['drain', seed.address, '127.0.0.2']);
    assert.deepEqual([code, stderr], [0, '']);
    for (const port of home) assert.ok(stdout.includes(`  redis-trib failover 127.0.0.2:${port}`), stdout);
    for (const node of nodes) assert.deepEqual(await mastersOn(node, '127.0.0.2'), []);
    // This is its purpose: nothing is lost while the host is down
    await Promise.all(there.map((node) => node.stop()));
    await assertFilled(seed);
    await Promise.all(there.map((node) => node.restart()));
    await settled(nodes);
    // They must copy their masters first
    for (const port of home) await assertSoon(async () => void (await failover(`127.0.0.2:${port}`)));
    assert.deepEqual(await mastersOn(seed, '127.0.0.2'), home);
    await assertFilled(seed);
    assert.ok((await mastersOn(seed, '127.0.0.1')).length > 0, 'there are masters to drain');
    await assertSoon(async () => void (await drain(seed.address, '127.0.0.1')));
    assert.deepEqual(await mastersOn(seed, '127.0.0.1'), []);
    assert.deepEqual((await drain(seed.address, '127.0.0.1')).plan.steps, []);
    assert.equal((await check(seed.address)).ok, true);
  });

  it('is finished by the same call if it was killed in the middle', async (context) => {
    const nodes = await bed.start(6, quick);
    const seed = at(nodes, 0);
    await createCluster(
      nodes.map(({ address }) => address),
      { replicas: 1 },
    );
    const master = at(nodes, 1);
    for (const killAt of [14, 17, 20, 0]) {
      const outcome = await runOperation('drain', [seed.address, master.address], killAt);
      context.diagnostic(`killed at write ${killAt}: ${JSON.stringify(outcome)}`);
      if (outcome.killed) continue;
      assert.ok(outcome.ok, JSON.stringify(outcome));
      break;
    }
    await settled(nodes);
    const record = (await recordsOf(master)).find(({ flags }) => flags.includes('myself'));
    assert.equal(record?.role, 'replica');
  });

  it('refuses a master without a replica elsewhere, or moves its slots on request', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await fill(first);
    const before = await snapshot(nodes);
    await assert.rejects(drain(first.address, third.address), {
      code: 'NO_REPLICA',
      address: third.address,
    });
    await assert.rejects(drain(first.address, '127.0.0.1', { moveSlots: true }), { code: 'LAST_NODE' });
    await assert.rejects(drain(first.address, '10.9.8.7'), { code: 'NOT_SAME_CLUSTER' });
    assert.deepEqual(await snapshot(nodes), before);
    await drain(first.address, third.address, { moveSlots: true });
    await settled(nodes);
    for (const node of [first, second]) assert.equal((await mastersOn(node, '127.0.0.1')).length, 2);
    await third.kill();
    await assertFilled(first);
  });

  it('refuses if another node does not answer, and changes nothing', async () => {
    const nodes = await startMasters(bed, 3, 0, { config: { 'cluster-node-timeout': '60000' } });
    const [first, second, frozen] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await frozen.freeze();
    const before = await snapshot([first, second]);
    const options = { connectTimeout: 1000, commandTimeout: 1000, moveSlots: true };
    await assert.rejects(drain(first.address, second.address, options), {
      code: 'NODE_UNREACHABLE',
      address: frozen.address,
    });
    assert.deepEqual(await snapshot([first, second]), before);
    assert.equal(await ask(first, 'PING'), 'PONG');
  });
});
