import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type BackupManifest, backupCluster, restoreCluster } from '../../lib/index.ts';
import { keySlot } from '../../lib/model/slot.ts';
import { sameValue } from '../../lib/rdb/dump.ts';
import type { Reply } from '../../resp/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, idOfNode, startMasters, tell } from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
let masters: ServerNode[];
let others: ServerNode[];
let client: ClusterClient;
let home: string;
let dir: string;
let goesOn = 0;

const isValkey9 = ({ kind, major } = bed.server) => kind === 'valkey' && major >= 9;
const isRedis8 = ({ kind, major } = bed.server) => kind === 'redis' && major >= 8;
const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`);

/** Commands that set keys of every type, in every encoding of the servers. */
function commands(server = bed.server): string[][] {
  const many = numbers(2000);
  const all = [
    ...['7', '-300', '70000', '12345', '-5000000000', 'short', 'x'.repeat(5000), '\x00\xff\r\n'].map(
      (value) => [...['SET', `string:${value.slice(0, 12)}`, value]],
    ),
    // Keys that are numbers, or can be packed
    ...['7', '-300', '70000', '99999999999', 'k'.repeat(200), '\x00\xff{\r\n'].map((key) => [
      'SET',
      key,
      'value',
    ]),
    ['PFADD', 'hll', ...many],
    ['RPUSH', 'list', 'a', '1', '-70000'],
    ['RPUSH', 'list:big', ...many.map((text) => `${text}-`.repeat(20))],
    ['SADD', 'set:ints', ...numbers(100)],
    ['SADD', 'set', 'a', 'b', '1'],
    ['SADD', 'set:big', ...many.map((text) => `m${text}`)],
    ['ZADD', 'zset', '1', 'a', '-inf', 'b', '0.1', 'c'],
    ['ZADD', 'zset:big', ...many.flatMap((text) => [`${text}.5`, `m${text}`])],
    ['HSET', 'hash', 'a', '1', 'b', 'x'.repeat(30)],
    ['HSET', 'hash:big', ...many.flatMap((text) => [`f${text}`, text])],
    ['XADD', 'stream', '1-1', 'field', 'value', 'other', '2'],
    ['XADD', 'stream', '1-2', 'field', 'value'],
    ['XADD', 'stream', '5-1', 'else', 'value'],
    ['XDEL', 'stream', '1-2'],
    ['XGROUP', 'CREATE', 'stream', 'group', '0'],
    ['XREADGROUP', 'GROUP', 'group', 'consumer', 'COUNT', '1', 'STREAMS', 'stream', '>'],
    ['XGROUP', 'CREATE', 'stream', 'other', '$'],
    ...numbers(300).map((id) => ['XADD', 'stream:big', `${id}-1`, 'field', id]),
    ['SET', 'goes', 'value', 'PX', '9000000'],
    ['RPUSH', 'goes:list', 'a'],
    ['PEXPIREAT', 'goes:list', `${goesOn}`],
  ];
  if (isRedis8(server) || isValkey9(server)) {
    all.push(
      ['HSET', 'hash:ttl', 'a', '1', 'b', '2'],
      ['HPEXPIREAT', 'hash:ttl', `${goesOn}`, 'FIELDS', '1', 'a'],
    );
    all.push(['HSET', 'hash:ttl:big', ...many.flatMap((text) => [`f${text}`, text])]);
    all.push(['HPEXPIREAT', 'hash:ttl:big', `${goesOn}`, 'FIELDS', '2', 'f1', 'f2']);
  }
  if (isRedis8(server)) all.push(['VADD', 'vectors', 'VALUES', '3', '1', '2', '3', 'element']);
  if (isRedis8(server) && server.minor >= 6)
    all.push(['XADD', 'stream:once', 'IDMP', 'producer', 'once', '*', 'field', 'value']);
  return all;
}

function keyOf(command: readonly string[]): string {
  const [name] = command;
  return at(command, name === 'XGROUP' ? 2 : name === 'XREADGROUP' ? command.indexOf('STREAMS') + 1 : 1);
}

/** A command that reads a whole value, in an order that does not depend on its encoding. */
function readerOf(type: string, key: string): string[] {
  const readers: Record<string, string[]> = {
    string: ['GET', key],
    list: ['LRANGE', key, '0', '-1'],
    set: ['SORT', key, 'ALPHA'],
    zset: ['ZRANGE', key, '0', '-1', 'WITHSCORES'],
    hash: ['HGETALL', key],
    stream: ['XRANGE', key, '-', '+'],
  };
  return at([readers[type] ?? []], 0);
}

/** Fields of a hash have no order, and older servers write scores with more digits. */
function comparable(type: string, reply: Reply): Reply {
  if (!Array.isArray(reply)) return reply;
  if (type === 'hash') return reply.sort();
  return type === 'zset' ? reply.map((text) => `${Number.isNaN(Number(text)) ? text : Number(text)}`) : reply;
}

/** Every key, with its DUMP and when it expires. */
async function contentOf(nodes: readonly ServerNode[], db = 0): Promise<Map<string, [string, number]>> {
  const content = new Map<string, [string, number]>();
  for (const node of nodes) {
    const connection = await connectTo(node);
    if (db > 0) await connection.command(['SELECT', db]);
    for (const key of (await connection.command(['KEYS', '*'])) as string[]) {
      const [dump, ttl, time] = await connection.pipeline([['DUMP', key], ['PTTL', key], ['TIME']]);
      assert.ok(!content.has(key), `${key} is on one node only`);
      const [seconds, micros] = time as string[];
      const now = 1000 * Number(seconds) + Number(micros) / 1000;
      content.set(key, [String(dump), Number(ttl) < 0 ? -1 : now + Number(ttl)]);
    }
    connection.destroy();
  }
  return content;
}

function assertSame(found: Map<string, [string, number]>, wanted: Map<string, [string, number]>): void {
  assert.deepEqual([...found.keys()].sort(), [...wanted.keys()].sort());
  for (const [key, [dump, expires]] of wanted) {
    const [other = '', otherExpires = 0] = found.get(key) ?? [];
    assert.ok(dump === other || sameValue(dump, other), `the value of ${JSON.stringify(key)}`);
    assert.ok(Math.abs(expires - otherExpires) <= 2, `${key} expires at ${otherExpires}, not ${expires}`);
  }
}

before(async () => {
  bed = await openBed();
  const options = isValkey9() ? { config: { 'cluster-databases': '4' } } : {};
  [masters, others] = await Promise.all([startMasters(bed, 3, 0, options), startMasters(bed, 2, 0, options)]);
  home = mkdtempSync(join(tmpdir(), 'redis-trib-restore-'));
  dir = join(home, 'backup');
  client = new ClusterClient(at(masters, 0));
  goesOn = Date.now() + 5_000_000;
  for (const command of commands()) await client.command(keyOf(command), command);
  if (isValkey9()) await tell(at(masters, 2), ['SELECT', '3'], ['SET', 'string:-300', 'in another database']);
  // In a snapshot, how often or how recently a key was used comes before it
  await ask(at(masters, 0), 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
  await ask(at(masters, 1), 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  await client.command('gone', ['SET', 'gone', 'value', 'PX', '1000']);
  await backupCluster(at(masters, 0).address, { dir });
});
after(async () => {
  await client.close();
  await bed.close();
  rmSync(home, { recursive: true });
});

const flush = () => Promise.all(others.map((node) => ask(node, 'FLUSHALL')));
const restore = (more: Partial<Parameters<typeof restoreCluster>[1]> = {}) =>
  restoreCluster(at(others, 0).address, { dir, ...more });

const DAY_MS = 86_400_000;

describe('restoreCluster()', () => {
  it('restores every type of value with its time to live into a cluster of another shape, and recognises it the second time', async (context) => {
    await eventually('a key of the backup has expired', async () => (await client.get('gone')) === null);
    // Our clock is a day ahead of theirs.
    const { mock } = context.mock.method(
      Date,
      'now',
      () => performance.timeOrigin + performance.now() + DAY_MS,
    );
    const looked = await restore({ dryRun: true });
    mock.restore();
    assert.deepEqual([looked.applied, looked.expired, looked.keys], [false, 1, 0]);
    assert.equal((await contentOf(others)).size, 0, 'a dry run writes nothing');
    const progress: number[] = [];
    const done = await restore({
      onEvent: (event) => event.type === 'restore-progress' && progress.push(event.keysDone),
    });
    const wanted = await contentOf(masters);
    const count = wanted.size + (isValkey9() ? 1 : 0);
    assert.deepEqual([done.applied, done.keys, done.same, done.expired], [true, count, 0, 1]);
    assert.deepEqual(looked.databases, done.databases);
    assert.ok(progress.length > 0);
    assertSame(await contentOf(others), wanted);
    if (isValkey9()) assertSame(await contentOf(others, 3), await contentOf(masters, 3));
    const again = await restore();
    assert.deepEqual([again.keys, again.same], [0, count]);
  });

  it('keeps keys that have another value in the cluster, names them, and overwrites them with `replace`', async () => {
    const there = new ClusterClient(at(others, 0));
    await there.set('list', 'other');
    await there.command('goes', ['PERSIST', 'goes']);
    await there.command('set:big', ['SREM', 'set:big', 'm5']);
    await there.command('short', ['DEL', 'string:short']);
    const error = await failureOf(restore());
    assert.deepEqual([error.code, error.resumable], ['KEY_CONFLICT', 'same-call'], error.message);
    assert.deepEqual([...error.keys].sort(), ['goes', 'list', 'set:big']);
    assert.equal(await there.get('list'), 'other');
    assert.equal(await there.get('string:short'), 'short', 'the others are restored anyway');
    await restore({ replace: true });
    assertSame(await contentOf(others), await contentOf(masters));
    await there.close();
  });

  it('loads functions into the masters, and keeps other ones of the same name', async () => {
    const code = (answer: string) =>
      `#!lua name=restored\nredis.register_function('restored', function() return '${answer}' end)`;
    const isKnown = await ask(at(masters, 1), 'FUNCTION', 'LOAD', code('yes')).catch(() => undefined);
    if (isKnown === undefined) return;
    const full = join(home, 'functions');
    await backupCluster(at(masters, 0).address, { dir: full });
    assert.deepEqual((await restore({ dir: full })).functions, ['restored']);
    for (const node of others) assert.equal(await ask(node, 'FCALL', 'restored', '0'), 'yes');
    await ask(at(others, 1), 'FUNCTION', 'LOAD', 'REPLACE', code('other'));
    const refused = await failureOf(restore({ dir: full }));
    assert.deepEqual([refused.code, refused.address], ['KEY_CONFLICT', at(others, 1).address]);
    assert.equal(await ask(at(others, 1), 'FCALL', 'restored', '0'), 'other');
    // What is advised, if it is not needed.
    const remove = refused.next.find(({ do: act }) => act === 'command')?.command;
    assert.deepEqual(remove, ['FUNCTION', 'DELETE', 'restored']);
    await ask(at(others, 1), 'FUNCTION', 'DELETE', 'restored');
    await restore({ dir: full });
    assert.equal(await ask(at(others, 1), 'FCALL', 'restored', '0'), 'yes');
    await ask(at(others, 1), 'FUNCTION', 'LOAD', 'REPLACE', code('other'));
    await restore({ dir: full, replace: true });
    assert.equal(await ask(at(others, 1), 'FCALL', 'restored', '0'), 'yes');
  });

  it('refuses files that differ from what was saved, before it writes a key', async () => {
    await flush();
    const manifest = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as BackupManifest;
    const name = at(manifest.masters, 1).file;
    let copies = 0;
    const copy = (change: (path: string) => void): string => {
      const path = join(home, `copy-${++copies}`);
      cpSync(dir, path, { recursive: true });
      change(path);
      return path;
    };
    const changed = copy((path) => {
      const bytes = readFileSync(join(path, name));
      const middle = bytes.length >> 1;
      bytes[middle] = (bytes[middle] ?? 0) ^ 1;
      writeFileSync(join(path, name), bytes);
    });
    await assert.rejects(restore({ dir: changed }), { code: 'BACKUP_INVALID' });
    const short = copy((path) => truncateSync(join(path, name), 100));
    await assert.rejects(restore({ dir: short }), { code: 'BACKUP_INVALID' });
    const missing = copy((path) => rmSync(join(path, name)));
    await assert.rejects(restore({ dir: missing }), { code: 'FILE_FAILED' });
    const rewrite = (text: string) => copy((path) => writeFileSync(join(path, 'manifest.json'), text));
    const outside = JSON.stringify({ ...manifest, masters: [{ ...manifest.masters[0], file: '../a.rdb' }] });
    for (const text of ['{', '{}', JSON.stringify({ ...manifest, version: 2 }), outside])
      await assert.rejects(restore({ dir: rewrite(text) }), { code: 'BACKUP_INVALID' }, text.slice(0, 40));
    await assert.rejects(restore({ dir: join(home, 'nowhere') }), { code: 'FILE_FAILED' });
    assert.equal((await contentOf(others)).size, 0);
  });

  it('takes the owner for right about keys that another master has, too, and names the others', async () => {
    await flush();
    const key = (name: string) => `{stray}${name}`;
    const slot = `${keySlot(Buffer.from(key('')))}`;
    const holder = at(masters, Number(slot) < 8000 ? 2 : 0);
    const importing = at(masters, Number(slot) < 5462 ? 0 : Number(slot) < 10923 ? 1 : 2);
    await ask(holder, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOfNode(importing));
    const stray = [
      ['SET', key('same'), 'same'],
      ['SET', key('both'), 'older'],
      ['SET', key('alone'), 'deleted'],
    ];
    await tell(holder, ...stray.flatMap((command) => [['ASKING'], command]));
    await ask(holder, 'CLUSTER', 'SETSLOT', slot, 'STABLE');
    await tell(importing, ['SET', key('same'), 'same'], ['SET', key('both'), 'newer']);
    const path = join(home, 'strays');
    await backupCluster(at(masters, 0).address, { dir: path });
    const there = new ClusterClient(at(others, 0));
    const read = () => Promise.all(['same', 'both', 'alone'].map((name) => there.get(key(name))));
    assert.equal((await restore({ dir: path, dryRun: true })).strays, 3);
    const error = await failureOf(restore({ dir: path }));
    assert.deepEqual([error.code, error.keys], ['KEY_CONFLICT', [key('both'), key('alone')]]);
    assert.deepEqual(
      error.next.map(({ options }) => options),
      [{ strayKeys: 'bring' }, { strayKeys: 'drop' }],
    );
    assert.deepEqual(await read(), ['same', 'newer', null]);
    await restore({ dir: path, strayKeys: 'drop' });
    assert.deepEqual(await read(), ['same', 'newer', null]);
    const left = await failureOf(restore({ dir: path, strayKeys: 'bring' }));
    assert.deepEqual([left.code, left.keys], ['KEY_CONFLICT', [key('both')]]);
    assert.deepEqual(
      left.next.map(({ options }) => options),
      [{ strayKeys: 'drop' }],
    );
    assert.deepEqual(await read(), ['same', 'newer', 'deleted']);
    await there.close();
    await ask(holder, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOfNode(importing));
    const names = ['same', 'both', 'alone'].map(key);
    await tell(holder, ['ASKING'], ['UNLINK', ...names]);
    await ask(holder, 'CLUSTER', 'SETSLOT', slot, 'STABLE');
    await ask(importing, 'UNLINK', ...names);
  });

  it('continues after an interruption', async () => {
    await flush();
    const full = join(home, 'many');
    const keys = numbers(4000).map((text) => `many:${text}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await backupCluster(at(masters, 0).address, { dir: full });
    const stop = new AbortController();
    const reason = new Error('enough');
    const stopping = restore({
      dir: full,
      signal: stop.signal,
      onEvent: (event) => event.type === 'restore-progress' && stop.abort(reason),
    });
    const { moved } = await abortOf(stopping, reason);
    const { size } = await contentOf(others);
    assert.ok(size > 0 && size < keys.length, `${size} keys were written`);
    assert.ok(moved.slots === 0 && moved.keys > 0 && moved.keys <= size, `${moved.keys} of ${size}`);
    const { keys: written, same } = await restore({ dir: full });
    assert.deepEqual([same, written > 0], [size, true]);
    assertSame(await contentOf(others), await contentOf(masters));
  });

  it('continues after it was killed at several moments', async () => {
    await flush();
    const full = join(home, 'many');
    let kills = 0;
    for (const killAt of [8, 11, 14, 17]) {
      const { killed } = await runOperation('restoreCluster', [at(others, 0).address, { dir: full }], killAt);
      if (killed) kills += 1;
    }
    assert.ok(kills > 2, `it was killed ${kills} times`);
    await restore({ dir: full });
    assertSame(await contentOf(others), await contentOf(masters));
  });

  it('restores what an old server saved', async () => {
    await using old = await openBed({ server: 'redis-6.0' });
    const sources = await startMasters(old, 2);
    const writer = new ClusterClient(at(sources, 0));
    for (const command of commands(old.server)) await writer.command(keyOf(command), command);
    const path = join(home, 'old');
    await backupCluster(at(sources, 0).address, { dir: path });
    await flush();
    const { keys } = await restore({ dir: path });
    const there = new ClusterClient(at(others, 0));
    const wanted = await contentOf(sources);
    assert.equal(keys, wanted.size);
    for (const key of wanted.keys()) {
      const type = String(await writer.command(key, ['TYPE', key]));
      const [value, restored] = await Promise.all(
        [writer, there].map(async (each) => {
          return comparable(type, await each.command(key, readerOf(type, key)));
        }),
      );
      assert.deepEqual(restored, value, `${type} ${key}`);
      const [ttl, ttl2] = await Promise.all([writer, there].map((each) => each.command(key, ['PTTL', key])));
      assert.ok(Math.abs(Number(ttl) - Number(ttl2)) < 1000, `${key} has ${ttl2} ms to live, not ${ttl}`);
    }
    const again = await restore({ dir: path });
    assert.deepEqual([again.keys, again.same], [0, keys]);
    await Promise.all([writer.close(), there.close()]);
  });

  it('recognises the same values in another encoding', async () => {
    await flush();
    const sets = ['hash', 'zset'].flatMap((type) => [
      `${type}-max-ziplist-entries`,
      `${type}-max-ziplist-value`,
    ]);
    for (const node of others) await tell(node, ...sets.map((name) => ['CONFIG', 'SET', name, '1']));
    const { keys } = await restore();
    const { keys: more, same } = await restore();
    assert.deepEqual([more, same], [0, keys]);
    const left = [...(await contentOf(others)).keys()].filter((key) => key.startsWith('redis-trib'));
    assert.deepEqual(left, [], 'no temporary key is left');
    const there = new ClusterClient(at(others, 0));
    await there.command('hash', ['HSET', 'hash', 'a', 'other']);
    await assert.rejects(restore(), { code: 'KEY_CONFLICT', keys: ['hash'] });
    await there.close();
  });
});

describe('redis-trib restore', () => {
  it('shows what it would do, asks, and reports what it did', async () => {
    await flush();
    const node = at(others, 0).address;
    const dry = await runMain(['restore', node, '--dir', dir, '--dry-run']);
    assert.deepEqual([dry.code, dry.stderr], [0, '']);
    assert.match(dry.stdout, / \d+ keys /);
    assert.equal((await contentOf(others)).size, 0);
    const refused = await runMain(['restore', node, '--dir', dir]);
    assert.equal(refused.code, 2);
    const no = await runMain(['restore', node, '--dir', dir], { canAsk: () => true, ask: async () => 'no' });
    assert.equal(no.code, 1);
    assert.equal((await contentOf(others)).size, 0);
    const { code, stdout, stderr } = await runMain(['restore', node, '--dir', dir, '--yes', '--json']);
    assert.deepEqual([code, stderr, JSON.parse(stdout).expired], [0, '', 1]);
  });
});
