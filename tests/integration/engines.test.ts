import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  backupCluster,
  type ConnectionOptions,
  compareKeys,
  importKeys,
  restoreCluster,
} from '../../lib/index.ts';
import { type Command, type Connection, ReplyError } from '../../resp/index.ts';
import { connectTo } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { type ServerName, serverNames } from '../bed/servers.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, startMasters } from '../helpers/clusters.ts';
import { failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { fc } from '../helpers/properties.ts';
import { type AskServer, seenByClients } from '../helpers/seen-values.ts';

const guide = readFileSync(new URL('../../docs/engines.md', import.meta.url), 'utf8');
const later = Date.now() + 7_200_000;

let bed: Bed;
let masters: ServerNode[];
let client: ClusterClient;
before(async () => {
  bed = await openBed();
  masters = await startMasters(bed, 2);
  client = new ClusterClient(at(masters, 0));
});
after(async () => {
  await client.close();
  await bed.close();
});

const titleOf = ({ kind, version }: Bed['server']) =>
  `${kind === 'redis' ? 'Redis' : 'Valkey'} ${version.split('.').slice(0, 2).join('.')}`;

/** What stays behind by the table of the guide, from this server to that of the cluster. */
function stays(from: string, to: string): string[] {
  const rows = guide.split('\n').filter((line) => line.startsWith('|'));
  const cells = (line = '') =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const column = cells(rows[0]).indexOf(to);
  const row = rows.map(cells).find(([name]) => name === from);
  const cell = row?.[column];
  assert.ok(cell !== undefined, `the guide has a cell for ${from} to ${to}`);
  return cell === 'all' ? [] : cell.replace(/^not /, '').split(', ');
}

/** More than is read at once, in few entries, which files cannot compress. */
const PARTED = 'stream:parts';
const large = createHash('shake256', { outputLength: 900_000 }).update(PARTED).digest().toString('latin1');

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `${index}`);
const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.uint8Array({ maxLength: 80 }).map((some) => Buffer.from(some).toString('latin1')),
  fc.integer().map(String),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  fc.constantFrom('x'.repeat(70), 'y'.repeat(5000), 'z'.repeat(70_000)),
);
const texts = fc.uniqueArray(text, { minLength: 1, maxLength: 40 });
const score = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number.toPrecision(17)),
  fc.constantFrom('inf', '-inf', '-0', '0', '3', '1e300', '0.1'),
);
const made = fc.oneof(
  text.map((value) => ['SET', value]),
  texts.map((values) => ['RPUSH', ...values]),
  texts.map((values) => ['SADD', ...values]),
  fc.uniqueArray(fc.integer(), { minLength: 1 }).map((values) => ['SADD', ...values.map(String)]),
  texts.map((values) => ['HSET', ...values.flatMap((field) => [field, `of ${field}`])]),
  fc
    .tuple(texts, fc.array(score, { minLength: 40, maxLength: 40 }))
    .map(([values, scores]) => ['ZADD', ...values.flatMap((member, index) => [at(scores, index), member])]),
);

/** Commands that write every type that a server has, in every encoding, with any bytes. */
function writes({ kind, major, minor }: Bed['server']): string[][] {
  const all = fc
    .sample(made, { numRuns: 150, seed: 20_261_128 })
    .map(([name = '', ...rest], index) => [name, `made:${index}`, ...rest]);
  const many = numbers(3000);
  all.push(
    ['SET', 'empty', ''],
    ['SET', '', 'no name'],
    ['SET', '\x00\xff{\r\n', '\x00\xff\r\n'],
    ['SET', 'goes', 'value', 'PX', '9000000'],
    ['SETBIT', 'bits', '80000', '1'],
    ['PFADD', 'hll', ...many],
    ['RPUSH', 'list:big', ...many.map((one) => `${one}-`.repeat(20))],
    ['SADD', 'set:big', ...many.map((one) => `m${one}`)],
    ['ZADD', 'zset:big', ...many.flatMap((one) => [`${one}.5`, `m${one}`])],
    ['HSET', 'hash:big', ...many.flatMap((one) => [`f${one}`, one])],
    ...numbers(300).map((id) => [
      'XADD',
      'stream',
      `${id}-1`,
      'field',
      id,
      ...(Number(id) % 3 ? ['more', '1'] : []),
    ]),
    ['XADD', 'stream', '18446744073709551614-18446744073709551615', 'last', 'id'],
    ['XDEL', 'stream', '7-1', '8-1'],
    ['XGROUP', 'CREATE', 'stream', 'group', '0'],
    ['XGROUP', 'CREATE', 'stream', 'idle', '$'],
    ['XREADGROUP', 'GROUP', 'group', 'one', 'COUNT', '20', 'STREAMS', 'stream', '>'],
    ['XREADGROUP', 'GROUP', 'group', 'two', 'COUNT', '5', 'STREAMS', 'stream', '>'],
    ['XACK', 'stream', 'group', '1-1'],
    ...numbers(6).map((id) => ['XADD', PARTED, `${id}-1`, 'field', `${id}${large}`, id, '']),
    ['XADD', PARTED, '18446744073709551614-18446744073709551615', 'last', 'id'],
    ['XDEL', PARTED, '1-1', '18446744073709551614-18446744073709551615'],
    ['XGROUP', 'CREATE', PARTED, 'group', '0'],
    ['XGROUP', 'CREATE', PARTED, 'idle', '$'],
    ['XREADGROUP', 'GROUP', 'group', 'one', 'COUNT', '2', 'STREAMS', PARTED, '>'],
    ['XREADGROUP', 'GROUP', 'group', 'two\xff', 'COUNT', '1', 'STREAMS', PARTED, '>'],
    ['XREADGROUP', 'GROUP', 'group', 'three', 'STREAMS', PARTED, '0'],
    ['XACK', PARTED, 'group', '0-1'],
    ['XADD', 'stream:empty', '1-1', 'field', 'value'],
    ['XDEL', 'stream:empty', '1-1'],
  );
  const isRedis8 = kind === 'redis' && major >= 8;
  if (isRedis8 || (kind === 'valkey' && major >= 9)) {
    all.push(
      ['HSET', 'f:small', 'a', '1', 'b', '2'],
      ['HSET', 'f:big', ...many.flatMap((one) => [one, one])],
    );
    all.push(['HPEXPIREAT', 'f:small', `${later}`, 'FIELDS', '1', 'a']);
    all.push(['HPEXPIREAT', 'f:big', `${later + 5}`, 'FIELDS', '2', '1', '2']);
    // No field expires any more.
    all.push(['HSET', 'was-f', 'a', '1'], ['HPEXPIREAT', 'was-f', `${later}`, 'FIELDS', '1', 'a']);
    all.push(['HPERSIST', 'was-f', 'FIELDS', '1', 'a']);
  }
  if (isRedis8) all.push(['VADD', 'v:vectors', 'VALUES', '3', '1', '2', '3', 'element']);
  if (isRedis8 && minor >= 6)
    all.push(['XADD', 'stream:once', 'IDMP', 'producer', 'once', '*', 'field', 'value']);
  return all;
}

async function flush(): Promise<void> {
  for (const node of masters) {
    const connection = await connectTo(node);
    await connection.command(['FLUSHALL']);
    await connection.close();
  }
}

/** An error in place of a value: a server may not know a command. */
const asking =
  (connection: Connection): AskServer =>
  (command) =>
    connection.command(command).catch((error: unknown) => {
      if (error instanceof ReplyError) return null;
      throw error;
    });
const askingCluster =
  (key: string): AskServer =>
  (command) =>
    client.command(key, command).catch((error: unknown) => {
      if (error instanceof ReplyError) return null;
      throw error;
    });

/** Options with which the keys are noted that are read and written whole. */
function noting(): Required<Pick<ConnectionOptions, 'onCommands'>> & { readonly whole: Set<unknown> } {
  const whole = new Set<unknown>();
  const onCommands = (commands: readonly Command[]): void => {
    for (const [name, key] of commands) if (name === 'DUMP' || name === 'RESTORE') whole.add(key);
  };
  return { onCommands, whole };
}

async function compareAll(source: Connection, left: readonly string[]): Promise<number> {
  const keys = (await source.command(['KEYS', '*'])) as string[];
  for (const key of keys) {
    const there = await seenByClients(askingCluster(key), key);
    if (left.includes(key)) assert.deepEqual(there, ['none', null], `${key} was left`);
    else {
      assert.deepEqual(there, await seenByClients(asking(source), key), JSON.stringify(key));
      const [ttl, other] = [await source.command(['PTTL', key]), await client.command(key, ['PTTL', key])];
      assert.ok(Math.abs(Number(ttl) - Number(other)) < 10_000, `${key} has ${other} ms to live, not ${ttl}`);
    }
  }
  return keys.length;
}

describe('importKeys() to the server under test', () => {
  for (const name of serverNames) {
    it(`brings every value of ${name}, or says which it leaves`, async () => {
      await using other = await openBed({ server: name as ServerName });
      const [source] = await other.start(1, { cluster: false, config: {} });
      assert.ok(source, 'a server');
      const reader = await connectTo(source);
      await flush();
      for (const command of writes(other.server)) await reader.command(command);
      const prefixes = stays(titleOf(other.server), titleOf(bed.server));
      const all = (await reader.command(['KEYS', '*'])) as string[];
      const left = all.filter((key) => prefixes.some((prefix) => key.startsWith(`${prefix}:`))).sort();

      const [seed, from] = [at(masters, 0).address, source.address];
      const dry = await importKeys(seed, from, { dryRun: true });
      const foreseen = dry.left.flatMap(({ examples }) => examples).sort();
      assert.deepEqual(foreseen, left, 'the dry run names what stays');
      const { whole, ...options } = noting();
      const run = () => importKeys(seed, from, { source: options, ...options });
      if (left.length === 0) assert.equal((await run()).keys, all.length);
      else {
        const { code, keys = [] } = await failureOf(run());
        assert.deepEqual([code, [...keys].sort()], ['KEYS_LEFT_BEHIND', left]);
      }
      assert.equal(await compareAll(reader, left), all.length);
      // Said again it finds all that it wrote, and the exit code tells of what it left.
      const [from8, to86] = [other.server.version.startsWith('8.0'), bed.server.version.startsWith('8.6')];
      const mayDiffer = other.server.kind === 'redis' && from8 && to86 ? ['v:vectors'] : [];
      const again = left.length + mayDiffer.length === 0 ? await run() : await failureOf(run());
      if (left.length > 0) assert.equal('code' in again && again.code, 'KEYS_LEFT_BEHIND');
      else if (mayDiffer.length > 0) assert.deepEqual('code' in again && again.keys, mayDiffer);
      else assert.deepEqual('same' in again && [again.keys, again.same], [0, all.length]);
      assert.ok(!whole.has(PARTED) && whole.has('stream'), 'only what is large is copied in parts');
      const compared = await compareKeys(from, seed, { rounds: 1 });
      const differing = compared.differences.map(({ key }) => key).sort();
      assert.deepEqual(differing, [...left, ...mayDiffer].sort(), 'the comparison finds the same');
      assert.deepEqual([compared.keys, compared.equal], [all.length, differing.length === 0]);
      const { code } = await runMain(['import', seed, '--from', from, '--yes', '--json']);
      assert.equal(code, left.length + mayDiffer.length === 0 ? 0 : 1);
      await reader.close();
    });
  }
});

describe('restoreCluster() to the server under test', () => {
  const home = mkdtempSync(join(tmpdir(), 'redis-trib-engines-'));
  after(() => rmSync(home, { recursive: true }));

  for (const name of ['redis-8.6', 'valkey-9.1'] as const) {
    it(`brings a backup of ${name}, or says what it leaves`, async () => {
      await using other = await openBed({ server: name });
      const [only] = await startMasters(other, 1);
      assert.ok(only, 'a server');
      const reader = await connectTo(only);
      await flush();
      for (const command of writes(other.server)) await reader.command(command);
      const prefixes = stays(titleOf(other.server), titleOf(bed.server));
      const all = (await reader.command(['KEYS', '*'])) as string[];
      const left = all.filter((key) => prefixes.some((prefix) => key.startsWith(`${prefix}:`))).sort();
      const dir = join(home, name);
      await backupCluster(only.address, { dir });
      const { whole, ...options } = noting();
      const run = () => restoreCluster(at(masters, 0).address, { dir, ...options });
      if (left.length === 0) assert.equal((await run()).keys, all.length);
      else {
        const { code, keys = [] } = await failureOf(run());
        assert.deepEqual([code, [...keys].sort()], ['KEYS_LEFT_BEHIND', left]);
      }
      assert.equal(await compareAll(reader, left), all.length);
      assert.ok(!whole.has(PARTED) && whole.has('stream'), 'only what is large is written in parts');
      await reader.close();
    });
  }
});
