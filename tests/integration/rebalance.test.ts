import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, joinNoLoad, rebalance, replicate } from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  declaredFailed,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  recordsOf,
  seenBy,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const sizes = (nodes: readonly ServerNode[]) =>
  Promise.all(nodes.map(async (node) => Number(await ask(node, 'DBSIZE'))));

/** Writes keys into a slot of the node. */
async function fill(node: ServerNode, slot: number, count: number, bytes = 10): Promise<void> {
  await tell(node, ...keysOfSlot(slot, count).map((key) => ['SET', key, 'x'.repeat(bytes)]));
}

/** How many slots each node says it has. */
async function slotCounts(nodes: readonly ServerNode[]): Promise<number[]> {
  return Promise.all(
    nodes.map(async (node) => {
      const own = (await recordsOf(node)).find(({ flags }) => flags.includes('myself'));
      return (own?.slots ?? []).reduce((sum, [first, last]) => sum + last - first + 1, 0);
    }),
  );
}

/** Makes a node consider the others failed for good: it was frozen, and hears no PONG since. False if the server cannot do that. */
async function isDeafened(node: ServerNode, observer: ServerNode): Promise<boolean> {
  const reply = await ask(node, 'DEBUG', 'DROP-CLUSTER-PACKET-FILTER', '1').catch(() => undefined);
  if (reply !== 'OK') return false;
  await eventually('it considers others failed', async () => {
    await node.freeze();
    await declaredFailed([observer], node);
    await node.thaw();
    return (await recordsOf(node)).some(({ flags }) => flags.includes('fail?'));
  });
  return true;
}

describe('rebalance()', { concurrency: true }, () => {
  it('is done when a replica alone still doubts the others, and names it', async (t) => {
    const debug = bed.server.major >= 7 ? { 'enable-debug-command': 'local' } : {};
    const nodes = await startMasters(bed, 3, 1, { config: { ...quick.config, ...debug } });
    const [first, second, , replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await replicate(second.address, replica.address);
    if (!(await isDeafened(replica, first))) return t.skip('the server cannot drop packets on request');
    await eventually('the others hear it again', async () =>
      (await recordsOf(first)).every(({ flags }) => !flags.includes('fail') && !flags.includes('fail?')),
    );
    const warned: (string | undefined)[] = [];
    const options = {
      weights: { [first.address]: 2 },
      agreeTimeout: 4000,
      onEvent: (event: ClusterEvent) => event.type === 'warning' && warned.push(event.node),
    };
    const { applied, slots } = await rebalance(second.address, options);
    assert.deepEqual([applied, slots > 0], [true, true]);
    assert.ok(warned.includes(replica.address), `${warned}`);
    // It is not done for a master that does not hear the others: that one has a vote.
    await ask(replica, 'DEBUG', 'DROP-CLUSTER-PACKET-FILTER', '-1');
    await isDeafened(at(nodes, 2), first);
    const again = { ...options, weights: { [first.address]: 1 } };
    await assert.rejects(rebalance(second.address, again), { code: 'NOT_REACHED' });
  });

  it('gives slots to empty masters on request, by weight, and moves nothing the second time', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [a, b, c, d] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const client = new ClusterClient(a);
    const keys = Array.from({ length: 400 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await joinNoLoad(a.address, c.address);
    await joinNoLoad(a.address, d.address);
    assert.equal((await rebalance(a.address)).plan.steps.length, 0, 'empty masters are ignored');
    const weights = { [(await idOfNode(c)).slice(0, 16)]: 2 };
    assert.equal((await rebalance(a.address, { weights })).applied, true);
    assert.deepEqual(await slotCounts(nodes), [4096, 4096, 8192, 0]);
    const all = { weights: { [c.address]: 1 }, useEmptyMasters: true };
    const result = await rebalance(b.address, all);
    assert.equal(result.slots, 4096);
    assert.deepEqual(await slotCounts(nodes), [4096, 4096, 4096, 4096]);
    assert.deepEqual((await rebalance(c.address, { ...all, threshold: 0 })).plan.steps, []);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('empties a master of weight 0', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b, c] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const client = new ClusterClient(a);
    const keys = Array.from({ length: 200 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const result = await rebalance(a.address, { weights: { [c.address]: 0 } });
    assert.equal(result.slots, 5461);
    const [ofA, ofB] = await slotCounts([a, b]);
    assert.deepEqual([ofA, ofB], [8192, 8192]);
    assert.equal(Object.keys(await seenBy(a)).length, 3, 'it is still a member');
    for (const key of keys) assert.equal(await client.get(key), key);
    const [role] = await Promise.all(nodes.map(async (node) => (await seenBy(node))[c.address]));
    for (const node of nodes) assert.equal((await seenBy(node))[c.address], role, 'all agree about its role');
    assert.deepEqual((await rebalance(a.address)).plan.steps, []);
    // Since 7.0 it becomes a replica of the master that got its last slot
    const again = await rebalance(a.address, { weights: { [c.address]: 0 } });
    assert.deepEqual(again.plan.steps, []);
    await client.close();
  });

  it('balances keys, and moves only slots with keys', async () => {
    const nodes = await startMasters(bed, 3);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    for (let slot = 0; slot < 12; slot++) await fill(a, slot, 50);
    await fill(b, 6000, 60);
    const result = await rebalance(a.address, { by: 'keys', threshold: 15 });
    assert.ok(result.slots >= 6 && result.slots <= 8, `${result.slots} slots`);
    assert.equal(result.plan.loads?.by, 'keys');
    const held = await sizes(nodes);
    assert.ok(
      held.every((keys) => keys >= 187 && keys <= 253),
      `${held}`,
    );
    assert.deepEqual(
      result.plan.loads?.nodes.map(({ after }) => after).sort((x, y) => x - y),
      [...held].sort((x, y) => x - y),
    );
    assert.deepEqual((await rebalance(a.address, { by: 'keys', threshold: 15 })).plan.steps, []);
  });

  it('balances memory', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    for (let slot = 0; slot < 8; slot++) await fill(a, slot, 20, 20_000);
    await fill(b, 9000, 20, 20_000);
    const result = await rebalance(a.address, { by: 'memory', threshold: 20 });
    assert.ok(result.slots >= 2 && result.slots <= 5, `${result.slots} slots`);
    assert.ok(result.bytes > 20 * 20_000, `${result.bytes} bytes`);
    const [ofA = 0, ofB = 0] = await sizes(nodes);
    assert.ok(ofA >= 60 && ofA <= 120 && ofA + ofB === 180, `${ofA} and ${ofB}`);
  });

  it('balances CPU time and traffic if all servers count them', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const before = await snapshot(nodes);
    await assert.rejects(rebalance(a.address, { by: 'cpu' }), {
      code: 'METHOD_UNSUPPORTED',
    });
    assert.deepEqual(await snapshot(nodes), before);
    const enable = ['CONFIG', 'SET', 'cluster-slot-stats-enabled', 'yes'];
    const canCount = await tell(a, enable).then(
      () => true,
      () => false,
    );
    if (!canCount) return;
    await assert.rejects(rebalance(a.address, { by: 'network' }), {
      code: 'METHOD_UNSUPPORTED',
      address: b.address,
    });
    await tell(b, enable);
    for (let slot = 0; slot < 8; slot++) await fill(a, slot, 100, 1000);
    for (const by of ['network', 'cpu'] as const) {
      const { plan } = await rebalance(a.address, { by, threshold: 20, dryRun: true });
      assert.ok(plan.steps.length > 0, `${by}: ${JSON.stringify(plan.loads)}`);
      const [first = 0, second = 0] = plan.loads?.nodes.map((node) => node.after) ?? [];
      assert.ok(Math.max(first, second) < 0.75 * (first + second), `${by}: ${first} and ${second}`);
    }
    assert.equal((await rebalance(a.address, { by: 'network', threshold: 20 })).applied, true);
  });

  it('stops with no slot open when it is aborted, and the same call finishes it', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [a, b, c, d] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await joinNoLoad(a.address, c.address);
    await joinNoLoad(a.address, d.address);
    const client = new ClusterClient(a);
    const keys = Array.from({ length: 1000 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    for (const method of ['migrate', 'auto'] as const) {
      const stop = new AbortController();
      const reason = new Error('enough');
      const options = { useEmptyMasters: true, method, weights: { [d.address]: method === 'auto' ? 3 : 1 } };
      const running = rebalance(a.address, {
        ...options,
        signal: stop.signal,
        onEvent: ({ type }) => {
          if (type === 'slots-closed' || type === 'move-done') stop.abort(reason);
        },
      });
      const { moved, openSlots } = await abortOf(running, reason);
      assert.ok(moved.slots > 0 && moved.slots <= moved.planned, `${moved.slots} of ${moved.planned}`);
      assert.deepEqual(openSlots, []);
      assert.deepEqual(await openSlotsAt(nodes), []);
      await rebalance(b.address, options);
      assert.deepEqual((await rebalance(b.address, options)).plan.steps, []);
      for (const key of keys) assert.equal(await client.get(key), key);
    }
    await client.close();
  });

  it('ignores the weight of a replica, and says so', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [a, b, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await replicate(b.address, replica.address);
    for (const weight of [0, 2]) {
      const words = ['rebalance', a.address, '--weight', `${replica.address}=${weight}`, '--yes'];
      const { code, stdout, stderr } = await runMain(words);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /is a replica of \S+: its weight \d is ignored/);
      assert.match(stdout, /^No rebalancing needed/);
    }
  });

  it('refuses weights of unknown nodes and twice for one node, and a cluster with slots not served', async () => {
    const nodes = await startMasters(bed, 3, 1, quick);
    const [a, b, c, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await replicate(b.address, replica.address);
    const before = await snapshot(nodes);
    const refused = (weights: Record<string, number>, code: string) =>
      assert.rejects(rebalance(a.address, { weights }), { code });
    await refused({ beefbeefbeef: 1 }, 'NOT_SAME_CLUSTER');
    await refused({ [a.address]: 1, [await idOfNode(a)]: 2 }, 'SAME_NODE');
    await assert.rejects(
      rebalance(a.address, { weights: { [a.address]: 0, [b.address]: 0, [c.address]: 0 } }),
    );
    assert.deepEqual(await snapshot(nodes), before);
    await c.kill();
    await declaredFailed([a], c);
    await assert.rejects(rebalance(a.address, { weights: { [a.address]: 2 } }), { code: 'SLOTS_UNCOVERED' });
  });
});

describe('redis-trib rebalance', { concurrency: true }, () => {
  it('does nothing, shows its plan, or carries it out', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const idle = await runMain(['rebalance', a.address, '--yes']);
    assert.deepEqual([idle.code, idle.stderr], [0, '']);
    const args = ['rebalance', a.address, '--weight', `${a.address}=3`, '--weight', `${b.address}=1`];
    const dry = await runMain([...args, '--dry-run']);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(
      dry.stdout,
      new RegExp(`\n  ${a.address}  8192 → 12288 slots {2}its share is 75%: 12288 slots\n`),
    );
    const refused = await runMain(args);
    assert.equal(refused.code, 2, 'it would have to ask');
    const done = await runMain([...args, '-y']);
    assert.equal(done.code, 0, done.stderr);
    await assertLayout([
      [a, '0-12287'],
      [b, '12288-16383'],
    ]);
    const again = await runMain([...args, '--yes', '--json']);
    assert.deepEqual([again.code, JSON.parse(again.stdout).plan.steps], [0, []]);
  });
});
