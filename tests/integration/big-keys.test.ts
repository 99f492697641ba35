import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { keyThatLeaves, leavingName } from '../../lib/copy/parts/part-name.ts';
import {
  backupCluster,
  type ConnectionOptions,
  compareKeys,
  followKeys,
  type ImportOptions,
  importKeys,
  keySlot,
  type RestoreOptions,
  restoreCluster,
} from '../../lib/index.ts';
import { valueDifference } from '../../lib/rdb/dump.ts';
import { type Connection, ReplyError } from '../../resp/index.ts';
import { connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { type ServerName, serverNames } from '../bed/servers.ts';
import { runOperation } from '../helpers/child.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, startMasters, startPairs } from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { type AskServer, seenByClients } from '../helpers/seen-values.ts';

/** Keys take some 5 MB each: just more than what is read at once. */
const MANY = 50_000;
const CHUNK = 10_000;
/** Any bytes, which files cannot compress. */
const pool = createHash('shake256', { outputLength: 60_000 }).update('big keys').digest().toString('latin1');
const text = (index: number): string => {
  const from = (index * 7919) % (pool.length - 90);
  return `${pool.slice(from, from + 90)}${index}`;
};
const later = Date.now() + 7_200_000;
const SPECIAL = ['inf', '-inf', '-0', '0.1', '1e300', '3.0000000000000004'];
/** Some keys can be their own tag, some have one, some need one that has to be found. */
const KEYS = {
  string: 'big:string',
  list: '{tag}list',
  zset: 'zset}\xff',
  set: '{}set',
  hash: 'big:{hash',
  timed: 'big:timed',
  stream: '{}stream',
} as const;

let bed: Bed;
let masters: ServerNode[];
let source: ServerNode;
let reader: Connection;
let client: ClusterClient;
before(async () => {
  bed = await openBed();
  let found: ServerNode[];
  [masters, found] = await Promise.all([startMasters(bed, 2), bed.start(1, { cluster: false, config: {} })]);
  source = at(found, 0);
  reader = await connectTo(source);
  client = new ClusterClient(at(masters, 0));
});
after(async () => {
  await reader.close();
  await client.close();
  await bed.close();
});
beforeEach(async () => {
  for (const node of [...masters, source]) await flush(node);
});

async function flush(node: ServerNode): Promise<void> {
  const connection = await connectTo(node);
  await connection.command(['FLUSHALL']);
  await connection.close();
}

const chunks = <Item>(item: (index: number) => Item): Item[][] =>
  Array.from({ length: MANY / CHUNK }, (_, chunk) =>
    Array.from({ length: CHUNK }, (_, index) => item(chunk * CHUNK + index)),
  );

/** Commands that write a big key of each type that takes parts. */
function writes(hasFieldTimes: boolean): string[][] {
  const all = [
    ['SET', KEYS.string, Array.from({ length: MANY }, (_, index) => text(index)).join(''), 'PX', '7200000'],
    ['RPUSH', KEYS.list, text(1).repeat(8000)],
    ...chunks((index) => text(index)).map((some) => ['RPUSH', KEYS.list, ...some]),
    ...chunks((index) => text(index)).map((some) => ['SADD', KEYS.set, ...some]),
    ...chunks((index) => [SPECIAL[index % 50] ?? `${index / 7}`, text(index)]).map((some) => [
      'ZADD',
      KEYS.zset,
      ...some.flat(),
    ]),
    ...chunks((index) => [`f${index}`, text(index)]).map((some) => ['HSET', KEYS.hash, ...some.flat()]),
    ['PEXPIRE', KEYS.hash, '7300000'],
  ];
  if (!hasFieldTimes) return all;
  all.push(
    ...chunks((index) => [text(index), `${index}`]).map((some) => ['HSET', KEYS.timed, ...some.flat()]),
  );
  for (const add of [0, 5])
    all.push(['HPEXPIREAT', KEYS.timed, `${later + add}`, 'FIELDS', '2', text(add), text(add + 1)]);
  return all;
}

/** Writes a big stream with all that streams have. */
async function writeStream(connection: Connection): Promise<void> {
  const key = KEYS.stream;
  const entries = chunks((index) => [
    'XADD',
    ...[key, `${index + 10}-${index % 3}`, 'field', text(index)],
    ...(index % 7 === 0 ? ['other', '1'] : []),
  ]);
  const read = (group: string, consumer: string, count: number, from = '>') => [
    ...['XREADGROUP', 'GROUP', group, consumer, 'COUNT', `${count}`, 'STREAMS', key, from],
  ];
  const rest = [
    ['XADD', key, '18446744073709551614-18446744073709551614', 'last', 'id'],
    ['XADD', key, '18446744073709551614-18446744073709551615', 'deleted', 'id'],
    ['XDEL', key, '18446744073709551614-18446744073709551615', '12-2', '5000-0'],
    ['XGROUP', 'CREATE', key, 'group', '0'],
    ['XGROUP', 'CREATE', key, 'other', '20000'],
    ['XGROUP', 'CREATE', key, 'at the end', '$'],
    read('group', 'one', 1500),
    read('group', 'two\xff', 700),
    read('group', 'idle', 1, '0'),
    ['XACK', key, 'group', '10-0', '13-0'],
    ['XCLAIM', key, 'group', 'two\xff', '0', '11-1', 'RETRYCOUNT', '7'],
    read('other', 'one', 1),
  ];
  for (const commands of [...entries, rest])
    for (const reply of await connection.pipeline(commands)) if (reply instanceof ReplyError) throw reply;
}

async function fill(connection: Connection, isTimed: boolean): Promise<void> {
  for (const command of writes(isTimed)) await connection.command(command);
  await writeStream(connection);
}

const hasFieldTimes = ({ kind, major }: Bed['server']) => major >= (kind === 'redis' ? 8 : 9);

const asking =
  (send: (command: readonly string[]) => Promise<unknown>): AskServer =>
  (command) =>
    send(command).catch((error: unknown) => {
      if (error instanceof ReplyError) return null;
      throw error;
    });
const atSource = (connection: Connection) => asking((command) => connection.command(command));
const inCluster = (key: string) => asking((command) => client.command(key, command));

async function assertSame(connection: Connection, key: string): Promise<void> {
  // assert.deepEqual of what differs would take minutes to say how.
  const [one, other] = [
    await seenByClients(atSource(connection), key),
    await seenByClients(inCluster(key), key),
  ];
  assert.ok(JSON.stringify(one) === JSON.stringify(other), `${JSON.stringify(key)} is the same`);
  if (key === KEYS.stream) {
    const dumps = [await connection.command(['DUMP', key]), await client.command(key, ['DUMP', key])];
    const [mine = '', theirs = ''] = dumps.map(String);
    assert.equal(valueDifference(mine, theirs), undefined, 'all that the stream has is the same');
  }
  const apart = await lifeApart(() => connection.command(['PTTL', key]), key);
  assert.ok(apart < MOST_APART_MS, `${key} expires ${apart} ms earlier or later`);
}

/** A PTTL and its reply take part of this, however often it is asked for. */
const MOST_APART_MS = 100;

/** How many milliseconds the end of a key's life in the cluster is from the end at the source, where PTTL is asked for. */
async function lifeApart(atSource: () => Promise<unknown>, key: string): Promise<number> {
  const ends: number[] = [];
  for (let sample = 0; sample < 10; sample++) {
    const [ttl, here] = [Number(await atSource()), performance.now()];
    const [theirs, there] = [Number(await client.command(key, ['PTTL', key])), performance.now()];
    if (ttl < 0 || theirs < 0) return ttl === theirs ? 0 : Number.POSITIVE_INFINITY;
    ends.push(Math.abs(here + ttl - there - theirs));
  }
  return Math.min(...ends);
}

/** Keys of the whole cluster. */
async function keysThere(): Promise<string[]> {
  const lists = [];
  for (const node of masters) {
    const connection = await connectTo(node);
    lists.push((await connection.command(['KEYS', '*'])) as string[]);
    await connection.close();
  }
  return lists.flat().sort();
}

interface Counting extends Required<Pick<ConnectionOptions, 'onCommands'>> {
  /** By command: how many there were. */
  readonly sent: Map<string, number>;
}

/** Counts the commands that a side is sent. */
function counting(onCommand: (name: string, key: unknown) => void = () => {}): Counting {
  const sent = new Map<string, number>();
  return {
    sent,
    onCommands: (commands) => {
      for (const [word, key] of commands) {
        const name = String(word);
        sent.set(name, (sent.get(name) ?? 0) + 1);
        onCommand(name, key);
      }
    },
  };
}

const run = (options: ImportOptions = {}) => importKeys(at(masters, 0).address, source.address, options);
const list = (count: number) =>
  chunks((index) => text(index))
    .slice(0, count)
    .map((some) => ['RPUSH', KEYS.list, ...some]);

describe('importKeys() of big keys', () => {
  for (const name of serverNames) {
    it(`brings those of ${name} in parts, and recognises them`, async () => {
      await using other = await openBed({ server: name as ServerName });
      const [from] = await other.start(1, { cluster: false, config: {} });
      assert.ok(from, 'a server');
      const connection = await connectTo(from);
      const isTimed = hasFieldTimes(other.server);
      const leavesTimed = isTimed && !hasFieldTimes(bed.server);
      await fill(connection, isTimed);
      const keys = Object.values(KEYS).filter((key) => key !== KEYS.timed || isTimed);
      const read = counting();
      const dry = await importKeys(at(masters, 0).address, from.address, { source: read, dryRun: true });
      assert.deepEqual(
        dry.left.flatMap(({ examples }) => examples),
        leavesTimed ? [KEYS.timed] : [],
      );
      const imported = () => importKeys(at(masters, 0).address, from.address, { source: read });
      if (leavesTimed) {
        const { code, keys: left } = await failureOf(imported());
        assert.deepEqual([code, left], ['KEYS_LEFT_BEHIND', [KEYS.timed]]);
      } else assert.equal((await imported()).keys, keys.length);
      const copied = keys.filter((key) => key !== KEYS.timed || !leavesTimed);
      for (const key of copied) await assertSame(connection, key);
      assert.deepEqual(await keysThere(), [...copied].sort(), 'nothing unfinished is left');
      const again = leavesTimed ? await failureOf(imported()) : await imported();
      if ('same' in again) assert.deepEqual([again.keys, again.same], [0, keys.length]);
      const compared = await compareKeys(from.address, at(masters, 0).address, { rounds: 1, ...read });
      assert.deepEqual(
        compared.differences.map(({ key, state }) => [key, state]),
        leavesTimed ? [[KEYS.timed, 'missing']] : [],
      );
      assert.equal(compared.keys, keys.length);
      assert.equal(read.sent.get('DUMP'), undefined, 'no value is read whole');
      await connection.close();
    });
  }

  it('keeps another value, and overwrites it with `replace`', async () => {
    await fill(reader, hasFieldTimes(bed.server));
    const keys = (await reader.command(['KEYS', '*'])) as string[];
    await run();
    const changes = [
      [KEYS.string, 'SETRANGE', '3000000', 'another'],
      [KEYS.list, 'LSET', '40000', 'another'],
      [KEYS.set, 'SADD', 'another'],
      [KEYS.zset, 'ZADD', '1', text(3)],
      [KEYS.hash, 'HSET', 'f3', 'another'],
      [KEYS.stream, 'XACK', 'group', '14-1'],
    ] as const;
    for (const [key, name, ...rest] of changes) await client.command(key, [name, key, ...rest]);
    if (keys.includes(KEYS.timed))
      await client.command(KEYS.timed, ['HPERSIST', KEYS.timed, 'FIELDS', '1', text(5)]);
    const read = counting();
    const compared = await compareKeys(source.address, at(masters, 0).address, read);
    assert.deepEqual(
      compared.differences.map(({ key, state }) => [key, state]).sort(),
      keys.map((key) => [key, 'value']).sort(),
    );
    assert.equal(read.sent.get('DUMP'), undefined, 'no value is read whole');
    const { code, keys: differing = [] } = await failureOf(run());
    assert.deepEqual([code, [...differing].sort()], ['KEY_CONFLICT', [...keys].sort()]);
    assert.equal(await client.command(KEYS.list, ['LINDEX', KEYS.list, '40000']), 'another');
    const written = counting();
    assert.equal((await run({ replace: true, source: written })).keys, keys.length);
    for (const key of keys) await assertSame(reader, key);
    assert.equal(written.sent.get('DUMP'), undefined, 'no value is read whole');
  });

  it('reads a stream whole that has what commands cannot write', async () => {
    await writeStream(reader);
    // An entry that is pending and no longer there, first amid the others, then before them.
    const changes = [
      ['XDEL', KEYS.stream, '16-0'],
      ['XDEL', KEYS.stream, '10-0', '11-1'],
    ];
    const { kind, major, version } = bed.server;
    // Producers are remembered, within limits.
    if (kind === 'redis' && major >= 8 && Number(version.split('.')[1]) >= 6)
      changes.unshift(
        ['XCFGSET', KEYS.stream, 'IDMP-DURATION', '300'],
        ['XADD', KEYS.stream, 'IDMP', 'producer', 'once', '*', 'f', 'v'],
      );
    for (const [index, change] of changes.entries()) {
      await reader.command(change);
      const read = counting();
      assert.equal((await run({ replace: true, source: read })).keys, 1);
      // Redis 6 makes deleted entries pending, too, if they are amid the others.
      if (major > 6 || index > 0) assert.equal(read.sent.get('DUMP'), 1, `${change}`);
      await assertSame(reader, KEYS.stream);
      assert.deepEqual(await keysThere(), [KEYS.stream], 'nothing unfinished is left');
    }
  });

  it('begins again if the key is written in the meantime', async () => {
    for (const command of list(5)) await reader.command(command);
    const writer = await connectTo(source);
    let writing: Promise<unknown> | undefined;
    const read = counting((name) => {
      if (name === 'LRANGE') writing ??= writer.command(['LPUSH', KEYS.list, 'first']);
    });
    assert.equal((await run({ source: read })).keys, 1);
    await writing;
    await assertSame(reader, KEYS.list);
    assert.equal(read.sent.get('DUMP'), undefined, 'no value is read whole');
    assert.deepEqual(await keysThere(), [KEYS.list]);
    await writer.close();
  });

  it('never mixes what was before and after a write, however often it is written', async () => {
    for (const command of list(5)) await reader.command(command);
    const writer = await connectTo(source);
    let [isOver, number] = [false, 0];
    const writing = (async () => {
      while (!isOver) {
        number += 1;
        await writer.pipeline([
          ['MULTI'],
          ['LPUSH', KEYS.list, `${number}`],
          ['RPUSH', KEYS.list, `${number}`],
          ['EXEC'],
        ]);
      }
    })();
    const read = counting();
    await run({ source: read });
    isOver = true;
    await writing;
    const [ends, all] = [
      (await client.command(KEYS.list, ['LRANGE', KEYS.list, '0', '0'])) as string[],
      (await client.command(KEYS.list, ['LRANGE', KEYS.list, '0', '-1'])) as string[],
    ];
    assert.deepEqual(all.at(-1), ends[0]);
    assert.equal(all.length, MANY + 2 * Number(ends[0]));
    assert.equal(read.sent.get('DUMP'), 1, 'it is read whole in the end');
    await writer.close();
  });

  it('moves big keys, but keeps those that are written since', async () => {
    await fill(reader, hasFieldTimes(bed.server));
    const keys = (await reader.command(['KEYS', '*'])) as string[];
    const writer = await connectTo(source);
    let writing: Promise<unknown> | undefined;
    // HMGET in the cluster: the hash is compared before it is deleted.
    const options = counting((name, key) => {
      if (name === 'HMGET' && key === KEYS.hash) writing ??= writer.command(['HSET', KEYS.hash, 'f3', 'new']);
    });
    const moving = importKeys(at(masters, 0).address, source.address, {
      move: true,
      onCommands: options.onCommands,
    });
    const { code, keys: changed } = await failureOf(moving);
    await writing;
    assert.deepEqual([code, changed], ['KEY_CONFLICT', [KEYS.hash]]);
    assert.deepEqual(await reader.command(['KEYS', '*']), [KEYS.hash]);
    assert.deepEqual(await keysThere(), [...keys].sort());
    const { keys: rest, deleted } = await run({ move: true, replace: true });
    assert.deepEqual([rest, deleted], [1, 1]);
    assert.equal(await client.command(KEYS.hash, ['HGET', KEYS.hash, 'f3']), 'new');
  });

  it('moves the groups of a stream as they are when it is deleted', async () => {
    const key = KEYS.stream;
    await writeStream(reader);
    // Last id and groups, each of them changed, come and gone, and entries that are pending no more, newly, or for another.
    const changes = [
      ['XSETID', key, '18446744073709551615-1'],
      ['XGROUP', 'DESTROY', key, 'other'],
      ['XGROUP', 'CREATE', key, 'new', '30000'],
      ['XREADGROUP', 'GROUP', 'new', 'first', 'COUNT', '1200', 'STREAMS', key, '>'],
      ['XGROUP', 'SETID', key, 'at the end', '40000'],
      ['XACK', key, 'group', '14-1', '15-2', '2000-2'],
      ['XREADGROUP', 'GROUP', 'group', 'two\xff', 'COUNT', '1100', 'STREAMS', key, '>'],
      ['XCLAIM', key, 'group', 'three', '0', '17-1', '18-2', '1500-0', 'RETRYCOUNT', '9'],
      ['XGROUP', 'DELCONSUMER', key, 'group', 'idle'],
      ['XREADGROUP', 'GROUP', 'group', 'without any', 'STREAMS', key, '0'],
    ];
    const writer = await connectTo(source);
    let writing: Promise<unknown> | undefined;
    let whole = '';
    const onCommands = (commands: readonly (readonly unknown[])[]) => {
      // Alone, it begins the transaction in which the stream leaves.
      if (commands.length === 1 && commands[0]?.[0] === 'MULTI')
        writing ??= writer.pipeline([...changes, ['DUMP', key]]).then((replies) => {
          for (const reply of replies) if (reply instanceof ReplyError) throw reply;
          whole = String(replies.at(-1));
        });
    };
    assert.equal((await run({ move: true, source: { onCommands } })).deleted, 1);
    await writing;
    assert.notEqual(whole, '', 'it was changed');
    assert.equal(valueDifference(whole, String(await client.command(key, ['DUMP', key]))), undefined);
    assert.deepEqual([await reader.command(['KEYS', '*']), await keysThere()], [[], [key]]);
    await writer.close();
    // Whole, for a user who may not rename.
    await reader.command(['RESTORE', key, '0', whole]);
    await reader.command(['ACL', 'SETUSER', 'some', 'on', '>some', '~*', '+@all', '-renamenx']);
    const user = { username: 'some', password: 'some' };
    assert.equal((await run({ move: true, source: user })).deleted, 1);
    assert.equal(valueDifference(whole, String(await client.command(key, ['DUMP', key]))), undefined);
  });

  it('loses nothing of a stream if it is killed while that leaves the source', async () => {
    const key = KEYS.stream;
    const args = [at(masters, 0).address, source.address, { move: true }] as const;
    await writeStream(reader);
    const whole = String(await reader.command(['DUMP', key]));
    await run();
    // What a run leaves that is killed after that.
    await reader.command(['RENAME', key, leavingName(key)]);
    const names = (await reader.command(['KEYS', '*'])) as string[];
    assert.deepEqual(names.map(keyThatLeaves), [key]);
    assert.equal((await importKeys(...args)).deleted, 1);
    assert.equal(valueDifference(whole, String(await client.command(key, ['DUMP', key]))), undefined);
    assert.deepEqual([await reader.command(['KEYS', '*']), await keysThere()], [[], [key]]);
    // A client has written another in the meantime.
    await writeStream(reader);
    await reader.command(['RENAME', key, names[0] ?? '']);
    await reader.command(['XADD', key, '1-1', 'f', 'v']);
    const newer = String(await reader.command(['DUMP', key]));
    const { code, keys, next } = await failureOf(importKeys(...args));
    assert.deepEqual([code, keys], ['KEYS_LEFT_BEHIND', names]);
    assert.ok(!next.some(({ options }) => options?.replace), 'to replace either would lose the other');
    // Whichever it meets first, neither of the two is lost.
    await failureOf(importKeys(at(masters, 0).address, source.address, { move: true, replace: true }));
    assert.equal(valueDifference(newer, String(await client.command(key, ['DUMP', key]))), undefined);
    const [left = ''] = (await reader.command(['KEYS', '*'])) as string[];
    assert.equal(valueDifference(whole, String(await reader.command(['DUMP', left]))), undefined);
  });

  it('copies no stream under the name that it has while it leaves the source', async () => {
    const key = KEYS.stream;
    const small = 'stream';
    const there = at(masters, 0).address;
    await writeStream(reader);
    await reader.command(['XADD', small, '1-1', 'f', 'v']);
    for (const one of [key, small]) await reader.command(['RENAME', one, leavingName(one)]);
    const { code, keys = [] } = await failureOf(importKeys(there, source.address));
    assert.deepEqual(
      [code, [...keys].sort()],
      ['KEYS_LEFT_BEHIND', [leavingName(key), leavingName(small)].sort()],
    );
    assert.deepEqual(await keysThere(), []);
    for (const one of [key, small]) await reader.command(['RENAMENX', leavingName(one), one]);
    await importKeys(there, source.address);
    assert.deepEqual([...((await keysThere()) as string[])].sort(), [key, small].sort());
  });

  it('reads and writes it whole for users who may not run the commands for parts', async () => {
    await fill(reader, hasFieldTimes(bed.server));
    let keys = (await reader.command(['KEYS', '*'])) as string[];
    for (const [side, rules, isOfAll = false] of [
      ['source', ['-lrange', '-getrange', '-sscan', '-zrange', '-hscan', '-xrange'], true],
      ['target', ['-append', '-rpush', '-sadd', '-zadd', '-hset', '-xadd'], true],
      ['source', ['-@transaction']],
      ['source', ['-exec']],
      ['source', ['-multi']],
      ['target', ['-xclaim']],
      ['source', ['-xpending']],
      ['target', ['-rename', '-renamenx']],
    ] as const) {
      const some: readonly string[] = isOfAll ? keys : [KEYS.string, KEYS.stream];
      const others = keys.filter((key) => !some.includes(key));
      if (others.length > 0) await reader.command(['DEL', ...others]);
      keys = [...some];
      const nodes = side === 'source' ? [source] : masters;
      for (const node of nodes) {
        const connection = await connectTo(node);
        await connection.command(['ACL', 'SETUSER', 'some', 'on', '>some', '~*', '+@all', ...rules]);
        await connection.close();
      }
      for (const node of masters) await flush(node);
      const user = { username: 'some', password: 'some' };
      const { keys: count } = await run(side === 'source' ? { source: user } : user);
      assert.equal(count, keys.length, `${side} ${rules}`);
      for (const key of keys) await assertSame(reader, key);
      assert.deepEqual(await keysThere(), [...keys].sort(), `${side} ${rules}: nothing unfinished is left`);
    }
  });

  it('gives a key what is left of its life, however long it takes to read and write it whole', async () => {
    // A set takes longest to read.
    for (const command of chunks((index) => `${text(index)}${text(index)}`))
      await reader.command(['SADD', KEYS.set, ...command]);
    await reader.command(['PEXPIRE', KEYS.set, '60000']);
    await reader.command(['ACL', 'SETUSER', 'some', 'on', '>some', '~*', '+@all', '-sscan']);
    const user = { username: 'some', password: 'some' };
    const read = counting();
    assert.equal((await run({ source: { ...user, ...read } })).keys, 1);
    assert.equal(read.sent.get('DUMP'), 1, 'it is read whole');
    await assertSame(reader, KEYS.set);
    // Also if the user may not ask when it expires.
    for (const rule of ['-pexpiretime', '-time']) {
      await reader.command(['ACL', 'SETUSER', 'some', '+@all', '-sscan', rule]).catch(() => undefined);
      assert.equal((await run({ source: user, replace: true })).keys, 1, rule);
      const apart = await lifeApart(() => reader.command(['PTTL', KEYS.set]), KEYS.set);
      assert.ok(apart < (rule === '-time' ? 60_000 : MOST_APART_MS), `${rule}: ${apart} ms`);
    }
  });

  it('leaves what was unfinished when it was killed to expire, and finishes it when said again', async () => {
    for (const command of list(5)) await reader.command(command);
    const args = [at(masters, 0).address, source.address] as const;
    // It takes a few writes to connect, to look, to list and to begin.
    let killAt = 10;
    for (let isUnfinished = false; !isUnfinished; killAt += 3) {
      assert.deepEqual(await runOperation('importKeys', args, killAt), { killed: true });
      const [name = '', ...others] = await keysThere();
      assert.notEqual(name, KEYS.list);
      assert.deepEqual(others, []);
      isUnfinished = name !== '';
      if (isUnfinished) assert.ok(Number(await client.command(name, ['PTTL', name])) > 0, 'it expires');
    }
    assert.equal((await run()).keys, 1);
    await assertSame(reader, KEYS.list);
    assert.deepEqual(await keysThere(), [KEYS.list]);
  });

  it('does not take what is unfinished for data', async () => {
    for (const command of list(1)) await reader.command(command);
    await reader.command(['RENAME', KEYS.list, '{tag}list:9:redis-trib-unfinished']);
    assert.equal((await run()).keys, 0);
    assert.deepEqual(await keysThere(), []);
  });

  it('reads replicas in parts, and notices what their master writes', async () => {
    await using other = await openBed({ server: bed.server.name as ServerName });
    const pairs = await startPairs(other);
    const from = new ClusterClient(at(pairs, 0));
    for (const command of list(5)) await from.command(KEYS.list, command);
    let writing: Promise<unknown> | undefined;
    const read = counting((name) => {
      if (name === 'LRANGE') writing ??= from.command(KEYS.list, ['LPUSH', KEYS.list, 'first']);
    });
    const options = { fromCluster: true, fromReplicas: true, source: read };
    await importKeys(at(masters, 0).address, at(pairs, 0).address, options);
    await writing;
    const there = (await client.command(KEYS.list, ['LRANGE', KEYS.list, '0', '-1'])) as string[];
    const all = (await from.command(KEYS.list, ['LRANGE', KEYS.list, '0', '-1'])) as string[];
    const isWhole =
      JSON.stringify(all) === JSON.stringify(there) || JSON.stringify(all.slice(1)) === JSON.stringify(there);
    assert.ok(isWhole, 'it is as it was before the write or after it');
    // Redis 6 does not let replicas watch keys of their master.
    if (bed.server.kind === 'valkey' || bed.server.major > 6) assert.equal(read.sent.get('DUMP'), undefined);
    await from.close();
  });
});

describe('restoreCluster() of big keys', () => {
  it('writes those that it can read in parts, and recognises them', async () => {
    for (const command of writes(hasFieldTimes(bed.server))) await client.command(at(command, 1), command);
    // Of the user's groups, and all else that a stream has.
    const ofStream = await connectTo(at(masters, keySlot(KEYS.stream) < 8192 ? 0 : 1));
    await writeStream(ofStream);
    const keys = await keysThere();
    const whole = String(await ofStream.command(['DUMP', KEYS.stream]));
    const deliveredAt = async () => {
      const [[, , idleMs] = []] = (await ofStream.command([
        ...['XPENDING', KEYS.stream, 'group', '-', '+', '1'],
      ])) as string[][];
      return Date.now() - Number(idleMs);
    };
    const delivered = await deliveredAt();
    const isWhole = async () => {
      const dump = String(await ofStream.command(['DUMP', KEYS.stream]));
      return valueDifference(whole, dump) === undefined;
    };
    const seen = async (key: string) => JSON.stringify(await seenByClients(inCluster(key), key));
    const endOf = async (key: string) => Date.now() + Number(await client.command(key, ['PTTL', key]));
    const dir = mkdtempSync(join(tmpdir(), 'redis-trib-big-'));
    try {
      const before = new Map<string, string>();
      for (const key of keys) before.set(key, await seen(key));
      const end = await endOf(KEYS.hash);
      await backupCluster(at(masters, 0).address, { dir });
      for (const node of masters) await flush(node);
      const restore = async (options: Partial<RestoreOptions> = {}) => {
        const sent = counting();
        const done = await restoreCluster(at(masters, 0).address, { dir, ...options, ...sent });
        for (const name of ['RESTORE', 'DUMP']) assert.equal(sent.sent.get(name), undefined, name);
        return done;
      };
      assert.equal((await restore()).keys, keys.length);
      for (const key of keys) assert.ok(before.get(key) === (await seen(key)), key);
      assert.ok(await isWhole(), 'all that the stream has is there');
      assert.ok(
        Math.abs((await deliveredAt()) - delivered) < MOST_APART_MS,
        'it says when entries were delivered',
      );
      assert.ok(Math.abs((await endOf(KEYS.hash)) - end) < MOST_APART_MS, 'it expires when it would have');
      assert.deepEqual(await keysThere(), keys, 'nothing unfinished is left');
      const again = await restore();
      assert.deepEqual([again.keys, again.same], [0, keys.length]);
      await client.command(KEYS.list, ['LSET', KEYS.list, '40000', 'another']);
      await client.command(KEYS.zset, ['ZADD', KEYS.zset, '1', text(3)]);
      await client.command(KEYS.set, ['SADD', KEYS.set, 'another']);
      await client.command(KEYS.stream, ['XACK', KEYS.stream, 'group', '14-1']);
      const { code, keys: differing = [] } = await failureOf(restore());
      assert.deepEqual(
        [code, [...differing].sort()],
        ['KEY_CONFLICT', [KEYS.list, KEYS.set, KEYS.stream, KEYS.zset].sort()],
      );
      assert.equal((await restore({ replace: true })).keys, keys.length);
      for (const key of keys) assert.ok(before.get(key) === (await seen(key)), key);
    } finally {
      await ofStream.close();
      rmSync(dir, { recursive: true });
    }
  });
});

describe('followKeys() of big keys', () => {
  it('copies those that are there and those that change in parts', async () => {
    const from = await startMasters(bed, 1);
    const writer = await connectTo(at(from, 0));
    for (const command of list(5)) await writer.command(command);
    const stop = new AbortController();
    const read = counting();
    const following = followKeys(at(masters, 0).address, at(from, 0).address, {
      source: read,
      signal: stop.signal,
    });
    const reason = new Error('enough');
    const ended = abortOf(following, reason);
    const last = () => client.command(KEYS.list, ['LINDEX', KEYS.list, '-1']);
    await eventually('the list is there', async () => (await last()) === text(MANY - 1));
    await writer.command(['RPUSH', KEYS.list, 'last']);
    await writer.command(['PEXPIRE', KEYS.list, '7200000']);
    await eventually('the change is there', async () => (await last()) === 'last');
    await writer.pipeline(writes(false).slice(1, 2));
    await eventually('another change is there', async () => (await last()) === text(1).repeat(8000));
    stop.abort(reason);
    await ended;
    await assertSame(writer, KEYS.list);
    assert.equal(read.sent.get('DUMP'), undefined, 'no value is read whole');
    assert.deepEqual(await keysThere(), [KEYS.list]);
    await writer.close();
  });
});
