import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type CompareOptions, compareKeys, importKeys, migrateSlots } from '../../lib/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, keysOfSlot, settled, startMasters, tell } from '../helpers/clusters.ts';
import { failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { faultOf } from '../helpers/schemas.ts';

let bed: Bed;
/** Two clusters of two masters, and a server. */
let one: ServerNode[];
let other: ServerNode[];
let server: ServerNode;
before(async () => {
  bed = await openBed();
  const [first, second, [standalone]] = await Promise.all([
    startMasters(bed, 2, 0, { relay: true }),
    startMasters(bed, 2, 0, { relay: true }),
    bed.start(1, { cluster: false }),
  ]);
  assert.ok(standalone);
  [one, other, server] = [first, second, standalone];
});
after(() => bed.close());
beforeEach(async () => {
  for (const node of [...one, ...other, server]) await ask(node, 'FLUSHALL');
});

const seedOf = (nodes: readonly ServerNode[]) => at(nodes, 0).address;
const compare = (options: CompareOptions = {}) => compareKeys(seedOf(one), seedOf(other), options);

async function write(nodes: readonly ServerNode[], ...commands: (readonly string[])[]): Promise<void> {
  const client = new ClusterClient(at(nodes, 0));
  await Promise.all(commands.map((command) => client.command(command[1] ?? '', command)));
  await client.close();
}

const sets = (prefix: string, count: number): string[][] =>
  Array.from({ length: count }, (_, index) => [
    'SET',
    `${prefix}:${index}`,
    `value of ${index}`,
    ...(index % 10 === 0 ? ['EX', '900'] : []),
  ]);

describe('compareKeys()', () => {
  it('reads large strings in parts, whichever side has them', async () => {
    const large = 'x'.repeat(8_000_000);
    const small = Array.from({ length: 300 }, (_, index) => ['SET', `a:${index}`, `value of ${index}`]);
    const both = [...small, ['SET', 'large:same', large]];
    await write(one, ...both, ['SET', 'large:one', large], ['SET', 'large:other', 'short']);
    await write(other, ...both, ['SET', 'large:one', 'short'], ['SET', 'large:other', large]);
    await write(one, ['SET', 'large:end', large], ['SETRANGE', 'large:end', '7999999', 'y']);
    await write(other, ['SET', 'large:end', large]);
    const whole: unknown[] = [];
    const { keys, differences } = await compare({
      onCommands: (commands) => {
        for (const [word, ...args] of commands)
          if (word === 'MGET' || word === 'DUMP')
            whole.push(...args.filter((key) => `${key}`.startsWith('large')));
      },
    });
    assert.equal(keys, 304);
    assert.deepEqual(
      differences.map(({ key, state }) => [key, state]).sort(),
      ['large:end', 'large:one', 'large:other'].map((key) => [key, 'value']),
    );
    assert.deepEqual(whole, []);
  });

  it('finds two clusters the same after an import, and each kind of difference', async () => {
    await write(one, ...sets('a', 500), ['SADD', 'a:set', 'x', 'y', 'z'], ['RPUSH', 'a:list', '1', '2']);
    await importKeys(seedOf(other), seedOf(one), { fromCluster: true });
    const progress: number[] = [];
    const same = await compare({
      onEvent: (event) => event.type === 'compare-progress' && progress.push(event.keysDone),
    });
    assert.deepEqual(
      [same.equal, same.keys, same.same, same.settled, same.differences],
      [true, 502, 502, 0, []],
    );
    assert.ok(progress.length > 0);
    // The same members in another order: other bytes of DUMP
    await write(other, ['DEL', 'a:set']);
    await write(other, ['SADD', 'a:set', 'z', 'y', 'x']);
    assert.equal((await compare()).equal, true);

    const binary = '\x00\xff\r\n{';
    await write(
      other,
      ['SET', 'a:1', 'another'],
      ['RPUSH', 'a:list', '3'],
      ['PEXPIRE', 'a:2', '900000'],
      ['PERSIST', 'a:10'],
      ['DEL', 'a:3'],
      ['SET', 'only', 'there'],
      ['DEL', 'a:4'],
      ['SET', binary, 'there'],
    );
    await write(other, ['RPUSH', 'a:4', 'a list']);
    const wanted = [
      ['a:1', 'value'],
      ['a:10', 'expiry'],
      ['a:2', 'expiry'],
      ['a:3', 'missing'],
      ['a:4', 'type'],
      ['a:list', 'value'],
      ['only', 'surplus'],
      [binary, 'surplus'],
    ].sort();
    const found = await compare();
    assert.deepEqual(found.differences.map(({ key, state }) => [key, state]).sort(), wanted);
    const { equal, keys, differ, missing, surplus, unknown } = found;
    assert.deepEqual(
      [equal, keys, found.same, differ, missing, surplus, unknown],
      [false, 502, 496, 5, 1, 2, 0],
    );

    const dir = mkdtempSync(join(tmpdir(), 'redis-trib-compare-'));
    const list = join(dir, 'list');
    const words = ['compare', seedOf(one), seedOf(other), '--rounds', '1', '--list', list, '--json'];
    const { code, stdout, stderr } = await runMain(words);
    assert.deepEqual([code, stderr], [1, '']);
    const { differences, ok } = JSON.parse(stdout);
    assert.deepEqual([ok, differences.length], [false, wanted.length]);
    const lines = readFileSync(list, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const line of lines) assert.equal(faultOf(line, 'compare-list'), undefined);
    const named = lines.map(({ key }) => key);
    assert.equal(lines.length, wanted.length);
    assert.ok(named.some((key) => key.base64 === Buffer.from(binary, 'latin1').toString('base64')));
    rmSync(dir, { recursive: true });
    const text = await runMain(['compare', seedOf(one), seedOf(other), '--rounds', '1']);
    assert.match(text.stdout, /"a:10" \(time to live\)/);
  });

  it('compares a server with a cluster, either way, in the databases that an import uses', async () => {
    await tell(server, ...sets('b', 200), ['SELECT', '3'], ['SET', 'three', '3']);
    await importKeys(seedOf(other), server.address, { databases: [0] });
    const first = await compareKeys(server.address, seedOf(other), { databases: [0] });
    assert.deepEqual([first.equal, first.same], [true, 200]);
    const back = await compareKeys(seedOf(other), server.address, { databases: [0] });
    assert.deepEqual([back.equal, back.same], [true, 200]);
    const third = await compareKeys(server.address, seedOf(other), { databases: [3], rounds: 1 });
    assert.deepEqual([third.missing, third.surplus, third.databases], [1, 200, [{ db: 3, keys: 1, to: 0 }]]);
    const failed = await failureOf(compareKeys(server.address, seedOf(other)));
    assert.deepEqual([failed.code, failed.address], ['DATABASES_DIFFER', seedOf(other)]);
  });

  it('reads strings together, no expiries if there are none, and lists names if both sides have the same', async () => {
    const commands = Array.from({ length: 300 }, (_, index) => ['SET', `i:${index}`, `value of ${index}`]);
    for (const nodes of [one, other]) await write(nodes, ...commands, ['HSET', 'i:hash', 'field', 'value']);
    const counting = async (): Promise<{ equal: boolean; differ: number; calls: Record<string, number> }> => {
      for (const node of [...one, ...other]) await ask(node, 'CONFIG', 'RESETSTAT');
      const { equal, differ } = await compare({ rounds: 1 });
      const calls: Record<string, number> = {};
      for (const node of [...one, ...other]) {
        const text = String(await ask(node, 'INFO', 'commandstats'));
        for (const [, name = '', count] of text.matchAll(/^cmdstat_(\w+):calls=(\d+)/gm))
          calls[name] = (calls[name] ?? 0) + Number(count);
      }
      return { equal, differ, calls };
    };
    const first = await counting();
    assert.deepEqual([first.equal, first.differ], [true, 0]);
    const asked = ({ calls }: typeof first, ...names: string[]) => names.map((name) => calls[name] ?? 0);
    assert.deepEqual(asked(first, 'pttl', 'pexpiretime', 'exists'), [0, 0, 0]);
    const [dumped = 0, mget = 0] = asked(first, 'dump', 'mget');
    assert.ok(dumped >= 2 && dumped < 300 && mget > 0, `${dumped} values by DUMP`);
    await write(other, ['EXPIRE', 'i:7', '900']);
    const second = await counting();
    assert.deepEqual([second.equal, second.differ], [false, 1]);
    await write(other, ['PERSIST', 'i:7'], ['SET', 'i:8', 'another'], ['APPEND', 'i:9', '!']);
    assert.deepEqual((await counting()).differ, 2);
  });

  it('looks again at what is being written, until it is the same', async () => {
    await write(one, ...sets('c', 300));
    await write(other, ...sets('c', 300));
    await write(other, ['SET', 'c:1', 'late'], ['DEL', 'c:2'], ['SET', 'c:more', 'x']);
    // As a copy that follows does, once the first round has found it.
    let isFirst = true;
    const following = async () => {
      await write(other, ['SET', 'c:1', 'value of 1'], ['SET', 'c:2', 'value of 2'], ['DEL', 'c:more']);
    };
    let followed: Promise<void> | undefined;
    const watched = await compare({
      rounds: 40,
      onEvent: ({ type }) => {
        if (type === 'compare-progress' && isFirst)
          followed = new Promise((done) => setTimeout(() => done(following()), 200));
        isFirst = false;
      },
    });
    await followed;
    assert.deepEqual([watched.equal, watched.same, watched.differences], [true, 300, []]);
    const { settled: later } = watched;
    assert.ok(later <= 2, `${later}`);
  });

  it('misses no key while slots move on either side', async () => {
    const commands = [...sets('d', 600), ...keysOfSlot(10, 100, 'd').map((key) => ['SET', key, 'x'])];
    for (const nodes of [one, other]) await write(nodes, ...commands);
    for (const node of [...one, ...other]) node.setDelay(2);
    const method = 'migrate';
    let moving: Promise<unknown> | undefined;
    const move = async (nodes: readonly ServerNode[]) => {
      await migrateSlots(at(nodes, 0).address, at(nodes, 1).address, [10], { method });
      await migrateSlots(at(nodes, 1).address, at(nodes, 0).address, [10], { method });
    };
    const result = await compare({
      onEvent: ({ type }) => {
        if (type === 'compare-progress') moving ??= Promise.all([move(one), move(other)]);
      },
    });
    for (const node of [...one, ...other]) node.setDelay(0);
    await moving;
    assert.deepEqual([result.equal, result.keys, result.same], [true, 700, 700]);
    await settled(one);
    await settled(other);
  });

  it('compares functions by name and code', async (context) => {
    if (bed.server.kind === 'redis' && bed.server.major < 7) return context.skip('it has no functions');
    const library = (name: string, value: number) =>
      `#!lua name=${name}\nredis.register_function('${name}', function() return ${value} end)`;
    for (const node of one) {
      await ask(node, 'FUNCTION', 'LOAD', library('both', 1));
      await ask(node, 'FUNCTION', 'LOAD', library('mine', 1));
    }
    for (const node of other) await ask(node, 'FUNCTION', 'LOAD', library('both', 2));
    const { equal, functions } = await compare();
    assert.deepEqual(
      [equal, functions],
      [
        false,
        [
          { name: 'both', state: 'differs' },
          { name: 'mine', state: 'missing' },
        ],
      ],
    );
    for (const node of [...one, ...other]) await ask(node, 'FUNCTION', 'FLUSH');
  });

  it('names the side that refuses, does not answer or is the same', async () => {
    const [locked] = await bed.start(1, { cluster: false, password: 'secret of the other' });
    assert.ok(locked);
    await tell(locked, ['SET', 'e', '1']);
    await assert.rejects(compareKeys(seedOf(one), locked.address), {
      code: 'NOAUTH',
      address: locked.address,
    });
    // The password of one side is not that of the other, where a named user needs none.
    const reaching = { username: 'default', password: 'x' };
    await assert.rejects(compareKeys(locked.address, seedOf(one), { other: reaching }), {
      code: 'NOAUTH',
      address: locked.address,
    });
    const { code, stdout } = await runMain(['compare', server.address, locked.address, '--json'], {
      env: { REDISCLI_TO_AUTH: 'secret of the other' },
    });
    assert.deepEqual([code, JSON.parse(stdout).surplus], [1, 1]);
    const unnamed = await runMain(['compare', server.address, locked.address]);
    assert.match(unnamed.stderr, /REDISCLI_TO_AUTH/);
    await locked.kill();
    await assert.rejects(compareKeys(seedOf(one), locked.address), {
      code: 'ECONNREFUSED',
      address: locked.address,
    });
    assert.equal((await failureOf(compareKeys(seedOf(one), at(one, 1).address))).code, 'SAME_CLUSTER');
    assert.equal((await failureOf(compareKeys(server.address, server.address))).code, 'SAME_NODE');
  });

  for (const side of ['first', 'second'] as const) {
    it(`ends with the name of a node of the ${side} side that goes down`, async () => {
      for (const nodes of [one, other]) await write(nodes, ...sets('f', 500));
      const down = at(side === 'first' ? one : other, 1);
      let killing: Promise<void> | undefined;
      const { code, address } = await failureOf(
        compare({
          agreeTimeout: 1000,
          onEvent: ({ type }) => {
            if (type === 'compare-progress') killing ??= down.kill();
          },
        }),
      );
      assert.deepEqual([code, address], ['NODE_UNREACHABLE', down.address]);
      await killing;
      await down.restart();
      await settled(side === 'first' ? one : other);
    });
  }

  it('stops at once when its signal aborts', async () => {
    for (const nodes of [one, other]) await write(nodes, ...sets('g', 500));
    const stop = new AbortController();
    const reason = new Error('enough');
    await assert.rejects(
      compare({
        signal: stop.signal,
        onEvent: (event) => event.type === 'compare-progress' && stop.abort(reason),
      }),
      reason,
    );
    await eventually('no connection is left', async () => {
      const connection = await connectTo(at(other, 0));
      const list = String(await connection.command(['CLIENT', 'LIST', 'TYPE', 'normal']));
      await connection.close();
      return !/ name=redis-trib /.test(list);
    });
  });

  it('keeps to a rate', async () => {
    await tell(server, ...sets('h', 300));
    await write(other, ...sets('h', 300));
    const started = performance.now();
    const { equal } = await compareKeys(server.address, seedOf(other), { limits: { keysPerSecond: 1000 } });
    assert.equal(equal, true);
    assert.ok(performance.now() - started > 300, '600 names at 1000 a second');
  });
});
