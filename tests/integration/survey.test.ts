import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, type MoveStep, migrateSlots, type OperationResult } from '../../lib/index.ts';
import type { MoveContent } from '../../lib/plan/plan.ts';
import { ask, connectTo } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { at, keysOfSlot, snapshot, startMasters, tagOfSlot, tell } from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const MB = 1024 * 1024;

function contentOf({ plan }: OperationResult): MoveContent {
  const move = plan.steps.find((step): step is MoveStep => step.type === 'move-slots');
  assert.ok(move?.content);
  return move.content;
}

/** How often a node has run this command since the last call. */
async function callsOf(node: ServerNode, command: string): Promise<number> {
  const text = String(await ask(node, 'INFO', 'commandstats'));
  await ask(node, 'CONFIG', 'RESETSTAT');
  const calls = [...text.matchAll(new RegExp(`^cmdstat_${command}[^:]*:calls=(\\d+)`, 'gm'))];
  return calls.reduce((sum, [, count]) => sum + Number(count), 0);
}

async function fill(node: ServerNode, keys: readonly string[], value: string): Promise<void> {
  const connection = await connectTo(node);
  for (let from = 0; from < keys.length; from += 10_000) {
    const replies = await connection.pipeline(
      keys.slice(from, from + 10_000).map((key) => ['SET', key, value]),
    );
    for (const reply of replies) assert.equal(reply, 'OK');
  }
  connection.destroy();
}

describe('survey()', { concurrency: true }, () => {
  it('finds big keys and lists them in a dry run, which changes nothing', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 50), 'small');
    const [big, binary, other] = [
      `big{${tagOfSlot(7)}}`,
      `\xff\x00{${tagOfSlot(8)}}`,
      `big{${tagOfSlot(9)}}`,
    ];
    await fill(first, [big, other], 'x'.repeat(9 * MB));
    await fill(first, [binary], 'x'.repeat(10 * MB));
    const earlier = await snapshot(nodes);
    const result = await migrateSlots(first.address, second.address, [[5, 8]], { dryRun: true });
    const { keys, bytes, bigKeys } = contentOf(result);
    assert.equal(keys, 52);
    // The server counts allocated memory, which is up to a quarter more than the length of the value.
    assert.deepEqual(
      bigKeys.map(({ key, slot }) => [key, slot]),
      [
        [binary, 8],
        [big, 7],
      ],
    );
    for (const key of bigKeys) assert.ok(key.bytes > 9 * MB && key.bytes < 13 * MB, `${key.bytes}`);
    assert.ok(bytes > 19 * MB && bytes < 26 * MB, `${bytes}`);
    assert.deepEqual(await snapshot(nodes), earlier);

    const { code, stdout, stderr } = await runMain([
      'migrate_slots',
      '--dry-run',
      first.address,
      second.address,
      '5-7',
    ]);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /: 5-7 \(51 keys, \S+ MB\)\n {5}big key "big\{.*\}": \S+ MB \(slot 7\)\n/);
  });

  it('uses the size given as the limit for big keys', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, [`a{${tagOfSlot(7)}}`], 'x'.repeat(20_000));
    await fill(first, [`b{${tagOfSlot(7)}}`], 'x'.repeat(10_000));
    const options = { dryRun: true, bigKeySize: 15_000 };
    const { bigKeys } = contentOf(await migrateSlots(first.address, second.address, [7], options));
    assert.deepEqual(
      bigKeys.map(({ key }) => key[0]),
      ['a'],
    );
  });

  it('measures no key if none can be big or it would not matter, and estimates the size instead', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 3000), 'x'.repeat(1000));
    await fill(first, keysOfSlot(8, 1000), 'x'.repeat(1000));
    await callsOf(first, 'memory');
    const plan = (options: object) =>
      migrateSlots(first.address, second.address, [7], { dryRun: true, ...options });
    const { keys, bytes, bigKeys } = contentOf(await plan({}));
    assert.deepEqual([keys, bigKeys], [3000, []]);
    assert.ok(bytes > 2.5 * MB && bytes < 4.5 * MB, `${bytes}`);
    for (const options of [
      { bigKeySize: Number.POSITIVE_INFINITY },
      { bigKeySize: 100, maxStall: Number.POSITIVE_INFINITY },
      { bigKeySize: 100, method: 'atomic' },
    ]) {
      await plan(options);
    }
    assert.equal(await callsOf(first, 'memory'), 0);
    await plan({ bigKeySize: 100 });
    assert.equal(await callsOf(first, 'memory'), 3000);
  });

  it('measures no key if the server says that all are short strings', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 100), 'x'.repeat(1000));
    const plan = () => migrateSlots(first.address, second.address, [7], { dryRun: true, bigKeySize: 10_000 });
    const knows = bed.server.kind === 'redis' && bed.server.major >= 8;
    await callsOf(first, 'memory');
    await plan();
    assert.equal(await callsOf(first, 'memory'), knows ? 0 : 100);
    await tell(first, ['RPUSH', `list{${tagOfSlot(7)}}`, 'x']);
    await plan();
    assert.equal(await callsOf(first, 'memory'), 101);
  });

  it('finds a key in a slot that is too full to list at once', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 30_000), 'x');
    await fill(first, keysOfSlot(8, 500), 'x');
    const big = `big{${tagOfSlot(7)}}`;
    await fill(first, [big, `big{${tagOfSlot(9)}}`], 'x'.repeat(100_000));
    await callsOf(first, 'scan');
    const options = { dryRun: true, bigKeySize: 50_000 };
    const content = contentOf(await migrateSlots(first.address, second.address, [7, 8], options));
    assert.deepEqual([content.keys, content.bigKeys.map(({ key }) => key)], [30_501, [big]]);
    const calls = await callsOf(first, 'scan');
    assert.ok(calls > 20, `${calls} SCAN`);
  });

  it('reports its progress, and stops when its signal aborts', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, Array.from({ length: 200 }, (_, slot) => keysOfSlot(slot, 1000)).flat(), 'x');
    // The server does not report the size of a list.
    await tell(first, ['RPUSH', `list{${tagOfSlot(300)}}`, 'x']);
    const stop = new AbortController();
    const reason = new Error('enough');
    const events: ClusterEvent[] = [];
    const moving = migrateSlots(first.address, second.address, [[0, 199]], {
      bigKeySize: 1000,
      method: 'migrate',
      signal: stop.signal,
      onEvent: (event) => {
        events.push(event);
        if (event.type === 'waiting') stop.abort(reason);
      },
    });
    const { moved } = await abortOf(moving, reason);
    assert.deepEqual([moved.slots, moved.keys], [0, 0]);
    const progress = events.find((event) => event.type === 'waiting');
    assert.match(progress?.missing[0] ?? '', new RegExp(`^${first.address}: \\d+ of 200000 keys `));
    assert.equal(await ask(second, 'DBSIZE'), 0);
  });

  it('continues with a warning if the ACL user may not measure keys', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 10), 'x'.repeat(1000));
    for (const node of nodes) {
      await tell(node, ['ACL', 'SETUSER', 'mover', 'on', '>secret', '~*', '+@all', '-memory']);
    }
    const warnings: unknown[] = [];
    const result = await migrateSlots(first.address, second.address, [7], {
      username: 'mover',
      password: 'secret',
      dryRun: true,
      bigKeySize: 100,
      onEvent: (event) => event.type === 'warning' && warnings.push(event.node),
    });
    assert.deepEqual([contentOf(result).keys, contentOf(result).bigKeys], [10, []]);
    assert.deepEqual(warnings, [first.address]);
  });

  it('counts and measures keys of all databases', async (test) => {
    if (bed.server.kind !== 'valkey' || bed.server.major < 9) return test.skip('only one database');
    const config = { 'cluster-databases': '16' };
    const nodes = await startMasters(bed, 2, 0, { config });
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await fill(first, keysOfSlot(7, 10), 'x');
    const big = `big{${tagOfSlot(7)}}`;
    await tell(
      first,
      ['SELECT', '3'],
      ['SET', big, 'x'.repeat(100_000)],
      ['SET', `small{${tagOfSlot(7)}}`, 'x'],
    );
    const options = { dryRun: true, bigKeySize: 50_000 };
    const content = contentOf(await migrateSlots(first.address, second.address, [7], options));
    assert.deepEqual([content.keys, content.bigKeys.map(({ key, db }) => [key, db])], [12, [[big, 3]]]);
  });
});
