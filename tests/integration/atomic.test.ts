import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError, type ClusterEvent, joinCluster, migrateSlots, replicate } from '../../lib/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  optionsFor,
  settled,
  snapshot,
  startMasters,
  tagOfSlot,
  tell,
} from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { adviceFor, follow as advised, refusalOf } from '../helpers/follow.ts';

const bed: Bed = await openBed();
after(() => bed.close());

const { kind, major, minor } = bed.server;
const isAtomic = kind === 'valkey' ? major >= 9 : major > 8 || (major === 8 && minor >= 4);
/** The end that is asked to move slots, and reports on it. */
const driverOf = (source: ServerNode, target: ServerNode): ServerNode =>
  kind === 'valkey' ? source : target;
/** The nodes that warnings name when atomic migration fails, is tried again, and gives way to MIGRATE. */
const triedTwice = (source: ServerNode, target: ServerNode): string[] => [
  driverOf(source, target).address,
  source.address,
];

/** Fills slots with keys, each of which takes the node this long when it migrates them. */
async function fill(node: ServerNode, slots: number, keysEach: number, delayUs = 0): Promise<string[]> {
  const keys = Array.from({ length: slots }, (_, slot) => keysOfSlot(slot, keysEach)).flat();
  await tell(node, ...keys.map((key) => ['SET', key, `value of ${key}`]));
  if (delayUs > 0) await tell(node, ['CONFIG', 'SET', 'rdb-key-save-delay', `${delayUs}`]);
  return keys;
}

async function assertKeys(node: ServerNode, keys: readonly string[]): Promise<void> {
  const client = new ClusterClient(node);
  const values = await Promise.all(keys.map((key) => client.get(key)));
  await client.close();
  assert.deepEqual(
    values,
    keys.map((key) => `value of ${key}`),
  );
}

/** States of the migrations that a node reports, the newest first. */
async function states(node: ServerNode): Promise<string[]> {
  const list = kind === 'valkey' ? ['GETSLOTMIGRATIONS'] : ['MIGRATION', 'STATUS', 'ALL'];
  const entries = (await ask(node, 'CLUSTER', ...list)) as string[][];
  return entries.map((entry) => at(entry, entry.indexOf('state') + 1));
}

const ENDED = ['success', 'failed', 'cancelled', 'completed', 'canceled'];

/** Fails if a slot is open or a migration is running. */
async function assertQuiet(nodes: readonly ServerNode[]): Promise<void> {
  assert.deepEqual(await openSlotsAt(nodes), []);
  for (const node of nodes) {
    assert.deepEqual(
      (await states(node)).filter((state) => !ENDED.includes(state)),
      [],
      node.address,
    );
    // A source may keep a failed one, and then refuses SETSLOT for its slots
    const info = String(await ask(node, 'CLUSTER', 'INFO'));
    assert.doesNotMatch(info, /^cluster_slot_migration_active_tasks:[1-9]/m, node.address);
  }
}

/** Begins a migration by hand, as a run that is then killed does. */
async function beginByHand(
  source: ServerNode,
  target: ServerNode,
  first: number,
  last: number,
): Promise<void> {
  const range = [`${first}`, `${last}`];
  if (kind === 'valkey') {
    await ask(source, 'CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...range, 'NODE', await idOfNode(target));
  } else await ask(target, 'CLUSTER', 'MIGRATION', 'IMPORT', ...range);
}

/** Collects events, and calls back when the migration has reached the snapshot. */
function follow(onSnapshot: () => void = () => undefined) {
  const events: ClusterEvent[] = [];
  let isCalled = false;
  const onEvent = (event: ClusterEvent) => {
    events.push(event);
    if (isCalled || event.type !== 'move-progress' || event.state === undefined) return;
    if (!['accumulate-buffer', 'receiving-snapshot'].includes(event.state)) return;
    isCalled = true;
    onSnapshot();
  };
  const methods = () => [
    ...new Set(
      events.flatMap((event) => (event.type.startsWith('move-') && 'method' in event ? [event.method] : [])),
    ),
  ];
  /** The nodes that warnings are about. */
  const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.node] : []));
  return { events, onEvent, methods, warnings };
}

describe('Atomic migration, on servers without it,', { skip: isAtomic, concurrency: true }, () => {
  it('falls back to MIGRATE with method "auto"', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 3, 20);
    const { onEvent, methods, warnings } = follow();
    const result = await migrateSlots(first.address, second.address, [[0, 4]], { onEvent });
    assert.deepEqual([result.slots, result.keys, methods(), warnings()], [5, 60, ['migrate'], []]);
    await assertKeys(first, keys);
  });

  it('is refused with method "atomic", with nothing changed', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const before = await snapshot(nodes);
    await assert.rejects(migrateSlots(first.address, second.address, [[0, 4]], { method: 'atomic' }), {
      code: 'METHOD_UNSUPPORTED',
      address: first.address,
      openSlots: [],
    });
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('is warned of in a dry run with method "atomic"', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const { onEvent, warnings } = follow();
    const options = { method: 'atomic' as const, dryRun: true, onEvent };
    const { applied, plan } = await migrateSlots(first.address, second.address, [[0, 4]], options);
    assert.deepEqual([applied, plan.steps.length], [false, 1]);
    assert.ok([first.address, second.address].includes(warnings().join()), warnings().join());
  });
});

describe('Atomic migration', { skip: !isAtomic, concurrency: 3 }, () => {
  it('moves slots of several ranges with every type of key, and reports it', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const key = (name: string) => `${name}\xff\x00\r\n:{${tagOfSlot(7)}}`;
    const keys = await fill(first, 5, 100);
    const many = Array.from({ length: 500 }, (_, index) => `member ${index} \xff\x00`);
    await tell(
      first,
      ['SET', key('string'), 'x\xff\x00\r\n'],
      ['SET', key('short-lived'), 'x', 'PX', '600000'],
      ['RPUSH', key('list'), ...many],
      ['SADD', key('set'), ...many],
      ['ZADD', key('sorted'), ...many.flatMap((member, index) => [`${index}.5`, member])],
      ['HSET', key('hash'), ...many.flatMap((member) => [member, 'v'])],
      ['XADD', key('stream'), '1-1', 'field', 'value'],
      ['XGROUP', 'CREATE', key('stream'), 'group', '0'],
      ['XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', key('stream'), '>'],
    );
    const { events, onEvent, methods, warnings } = follow();
    const slots = [1, 2, [4, 9], [100, 5461 - 1]] as (number | [number, number])[];
    const result = await migrateSlots(first.address, second.address, slots, { onEvent });
    assert.deepEqual([result.slots, result.keys], [8 + 5361, 307]);
    assert.deepEqual([methods(), warnings()], [['atomic'], []]);
    const pair = { source: first.address, target: second.address, method: 'atomic' };
    const starts = events.filter(({ type }) => type === 'move-start');
    assert.deepEqual(
      starts.map((event) => ({ ...event, bytes: 0 })),
      [{ type: 'move-start', ...pair, slots: 5369, keys: 307, bytes: 0 }],
    );
    const done = events.find((event) => event.type === 'move-done');
    assert.deepEqual([done?.slotsDone, done?.keysDone, done?.longestStallMs], [5369, 307, 0]);
    await assertLayout([
      [first, '0 3 10-99 5461'],
      [second, '1-2 4-9 100-5460 5462-10922'],
      [third, '10923-16383'],
    ]);
    await assertKeys(first, keys);
    const connection = await connectTo(second);
    assert.equal(await connection.command(['GET', key('string')]), 'x\xff\x00\r\n');
    assert.equal(await connection.command(['LLEN', key('list')]), 500);
    assert.equal(await connection.command(['SCARD', key('set')]), 500);
    assert.equal(await connection.command(['ZSCORE', key('sorted'), 'member 7 \xff\x00']), '7.5');
    assert.equal(await connection.command(['HLEN', key('hash')]), 500);
    assert.equal(await connection.command(['XLEN', key('stream')]), 1);
    assert.deepEqual(await connection.command(['XPENDING', key('stream'), 'group']), [
      1,
      '1-1',
      '1-1',
      [['me', '1']],
    ]);
    const ttl = Number(await connection.command(['PTTL', key('short-lived')]));
    connection.destroy();
    assert.ok(ttl > 540_000 && ttl <= 600_000, `${ttl} ms`);
    await assertQuiet(nodes);
  });

  it('moves all slots of a master', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 20, 20);
    const { onEvent, methods } = follow();
    await migrateSlots(first.address, second.address, [[0, 8191]], { method: 'atomic', onEvent });
    assert.deepEqual(methods(), ['atomic']);
    assert.match(String(await ask(second, 'CLUSTER', 'NODES')), /myself,master .* connected 0-16383/);
    await assertKeys(second, keys);
  });

  it('is not used with method "migrate" or with limits', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, 3, 10);
    const limits = { keysPerSecond: 1_000_000 };
    for (const [slot, options] of [{ method: 'migrate' as const }, { limits }].entries()) {
      const { onEvent, methods } = follow();
      await migrateSlots(first.address, second.address, [slot], { ...options, onEvent });
      assert.deepEqual(methods(), ['migrate']);
    }
    const before = await snapshot(nodes);
    await assert.rejects(migrateSlots(first.address, second.address, [2], { method: 'atomic', limits }), {
      code: 'METHOD_UNSUPPORTED',
    });
    assert.deepEqual(await snapshot(nodes), before);
    assert.deepEqual(await states(first), []);
  });

  it('gives way to MIGRATE if a slot was opened while the plan waited for approval', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, 3, 20);
    const [source, target] = [await idOfNode(first), await idOfNode(second)];
    const approve = async (): Promise<boolean> => {
      await tell(second, ['CLUSTER', 'SETSLOT', '9', 'IMPORTING', source]);
      await tell(first, ['CLUSTER', 'SETSLOT', '9', 'MIGRATING', target]);
      return true;
    };
    const { onEvent, methods } = follow();
    const options = { onEvent, approve };
    const result = await migrateSlots(first.address, second.address, [[0, 2]], options);
    assert.deepEqual([result.slots, result.keys, methods()], [3, 60, ['migrate']]);
    const close = () => Promise.all(nodes.map((node) => tell(node, ['CLUSTER', 'SETSLOT', '9', 'STABLE'])));
    await close();
    const refused = await refusalOf(
      migrateSlots(first.address, second.address, [3], { method: 'atomic', approve }),
    );
    assert.equal(refused.code, 'METHOD_UNSUPPORTED');
    assert.match(refused.message, /slot 9 is open/);
    const again = () => migrateSlots(first.address, second.address, [3], { method: 'atomic' });
    for (const next of refused.next) await advised(next, { nodes, again });
    await assertLayout([
      [first, '4-8 10-8191'],
      [second, '0-3 9 8192-16383'],
    ]);
  });

  // Redis hides such keys, and drops them for those that come.
  it('is refused while the target holds keys that it does not own, until these are settled', {
    skip: kind === 'redis',
  }, async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const [equal = '', other = ''] = keysOfSlot(4, 2);
    await tell(first, ['SET', equal, 'value'], ['SET', other, 'value']);
    await tell(
      second,
      ['CLUSTER', 'SETSLOT', '4', 'IMPORTING', await idOfNode(first)],
      ...[equal, other].flatMap((key, index) => [['ASKING'], ['SET', key, index === 0 ? 'value' : 'old']]),
      ['CLUSTER', 'SETSLOT', '4', 'STABLE'],
    );
    const again = () => migrateSlots(first.address, second.address, [4], { method: 'atomic' });
    const refused = await refusalOf(again());
    assert.equal(refused.code, 'METHOD_UNSUPPORTED');
    const undecided = await refusalOf(advised(adviceFor(refused.next, 'fix'), { nodes }));
    assert.equal(undecided.code, 'KEY_CONFLICT');
    await advised(adviceFor(undecided.next, 'fix', 'keys-unwanted'), { nodes });
    await advised(adviceFor(refused.next, 'retry', 'after-that'), { nodes, again });
    for (const key of [equal, other]) assert.equal(await ask(second, 'GET', key), 'value');
    await assertQuiet(nodes);
  });

  it('works between nodes with a password', async () => {
    const nodes = await startMasters(bed, 2, 0, { password: 'pass "word" \\' });
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, 3, 20);
    const options = { ...optionsFor(first), method: 'atomic' as const };
    const result = await migrateSlots(first.address, second.address, [[0, 2]], options);
    assert.deepEqual([result.slots, result.keys], [3, 60]);
    await assertQuiet(nodes);
  });

  it('falls back to MIGRATE if the server refuses it', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 3, 20);
    const command = kind === 'valkey' ? 'cluster|migrateslots' : 'cluster|migration';
    for (const node of nodes) {
      await tell(node, ['ACL', 'SETUSER', 'limited', 'on', '>secret', '~*', '&*', '+@all', `-${command}`]);
    }
    const options = { username: 'limited', password: 'secret' };
    const again = (more: object) =>
      migrateSlots(first.address, second.address, [[0, 2]], { ...options, method: 'atomic', ...more });
    const { code, resumable, openSlots, next } = await refusalOf(again({}));
    assert.deepEqual([code, resumable, openSlots], ['MIGRATE_FAILED', 'same-call', []]);
    const { onEvent, methods, warnings } = follow();
    const result = await migrateSlots(first.address, second.address, [[0, 2]], { ...options, onEvent });
    assert.deepEqual([result.slots, result.keys, methods()], [3, 60, ['atomic', 'migrate']]);
    assert.deepEqual(warnings(), triedTwice(first, second));
    await assertKeys(second, keys);
    // The same the other way round, once it is allowed.
    for (const node of nodes) await tell(node, ['ACL', 'SETUSER', 'limited', `+${command}`]);
    await migrateSlots(second.address, first.address, [[0, 2]]);
    await advised(adviceFor(next, 'retry', 'repaired'), { nodes, again });
    await assertKeys(second, keys);
  });

  it('falls back to MIGRATE if it fails twice', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 10, 100, 1000);
    const cancel = kind === 'valkey' ? ['CANCELSLOTMIGRATIONS'] : ['MIGRATION', 'CANCEL', 'ALL'];
    const stop = new AbortController();
    const spoiling = (async () => {
      while (!stop.signal.aborted) {
        await ask(first, 'CLUSTER', ...cancel).catch(() => undefined);
        await sleep(50);
      }
    })();
    const { onEvent, methods, warnings } = follow();
    const result = await migrateSlots(first.address, second.address, [[0, 9]], { onEvent });
    stop.abort();
    await spoiling;
    assert.deepEqual([result.slots, result.keys, methods()], [10, 1000, ['atomic', 'migrate']]);
    assert.deepEqual(warnings(), triedTwice(first, second));
    await assertKeys(second, keys);
    await assertQuiet(nodes);
  });

  // Redis uses a secret of its own for this.
  it('falls back to MIGRATE if the servers cannot log in to each other', {
    skip: kind === 'redis',
  }, async () => {
    const nodes = await startMasters(bed, 2, 0, { password: 'right' });
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, 3, 20);
    for (const node of nodes) await tell(node, ['CONFIG', 'SET', 'masterauth', 'wrong']);
    const { onEvent, methods, warnings } = follow();
    const options = { ...optionsFor(first), onEvent };
    const result = await migrateSlots(first.address, second.address, [[0, 2]], options);
    assert.deepEqual([result.slots, result.keys, methods()], [3, 60, ['atomic', 'migrate']]);
    assert.deepEqual(warnings(), triedTwice(first, second));
    await assertQuiet(nodes);
  });

  it('is cancelled when the signal aborts, with all keys and no slot open, and the same call continues', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 50, 200, 300);
    const reason = new Error('enough');
    const controller = new AbortController();
    const { onEvent } = follow(() => controller.abort(reason));
    const control = { signal: controller.signal, onEvent };
    const before = performance.now();
    const { moved } = await abortOf(migrateSlots(first.address, second.address, [[0, 999]], control), reason);
    assert.deepEqual([moved.slots, moved.planned], [0, 1000]);
    assert.ok(performance.now() - before < 30_000);
    await assertQuiet(nodes);
    await assertLayout([
      [first, '0-8191'],
      [second, '8192-16383'],
    ]);
    await assertKeys(first, keys);
    await tell(first, ['CONFIG', 'SET', 'rdb-key-save-delay', '0']);
    const result = await migrateSlots(first.address, second.address, [[0, 999]], { method: 'atomic' });
    assert.deepEqual([result.slots, result.keys], [1000, 10_000]);
    await assertKeys(second, keys);
  });

  it('of a run that was killed is waited for', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 50, 100, 300);
    await beginByHand(first, second, 0, 39);
    // Valkey counts keys as they arrive. They must not be taken for leftovers of MIGRATE.
    const countAt = (node: ServerNode) => ask(node, 'CLUSTER', 'COUNTKEYSINSLOT', '0');
    if (kind === 'valkey')
      await eventually('keys have arrived', async () => Number(await countAt(second)) > 0);
    const { onEvent, methods, warnings } = follow();
    const result = await migrateSlots(first.address, second.address, [[0, 49]], { onEvent });
    assert.deepEqual([result.slots, result.keys, methods(), warnings()], [50, 5000, ['atomic'], []]);
    assert.deepEqual((await states(first)).length, 2);
    await assertLayout([
      [first, '50-8191'],
      [second, '0-49 8192-16383'],
    ]);
    await assertKeys(first, keys);
  });

  it('waits for another migration of the same slots, and reports it', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, 30, 200, 500);
    await beginByHand(first, second, 0, 29);
    const { events, onEvent } = follow();
    await assert.rejects(
      migrateSlots(first.address, second.address, [[20, 49]], { onEvent, atomicTimeout: 1000, force: true }),
      { code: 'MIGRATE_FAILED', resumable: 'same-call', openSlots: [] },
    );
    assert.ok(events.some(({ type }) => type === 'waiting'));
    assert.ok((await states(driverOf(first, second))).some((state) => !ENDED.includes(state)));
    await tell(first, ['CONFIG', 'SET', 'rdb-key-save-delay', '0']);
  });

  it('runs for two pairs at once', async () => {
    const nodes = await startMasters(bed, 4);
    const [first, second, third, fourth] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    const keys = await fill(first, 20, 50, 100);
    const options = { method: 'atomic' as const };
    const results = await Promise.all([
      migrateSlots(first.address, second.address, [[0, 19]], options),
      migrateSlots(third.address, fourth.address, [[8192, 8292]], options),
    ]);
    assert.deepEqual(
      results.map(({ slots, keys }) => [slots, keys]),
      [
        [20, 1000],
        [101, 0],
      ],
    );
    await settled(nodes);
    await assertKeys(third, keys);
    await assertQuiet(nodes);
  });

  it('brings slots of several masters to one at once on Valkey, and one after the other on Redis', async () => {
    const nodes = await startMasters(bed, 3, 1);
    const [first, newcomer] = [at(nodes, 0), at(nodes, 3)];
    // Each master gives away its highest slots, which are among these.
    const keys = Array.from({ length: 320 }, (_, index) => `key:{${tagOfSlot(index * 51)}}`);
    const client = new ClusterClient(first);
    await Promise.all(keys.map((key) => client.set(key, `value of ${key}`)));
    await client.close();
    for (const node of nodes) await tell(node, ['CONFIG', 'SET', 'rdb-key-save-delay', '2000']);
    let [running, most, moves] = [0, 0, 0];
    const onEvent = ({ type }: ClusterEvent): void => {
      if (type === 'move-start') running += 1;
      if (type === 'move-done') running -= 1;
      most = Math.max(most, running);
      moves += type === 'move-done' ? 1 : 0;
    };
    await joinCluster(first.address, newcomer.address, { method: 'atomic', onEvent });
    assert.deepEqual([moves, most], [3, kind === 'valkey' ? 3 : 1]);
    await settled(nodes);
    await assertKeys(first, keys);
    await assertQuiet(nodes);
  });

  it('loses no acknowledged write', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 50, 100, 200);
    const acknowledged = new Map(keys.map((key) => [key, `value of ${key}`]));
    const stop = new AbortController();
    const lanes = Array.from({ length: 4 }, async (_, lane) => {
      const client = new ClusterClient(first);
      let count = 0;
      for (; !stop.signal.aborted; count++) {
        const key = at(keys, (Math.floor((Math.random() * keys.length) / 4) * 4 + lane) % keys.length);
        await client.set(key, `${lane} ${count}`);
        acknowledged.set(key, `${lane} ${count}`);
      }
      await client.close();
      return count;
    });
    const result = await migrateSlots(first.address, second.address, [[0, 49]], { method: 'atomic' });
    stop.abort();
    const counts = await Promise.all(lanes);
    assert.equal(result.keys, 5000);
    assert.ok(
      counts.every((count) => count > 50),
      `${counts}`,
    );
    const client = new ClusterClient(second);
    const values = await Promise.all(keys.map((key) => client.get(key)));
    await client.close();
    assert.deepEqual(
      values,
      keys.map((key) => acknowledged.get(key)),
    );
  });

  it('ends with an error in bounded time if the target hangs, and the same call continues', async () => {
    const nodes = await startMasters(bed, 2, 0, { config: { 'cluster-node-timeout': '60000' } });
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 50, 100, 500);
    const frozen: Promise<void>[] = [];
    const { onEvent } = follow(() => frozen.push(second.freeze()));
    const before = performance.now();
    await assert.rejects(
      migrateSlots(first.address, second.address, [[0, 49]], { onEvent, atomicTimeout: 800 }),
      (error: unknown) => {
        assert.ok(error instanceof ClusterError);
        assert.equal(error.address, second.address);
        assert.deepEqual([error.resumable, error.openSlots], ['same-call', []]);
        assert.equal(error.code, kind === 'redis' ? 'MIGRATE_FAILED' : 'NODE_UNREACHABLE');
        const cancel = error.next.find((next) => next.do === 'command');
        assert.equal(cancel?.node, kind === 'redis' ? second.address : undefined);
        return true;
      },
    );
    assert.ok(performance.now() - before < 30_000);
    assert.equal(frozen.length, 1);
    await second.thaw();
    await tell(first, ['CONFIG', 'SET', 'rdb-key-save-delay', '0']);
    await migrateSlots(first.address, second.address, [[0, 49]], { method: 'atomic', resume: true });
    await assertKeys(second, keys);
    await assertQuiet(nodes);
  });

  it('is cancelled if it makes no progress, and MIGRATE moves the slots', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = await fill(first, 2, 50, 2_000_000);
    const { onEvent, methods, warnings } = follow();
    const options = { onEvent, atomicTimeout: 500 };
    const result = await migrateSlots(first.address, second.address, [[0, 1]], options);
    assert.deepEqual([result.slots, result.keys, methods()], [2, 100, ['atomic', 'migrate']]);
    assert.deepEqual(warnings(), triedTwice(first, second));
    await assertKeys(second, keys);
    await assertLayout([
      [first, '2-8191'],
      [second, '0-1 8192-16383'],
    ]);
  });

  for (const end of ['source', 'target'] as const) {
    it(`loses no key if a replica takes over from the ${end} in the middle`, async () => {
      const nodes = await startMasters(bed, 2, 1);
      const [first, second, replica] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
      const keys = await fill(first, 50, 100, 500);
      const master = end === 'source' ? first : second;
      await replicate(master.address, replica.address);
      const { onEvent } = follow(() => void ask(replica, 'CLUSTER', 'FAILOVER', 'FORCE'));
      const moving = migrateSlots(first.address, second.address, [[0, 49]], { onEvent });
      // The target asks the current owner of the slots when it tries again
      if (kind === 'redis' && end === 'source') assert.equal((await moving).slots, 50);
      else {
        const code = end === 'source' ? 'NODES_DISAGREE' : 'NOT_A_MASTER';
        const error = await refusalOf(moving);
        assert.deepEqual([error.code, error.address, error.openSlots], [code, master.address, []]);
        if (end === 'source') {
          // It has failed over by then, and the new master stands in.
          const again = (options: object) => migrateSlots(first.address, second.address, [[0, 49]], options);
          await settled(nodes);
          const later = await refusalOf(
            advised(adviceFor(error.next, 'retry', 'after-that'), { nodes, again }),
          );
          assert.equal(later.code, 'SLOTS_NOT_HELD');
          await advised(adviceFor(later.next, 'resume'), { nodes, again });
          await assertKeys(second, keys);
          return;
        }
      }
      await settled(nodes);
      await assertQuiet(nodes);
      await assertKeys(replica, keys);
    });

    it(`names the ${end} that dies in the middle, and the same call continues`, async () => {
      const nodes = await startMasters(bed, 2, 0, { config: { 'cluster-node-timeout': '60000' } });
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      const victim = end === 'source' ? first : second;
      await fill(first, 50, 100, 500);
      const killed: Promise<void>[] = [];
      const { onEvent } = follow(() => killed.push(victim.kill()));
      await assert.rejects(
        migrateSlots(first.address, second.address, [[0, 49]], { onEvent, atomicTimeout: 1000 }),
        { code: 'NODE_UNREACHABLE', address: victim.address, resumable: 'same-call', openSlots: [] },
      );
      await Promise.all(killed);
      await victim.restart();
      await settled(nodes);
      await eventually('no migration is running', () => assertQuiet(nodes).then(() => true));
      const keys = end === 'source' ? await fill(first, 3, 10) : [];
      await migrateSlots(first.address, second.address, [[0, 49]], { method: 'atomic' });
      await assertLayout([
        [first, '50-8191'],
        [second, '0-49 8192-16383'],
      ]);
      await assertKeys(second, keys);
    });
  }
});
