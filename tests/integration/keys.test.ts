import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { backupCluster, type KeySurvey, surveyBackup, surveyKeys } from '../../lib/index.ts';
import { ask, connectTo } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { assertSoon, at, bePatient, idOfNode, startPairs, tell } from '../helpers/clusters.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
/** Three masters, then a replica of each. */
let nodes: ServerNode[];
let dir: string;
const SESSIONS = 300;
const BINARY = 'bin:\xff\x00key';
const PREFIXES = { 'sess:': SESSIONS, 'feed:': 40, '{*}:': 30, 'bin:': 1, none: 2 };
const TOTAL = Object.values(PREFIXES).reduce((sum, keys) => sum + keys, 0);

before(async () => {
  bed = await openBed();
  nodes = await startPairs(bed);
  await bePatient(nodes);
  dir = mkdtempSync(join(tmpdir(), 'redis-trib-keys-'));
  const client = new ClusterClient(at(nodes, 0));
  const write = (key: string, ...rest: string[]): Promise<unknown> => {
    const [name = '', ...more] = rest;
    return client.command(key, [name, key, ...more]);
  };
  const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
  await Promise.all([
    ...range(SESSIONS).map((index) => write(`sess:${index}:x`, 'SET', 'x'.repeat(20), 'EX', '3000')),
    ...range(40).map((index) => write(`feed:${index}`, 'ZADD', '1', 'one', '2', 'two')),
    ...range(30).map((index) => write(`{${index}}:cart`, 'HSET', 'field', 'value')),
    write(BINARY, 'SET', 'value'),
    write('alone', 'RPUSH', ...range(2000).map((index) => `item-${index}`)),
    write('single', 'SADD', 'a'),
  ]);
  await client.close();
});
after(async () => {
  await bed.close();
  rmSync(dir, { recursive: true, force: true });
});

const seed = (): ServerNode => at(nodes, 0);

/** Waits until every replica has all that its master has. */
const copied = (): Promise<void> =>
  assertSoon(async () => {
    for (const [index, master] of nodes.slice(0, 3).entries()) {
      const size = await ask(master, 'DBSIZE');
      assert.equal(await ask(at(nodes, index + 3), 'DBSIZE'), size);
    }
  });

function assertWhole(survey: KeySurvey): void {
  assert.deepEqual([survey.complete, survey.sampled, survey.keys, survey.read], [true, false, TOTAL, TOTAL]);
  const counts = Object.fromEntries(survey.prefixes.map(({ prefix, keys }) => [prefix ?? 'none', keys]));
  assert.deepEqual(counts, PREFIXES);
  assert.ok(survey.prefixes.every(({ exact, largestBytes }) => exact && largestBytes > 0));
  assert.deepEqual(survey.others, { keys: 0, bytes: 0 });
  assert.deepEqual(Object.fromEntries(survey.types.map(({ type, keys }) => [type, keys])), {
    ...{ string: SESSIONS + 1, zset: 40, hash: 30, list: 1, set: 1 },
  });
  assert.deepEqual(Object.fromEntries(survey.timesToLive.map(({ within, keys }) => [within, keys])), {
    ...{ hour: SESSIONS, never: TOTAL - SESSIONS },
  });
  assert.deepEqual([survey.biggest[0]?.key, survey.biggest[0]?.type], ['alone', 'list']);
  const sum = survey.prefixes.reduce((all, { bytes }) => all + bytes, 0);
  assert.equal(sum, survey.bytes);
}

/** What servers count of writes and of uses of keys. */
const stateOf = (): Promise<unknown[]> =>
  Promise.all(
    nodes.map(async (node) => {
      const info = String(await ask(node, 'INFO', 'all'));
      const commands = [...info.matchAll(/^cmdstat_(\w+)\S*:calls=(\d+)/gm)].filter(([, name = '']) =>
        /^(set|del|expire|restore|zadd|hset|unlink|migrate)$/.test(name),
      );
      const changes = /^rdb_changes_since_last_save:(\d+)/m.exec(info)?.[1];
      return [changes, commands.map(([text]) => text)];
    }),
  );

describe('surveyKeys()', () => {
  it('sums up all keys, from replicas, and changes nothing', async () => {
    await copied();
    const before = await stateOf();
    const survey = await surveyKeys(seed().address);
    assertWhole(survey);
    assert.deepEqual(await stateOf(), before);
    assert.deepEqual(
      survey.sources.map(({ kind }) => kind),
      ['replica', 'replica', 'replica'],
    );
    const masters = nodes.slice(0, 3).map(({ address }) => address);
    assert.deepEqual(survey.sources.map(({ master }) => master).sort(), masters.sort());
    assert.ok(survey.biggest.every(({ on }) => masters.includes(on)));
    assert.equal(survey.bytesAre, 'memory');
  });

  it('reports the memory that servers report', async () => {
    const { biggest } = await surveyKeys(seed().address, { top: TOTAL });
    const client = new ClusterClient(seed());
    for (const { key, bytes } of biggest.slice(0, 20)) {
      const usage = Number(await client.command(key, ['MEMORY', 'USAGE', key]));
      assert.ok(Math.abs(usage - bytes) <= 0.2 * usage, `${key}: ${bytes}, ${usage}`);
    }
    await client.close();
  });

  it('lists keys that match, by more parts, and the rest of the prefixes together', async () => {
    const some = await surveyKeys(seed().address, { match: 'sess:1?:*', depth: 2, top: 4 });
    assert.deepEqual([some.keys, some.prefixes.length, some.others.keys], [10, 4, 6]);
    assert.match(some.prefixes[0]?.prefix ?? '', /^sess:1\d:$/);
    const [carts] = (await surveyKeys(seed().address, { match: '*cart', separator: 'c' })).prefixes;
    assert.deepEqual([carts?.prefix, carts?.keys], ['{*}:c', 30]);
  });

  it('estimates from a sample', async () => {
    const survey = await surveyKeys(seed().address, { sample: 50 });
    assert.deepEqual([survey.complete, survey.sampled], [true, true]);
    assert.ok(survey.read > 100 && survey.read <= 156, `${survey.read}`);
    assert.ok(Math.abs(survey.keys - TOTAL) <= 5, `${survey.keys}`);
    const sessions = survey.prefixes.find(({ prefix }) => prefix === 'sess:')?.keys ?? 0;
    assert.ok(Math.abs(sessions - SESSIONS) < 100, `${sessions}`);
    const all = await surveyKeys(seed().address, { sample: 100_000 });
    assert.deepEqual([all.keys, all.read], [TOTAL, TOTAL]);
  });

  it('shows it as text and as JSON, binary keys as everywhere', async () => {
    const text = await runMain(['keys', seed().address]);
    assert.deepEqual([text.code, text.stderr, /undefined|NaN|Infinity/.test(text.stdout)], [0, '', false]);
    for (const word of ['"sess:"', '"{*}:"', '(none)', 'zset', 'within an hour', '"alone"', 'never'])
      assert.ok(text.stdout.includes(word), word);
    const { code, stdout } = await runMain(['keys', seed().address, '--match', 'bin:*', '--json']);
    const { biggest, prefixes } = JSON.parse(stdout) as {
      biggest: { key: unknown }[];
      prefixes: { largest: unknown }[];
    };
    const key = { base64: Buffer.from(BINARY, 'latin1').toString('base64') };
    assert.deepEqual([code, biggest[0]?.key, prefixes[0]?.largest], [0, key, key]);
  });

  it('keeps to a rate, and ends in time with what was found', async () => {
    const started = performance.now();
    const limited = await surveyKeys(seed().address, { limits: { keysPerSecond: 250 } });
    assertWhole(limited);
    assert.ok(performance.now() - started > 400);
    const cut = await surveyKeys(seed().address, { limits: { keysPerSecond: 1 }, timeout: 300 });
    assert.equal(cut.complete, false);
    assert.ok(cut.read < TOTAL);
    assert.ok(cut.sources.some(({ error }) => error !== null));
    const ran = await runMain(['keys', seed().address, '--max-keys-per-second', '1', '--timeout', '300']);
    assert.equal(ran.code, 1);
  });

  it('works for a user who may not ask for sizes', async () => {
    const rules = ['on', '>secret', '~*', '+@all', '-memory'];
    for (const node of nodes) await tell(node, ['ACL', 'SETUSER', 'sizeless', ...rules]);
    const survey = await surveyKeys(seed().address, { username: 'sizeless', password: 'secret' });
    assert.deepEqual(
      [survey.keys, survey.bytes, survey.bytesAre, survey.complete],
      [TOTAL, 0, 'unknown', true],
    );
    for (const node of nodes) await tell(node, ['ACL', 'DELUSER', 'sizeless']);
  });

  it('refuses what makes no sense', async () => {
    for (const options of [
      { depth: 0 },
      { top: 0 },
      { separator: '' },
      { sample: 0 },
      { timeout: Number.NaN },
    ])
      await assert.rejects(surveyKeys(seed().address, options), { code: 'INVALID_ARGUMENT' });
    assert.equal((await runMain(['keys'])).code, 2);
    assert.equal((await runMain(['keys', seed().address, '--dir', dir])).code, 2);
    assert.equal((await runMain(['keys', '--dir', dir, '--sample', '5'])).code, 2);
  });
});

describe('surveyKeys() while slots move', () => {
  it('says that keys of these slots may not be counted', async () => {
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await tell(second, ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', await idOfNode(second)]);
    try {
      const survey = await surveyKeys(seed().address);
      assert.deepEqual([survey.movedSlots, survey.complete, survey.keys], [1, false, TOTAL]);
    } finally {
      for (const node of [first, second]) await tell(node, ['CLUSTER', 'SETSLOT', '5', 'STABLE']);
    }
  });
});

describe('surveyBackup()', () => {
  it('sums up the same keys without a server, and names a file that is damaged', async () => {
    const path = join(dir, 'backup');
    const { manifest } = await backupCluster(seed().address, { dir: path });
    assertWhole(await surveyBackup(path));
    const matching = await surveyBackup(path, { match: 'sess:1?:*', depth: 2 });
    assert.deepEqual([matching.keys, matching.prefixes.length, matching.bytesAre], [10, 10, 'file']);
    const { code, stdout, stderr } = await runMain(['keys', '--dir', path], {
      env: { REDIS_TRIB_CLUSTER: '127.0.0.1:1' },
    });
    assert.deepEqual([code, stderr, stdout.includes('"alone"')], [0, '', true]);

    const [file] = manifest.masters;
    assert.ok(file);
    const bytes = readFileSync(join(path, file.file));
    writeFileSync(join(path, file.file), bytes.with(bytes.length - 12, 0x55 ^ (bytes.at(-12) ?? 0)));
    const damaged = await surveyBackup(path);
    assert.equal(damaged.complete, false);
    const named = damaged.sources.filter(({ error }) => error !== null).map(({ name }) => name);
    assert.deepEqual(named, [file.file]);
    assert.equal((await runMain(['keys', '--dir', path])).code, 1);
    await assert.rejects(surveyBackup(join(dir, 'nowhere')), { code: 'FILE_FAILED' });
  });
});

// The last, since it takes a node away.
describe('surveyKeys() when nodes fail', () => {
  it('reads masters whose replicas are not in sync, and names a node that dies in the middle', async () => {
    const [, , , lost, frozen] = nodes;
    assert.ok(lost && frozen);
    await lost.kill();
    const survey = await surveyKeys(seed().address);
    assertWhole(survey);
    assert.deepEqual(survey.sources.map(({ kind }) => kind).sort(), ['master', 'replica', 'replica']);

    let isFrozen = false;
    const survives = await surveyKeys(seed().address, {
      commandTimeout: 1500,
      limits: { keysPerSecond: 300 },
      onCommands: (commands, node) => {
        if (isFrozen || node !== frozen.address || !commands.some(([name]) => name === 'TYPE')) return;
        isFrozen = true;
        void frozen.kill();
      },
    });
    assert.ok(isFrozen);
    assert.equal(survives.complete, false);
    const named = survives.sources.filter(({ error }) => error !== null).map(({ name }) => name);
    assert.deepEqual(named, [frozen.address]);
    assert.ok(survives.keys > 0 && survives.keys < TOTAL);
    const connection = await connectTo(seed());
    assert.equal(await connection.command(['PING']), 'PONG');
    await connection.close();
  });
});
