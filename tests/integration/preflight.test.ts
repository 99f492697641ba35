import assert from 'node:assert/strict';
import { mkdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterError,
  type ClusterEvent,
  check,
  joinCluster,
  migrateSlots,
  replicate,
} from '../../lib/index.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import {
  assertAlone,
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  quick,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const MB = 1024 * 1024;

async function usedBy(node: ServerNode): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(String(await ask(node, 'INFO', 'memory')))?.[1]);
}

/** Collects the nodes that warnings are about. */
function listener() {
  const warnings: (string | undefined)[] = [];
  const onEvent = (event: ClusterEvent) => {
    if (event.type === 'warning') warnings.push(event.node);
  };
  return { warnings, onEvent };
}

describe('preflight()', { concurrency: true }, () => {
  it('waits for ends that were restarted a moment ago', async () => {
    const nodes = await startMasters(bed, 3, 0, { config: { save: '3600 1' } });
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    const keys = keysOfSlot(7, 20);
    await tell(a, ...keys.map((key) => ['SET', key, 'v']));
    for (const [from, to, restarted] of [
      [a, b, b],
      [b, a, b],
    ] as const) {
      await restarted.restart();
      assert.match(String(await ask(restarted, 'CLUSTER', 'INFO')), /cluster_state:fail/);
      assert.equal((await migrateSlots(from.address, to.address, [7])).keys, 20);
    }
  });

  it('refuses to move more than fits, with nothing changed, unless forced', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    await tell(a, ...keysOfSlot(7, 3000).map((key) => ['SET', key, 'x'.repeat(2000)]));
    await tell(a, ...keysOfSlot(8, 10).map((key) => ['SET', key, 'x'.repeat(2000)]));
    const maxmemory = (await usedBy(b)) + 2 * MB;
    await tell(b, ['CONFIG', 'SET', 'maxmemory', `${maxmemory}`]);
    const earlier = await snapshot(nodes);
    const move = (options: object) => migrateSlots(a.address, b.address, [7], options);
    const refusal = { code: 'NO_MEMORY', address: b.address };
    const { next } = await refusalOf(move({}));
    await follow(adviceFor(next, 'configure'), { nodes, values: { maxmemory: '0' } });
    const enough = listener();
    await move({ dryRun: true, onEvent: enough.onEvent });
    assert.deepEqual(enough.warnings, []);
    await tell(b, ['CONFIG', 'SET', 'maxmemory', `${maxmemory}`]);
    await assert.rejects(move({}), refusal);
    await tell(b, ['CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru']);
    await assert.rejects(move({}), refusal);
    const dry = listener();
    assert.equal((await move({ dryRun: true, onEvent: dry.onEvent })).applied, false);
    assert.deepEqual(dry.warnings, [b.address]);
    assert.deepEqual([await snapshot(nodes), await openSlotsAt(nodes)], [earlier, []]);

    // What fits may move
    await migrateSlots(a.address, b.address, [8]);
    const forced = listener();
    await move({ force: true, onEvent: forced.onEvent });
    assert.equal(forced.warnings[0], b.address);
    await assertLayout([
      [a, '0-6 9-8191'],
      [b, '7-8 8192-16383'],
    ]);
  });

  it('adds up what a new node gets from all others', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [a, b, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(a, ...keysOfSlot(0, 1000).map((key) => ['SET', key, 'x'.repeat(2000)]));
    await tell(b, ...keysOfSlot(8192, 1000).map((key) => ['SET', key, 'x'.repeat(2000)]));
    await tell(spare, ['CONFIG', 'SET', 'maxmemory', `${(await usedBy(spare)) + 3 * MB}`]);
    await assert.rejects(joinCluster(a.address, spare.address), { code: 'NO_MEMORY' });
    await assertAlone(spare);
    await tell(spare, ['CONFIG', 'SET', 'maxmemory', '0']);
    await joinCluster(a.address, spare.address);
  });

  it('refuses keys from or for a master that lacks replicas to take writes, until that is set otherwise', async () => {
    const nodes = await startMasters(bed, 2, 1);
    const [a, b, spare] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    await tell(a, ...keysOfSlot(7, 5).map((key) => ['SET', key, 'x']));
    const settings = ['min-replicas-to-write'];
    const require = (node: ServerNode, count: string) =>
      tell(node, ['CONFIG', 'SET', 'min-replicas-to-write', count]);
    const isRefused = (node: ServerNode) => (error: ClusterError) => {
      assert.deepEqual([error.code, error.address, error.openSlots], ['COMMAND_REFUSED', node.address, []]);
      assert.deepEqual(error.next, [
        { do: 'configure', node: node.address, settings },
        { do: 'retry', when: 'after-that' },
      ]);
      return true;
    };
    const add = () => joinCluster(a.address, spare.address, { method: 'migrate' });
    await require(spare, '1');
    await assert.rejects(add(), isRefused(spare));
    await assertAlone(spare);
    await require(spare, '0');
    await add();
    const move = () => migrateSlots(spare.address, b.address, [7], { method: 'migrate' });
    await require(spare, '1');
    await assert.rejects(move(), isRefused(spare));
    const { findings, ok } = await check(a.address);
    const refused = findings.find(({ kind }) => kind === 'writes-refused');
    assert.deepEqual([ok, refused?.nodes], [false, [spare.address]]);
    assert.deepEqual(refused?.next?.[1], { do: 'configure', node: spare.address, settings });
    await replicate(spare.address, (await bed.start(1, quick))[0]?.address ?? '');
    assert.equal((await move()).keys, 5);
    assert.equal((await check(a.address)).ok, true);
  });

  it('refuses keys from or for a master that cannot save and takes no writes for that', async () => {
    const nodes = await startMasters(bed, 2);
    const [a, b] = [at(nodes, 0), at(nodes, 1)];
    await tell(a, ...keysOfSlot(7, 5).map((key) => ['SET', key, 'x']));
    const file = join(b.dir, 'dump.rdb');
    await rm(file, { force: true });
    await mkdir(file);
    await tell(b, ['CONFIG', 'SET', 'save', '3600 100000'], ['BGSAVE']);
    const info = async () => String(await ask(b, 'INFO', 'persistence'));
    await eventually('it could not save', async () => /rdb_last_bgsave_status:err/.test(await info()));
    const move = () => migrateSlots(a.address, b.address, [7], { method: 'migrate' });
    const error = await refusalOf(move());
    assert.deepEqual([error.code, error.address, error.openSlots], ['COMMAND_REFUSED', b.address, []]);
    const { findings } = await check(a.address);
    const failing = findings.find(({ kind }) => kind === 'save-failing');
    assert.deepEqual([failing?.severity, failing?.nodes], ['error', [b.address]]);
    await rmdir(file);
    await tell(b, ['SAVE']);
    assert.equal((await move()).keys, 5);
  });

  it('refuses while the servers move other slots, but not while they move the same ones', async (test) => {
    const { kind, major, minor } = bed.server;
    const isValkey = kind === 'valkey';
    if (isValkey ? major < 9 : major * 10 + minor < 84) return test.skip('no atomic slot migration');
    const nodes = await startMasters(bed, 4);
    const [a, b, c, d] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await tell(a, ...keysOfSlot(7, 2000).map((key) => ['SET', key, 'x']));
    // Microseconds for each key of the snapshot
    await tell(a, ['CONFIG', 'SET', 'rdb-key-save-delay', '5000']);
    if (isValkey)
      await tell(a, ['CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', '7', '8', 'NODE', await idOfNode(b)]);
    else await tell(b, ['CLUSTER', 'MIGRATION', 'IMPORT', '7', '8']);
    const earlier = await snapshot(nodes);
    const refused = { code: 'OTHER_OPERATOR' };
    await assert.rejects(migrateSlots(c.address, d.address, [9000]), refused);
    await assert.rejects(migrateSlots(a.address, c.address, [[0, 9]]), refused);
    await assert.rejects(migrateSlots(a.address, b.address, [7]), refused);
    const dry = listener();
    await migrateSlots(c.address, d.address, [9000], { dryRun: true, onEvent: dry.onEvent });
    assert.equal(dry.warnings.length, 1);
    const same = listener();
    await migrateSlots(a.address, b.address, [[5, 9]], { dryRun: true, onEvent: same.onEvent });
    assert.deepEqual(same.warnings, []);
    assert.deepEqual(await snapshot(nodes), earlier);
    const forced = listener();
    await migrateSlots(c.address, d.address, [9000], {
      force: true,
      method: 'migrate',
      onEvent: forced.onEvent,
    });
    assert.ok(forced.warnings.length > 0);
  });
});
