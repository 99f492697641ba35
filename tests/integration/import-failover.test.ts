import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  backupCluster,
  followKeys,
  importKeys,
  type OperationOptions,
  restoreCluster,
} from '../../lib/index.ts';
import { ask } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, startMasters, startPairs, tell } from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const keys = Array.from({ length: 20_000 }, (_, index) => `key:${index}`);

async function fill(node: ServerNode, value = 'value'): Promise<void> {
  await tell(node, ...keys.map((key) => ['SET', key, value]));
}

async function startSource(): Promise<ServerNode> {
  const source = at(await bed.start(1, { cluster: false, config: {} }), 0);
  await fill(source);
  return source;
}

/** A cluster of which the first master has a replica that gets none of what is written to it, and `kill` to stop that master once. */
async function startBehind() {
  const nodes = await startPairs(bed);
  const [master, replica] = [at(nodes, 0), at(nodes, 3)];
  await ask(replica, 'CONFIG', 'SET', 'masterauth', 'wrong');
  await ask(master, 'CLIENT', 'KILL', 'TYPE', 'slave');
  let killing: Promise<unknown> | undefined;
  const kill = (): void => {
    killing ??= master.kill();
  };
  return { seed: at(nodes, 1), master, serving: nodes.slice(1, 4), kill, killed: () => killing };
}

/** Options with which a master is frozen as it is asked for the second time since `begin` whether it has lost keys. */
function freezing(master: ServerNode, hasBegun = true) {
  let asked = hasBegun ? 0 : Number.NEGATIVE_INFINITY;
  const begin = (): void => {
    asked = 0;
  };
  const onCommands: OperationOptions['onCommands'] = (commands, node) => {
    if (
      node === master.address &&
      commands.some(([name, ...rest]) => name === 'INFO' && rest.includes('stats'))
    )
      if (++asked === 2) process.kill(master.pid ?? 0, 'SIGSTOP');
  };
  return { onCommands, commandTimeout: 1000, connectTimeout: 500, begin, isFrozen: () => asked >= 2 };
}

async function sizeOf(nodes: readonly ServerNode[]): Promise<number> {
  const sizes = await Promise.all(nodes.map((node) => ask(node, 'DBSIZE')));
  return sizes.reduce<number>((sum, size) => sum + Number(size), 0);
}

describe('A master that has taken keys, and that a replica replaces which does not have them', {
  concurrency: true,
}, () => {
  it('gets them again by an import', async () => {
    const [source, { seed, serving, kill, killed }] = await Promise.all([startSource(), startBehind()]);
    const onEvent: OperationOptions['onEvent'] = ({ type }) => type === 'import-progress' && kill();
    await importKeys(seed.address, source.address, { onEvent });
    assert.ok(killed());
    assert.equal(await sizeOf(serving), keys.length);
  });

  it('is named if they are deleted at the source', async () => {
    const [source, { seed, kill, killed }] = await Promise.all([startSource(), startBehind()]);
    const onEvent: OperationOptions['onEvent'] = ({ type }) => type === 'import-progress' && kill();
    const error = await refusalOf(importKeys(seed.address, source.address, { move: true, onEvent }));
    assert.ok(killed());
    assert.equal(error.code, 'KEYS_IN_DOUBT');
  });

  it('gets them again if it does not answer at the end', async () => {
    const [source, { seed, master, serving }] = await Promise.all([startSource(), startBehind()]);
    const { isFrozen, begin: _, ...options } = freezing(master);
    await importKeys(seed.address, source.address, options);
    assert.ok(isFrozen());
    assert.equal(await sizeOf(serving), keys.length);
  });

  it('is named if they are deleted at the source, and it does not answer at the end', async () => {
    const source = await startSource();
    const nodes = await startMasters(bed, 2);
    const { isFrozen, begin: _, ...options } = freezing(at(nodes, 1));
    const moving = importKeys(at(nodes, 0).address, source.address, {
      ...{ ...options, move: true, agreeTimeout: 100 },
    });
    const { code, address } = await refusalOf(moving);
    await at(nodes, 1).thaw();
    assert.ok(isFrozen());
    assert.deepEqual([code, address], ['KEYS_IN_DOUBT', at(nodes, 1).address]);
  });

  it('gets them again before a cut-over', async (context) => {
    if (bed.server.name === 'redis-6.0') return context.skip('it does not pause writes');
    const [from, { seed, serving, kill, killed }] = await Promise.all([
      startMasters(bed, 1).then((nodes) => at(nodes, 0)),
      startBehind(),
    ]);
    await fill(from);
    const onEvent: OperationOptions['onEvent'] = ({ type }) => type === 'import-progress' && kill();
    await followKeys(seed.address, from.address, { cutover: true, onEvent });
    assert.ok(killed());
    assert.equal(await sizeOf(serving), keys.length);
  });

  it('ends no cut-over while it does not answer', async (context) => {
    if (bed.server.name === 'redis-6.0') return context.skip('it does not pause writes');
    const [from, nodes] = await Promise.all([startMasters(bed, 1), startMasters(bed, 2)]);
    const { isFrozen, begin, ...options } = freezing(at(nodes, 1), false);
    await tell(at(from, 0), ['SET', 'key', 'value']);
    const following = followKeys(at(nodes, 0).address, at(from, 0).address, {
      ...{ ...options, cutover: true, cutoverTimeout: 2000 },
      onEvent: ({ type }) => type === 'writes-paused' && begin(),
    });
    await assert.rejects(following);
    await at(nodes, 1).thaw();
    assert.ok(isFrozen());
  });

  it('gets them again by a restore', async () => {
    const home = mkdtempSync(join(tmpdir(), 'redis-trib-failover-'));
    const dir = join(home, 'backup');
    try {
      const [from, { seed, serving, kill, killed }] = await Promise.all([
        startMasters(bed, 1).then((nodes) => at(nodes, 0)),
        startBehind(),
      ]);
      await fill(from);
      await backupCluster(from.address, { dir });
      const onEvent: OperationOptions['onEvent'] = ({ type }) => type === 'restore-progress' && kill();
      await restoreCluster(seed.address, { dir, onEvent });
      assert.ok(killed());
      assert.equal(await sizeOf(serving), keys.length);
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});

/** A server with keys, and a cluster of which one master has so much memory, and evicts what does not fit. */
async function evicting(maxmemory: string): Promise<{
  source: ServerNode;
  nodes: readonly ServerNode[];
  seed: ServerNode;
  small: ServerNode;
}> {
  const source = at(await bed.start(1, { cluster: false, config: {} }), 0);
  await fill(source, 'x'.repeat(300));
  const nodes = await startMasters(bed, 2);
  const [seed, small] = [at(nodes, 0), at(nodes, 1)];
  await ask(small, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  await ask(small, 'CONFIG', 'SET', 'maxmemory', maxmemory);
  return { source, nodes, seed, small };
}

describe('A master that evicts keys while others are imported', () => {
  it('is sent none that are deleted at the source, before it would have to evict some', async () => {
    const { source, nodes, seed, small } = await evicting('5mb');
    const again = () => importKeys(seed.address, source.address, { move: true });
    const error = await refusalOf(again());
    assert.deepEqual([error.code, error.address, error.resumable], ['NO_MEMORY', small.address, 'same-call']);
    const moved = await sizeOf(nodes);
    assert.ok(moved > 0 && moved < keys.length, `${moved} keys were moved`);
    assert.match(String(await ask(small, 'INFO', 'stats')), /^evicted_keys:0\r$/m);
    assert.ok((await sizeOf([...nodes, source])) >= keys.length);
    await follow(adviceFor(error.next, 'configure'), { nodes, again, values: { maxmemory: '0' } });
    await again();
    assert.deepEqual([await sizeOf(nodes), await sizeOf([source])], [keys.length, 0]);
  });

  it('is named, and takes them once it has room', async () => {
    const { source, nodes, seed, small } = await evicting('4mb');
    const again = (options: OperationOptions = {}) => importKeys(seed.address, source.address, options);
    const error = await refusalOf(again());
    assert.deepEqual([error.code, error.address], ['NO_MEMORY', small.address]);
    const hands = { nodes, again, values: { maxmemory: '0' } };
    await follow(adviceFor(error.next, 'retry', 'anyway'), hands);
    assert.ok((await sizeOf(nodes)) < keys.length);
    await follow(adviceFor(error.next, 'configure'), hands);
    await follow(adviceFor(error.next, 'retry', 'after-that'), hands);
    assert.equal(await sizeOf(nodes), keys.length);
  });
});
