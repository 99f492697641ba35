import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { check, importKeys, keySlot, migrateSlots } from '../../lib/index.ts';
import { ask, connectTo } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, keysOfSlot, openSlotsAt, startMasters, tell } from '../helpers/clusters.ts';
import { abortOf } from '../helpers/errors.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
let masters: ServerNode[];
let servers: ServerNode[];
let seed: ServerNode;
before(async () => {
  bed = await openBed();
  [masters, servers] = await Promise.all([
    startMasters(bed, 2),
    bed.start(5, { cluster: false, config: {} }),
  ]);
  seed = at(masters, 0);
});
after(() => bed.close());

/** Every key of these nodes, with its DUMP, and whether it expires. */
async function contentOf(nodes: readonly ServerNode[]): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const node of nodes) {
    const connection = await connectTo(node);
    const keys = (await connection.command(['KEYS', '*'])) as string[];
    for (const key of keys) {
      assert.ok(!content.has(key), `${key} is on one node only`);
      const [dump, ttl] = await connection.pipeline([
        ['DUMP', key],
        ['PTTL', key],
      ]);
      content.set(
        key,
        `${Number(ttl) < 0 ? 'stays' : 'goes'} ${Buffer.from(String(dump), 'latin1').toString('hex')}`,
      );
    }
    await connection.close();
  }
  return content;
}

const inPart = (prefix: string, content: Map<string, string>) =>
  new Map([...content].filter(([key]) => key.startsWith(prefix)));

function assertSame(found: Map<string, string>, wanted: Map<string, string>): void {
  assert.equal(found.size, wanted.size);
  for (const [key, value] of wanted) assert.equal(found.get(key), value, key);
}

describe('importKeys()', () => {
  it('copies keys of every type and any bytes with their times to live, and recognises them the second time', async () => {
    const source = at(servers, 0);
    const keys = Array.from({ length: 2000 }, (_, index) => `a:${index}`);
    await tell(
      source,
      ...keys.map((key, index) => [
        'SET',
        key,
        `value of ${index}`,
        ...(index % 10 === 0 ? ['EX', '900'] : []),
      ]),
      ['SET', 'a:\x00\xff\r\n{\xe2\x82}', '\x00\x01\xff'],
      ['SET', 'a:big', 'x'.repeat(6_000_000)],
      ['RPUSH', 'a:list', ...keys.slice(0, 300)],
      ['SADD', 'a:set', ...keys.slice(0, 300).map((_, index) => `${index}`)],
      ['ZADD', 'a:zset', ...keys.slice(0, 300).flatMap((key, index) => [`${index}`, key])],
      ['HSET', 'a:hash', ...keys.slice(0, 300)],
      ['XADD', 'a:stream', '1-1', 'field', 'value'],
    );
    const looked = await importKeys(seed.address, source.address, { dryRun: true });
    assert.deepEqual([looked.applied, looked.databases], [false, [{ db: 0, keys: 2007, to: 0 }]]);
    assert.equal(inPart('a:', await contentOf(masters)).size, 0, 'a dry run writes nothing');
    const progress: number[] = [];
    const result = await importKeys(seed.address, source.address, {
      onEvent: (event) => event.type === 'import-progress' && progress.push(event.keysDone),
    });
    assert.deepEqual([result.keys, result.same, result.deleted], [2007, 0, 0]);
    assert.ok(progress.length > 0 && progress.every((done) => done <= 2007), `${progress}`);
    assert.ok(result.bytes > 6_000_000 / 1000, 'bytes as they are written');
    const before = await contentOf([source]);
    assertSame(inPart('a:', await contentOf(masters)), before);
    const again = await importKeys(seed.address, source.address);
    assert.deepEqual([again.keys, again.same], [0, 2007]);
    assertSame(await contentOf([source]), before);
  });

  it('keeps keys that have another value in the cluster, names them, and overwrites them with `replace`', async () => {
    const source = at(servers, 1);
    const client = new ClusterClient(seed);
    await tell(
      source,
      ['SET', 'b:1', 'of the source'],
      ['SET', 'b:2', 'same'],
      ['SET', 'b:3', 'new'],
      ['SADD', 'b:4', 'x', 'y', 'z'],
    );
    await client.set('b:1', 'of the cluster');
    await client.set('b:2', 'same');
    // The same members in another order: other bytes of DUMP
    await client.command('b:4', ['SADD', 'b:4', 'z', 'y', 'x']);
    await assert.rejects(importKeys(seed.address, source.address, { move: true }), {
      code: 'KEY_CONFLICT',
      keys: ['b:1'],
      resumable: 'same-call',
    });
    assert.equal(await client.get('b:1'), 'of the cluster');
    assert.equal(await client.get('b:3'), 'new', 'the others are imported anyway');
    assert.deepEqual(
      [...(await contentOf([source])).keys()],
      ['b:1'],
      'only what the cluster has is deleted',
    );
    const words = [
      'import',
      seed.address,
      '--from',
      source.address,
      '--replace',
      '--move',
      '--yes',
      '--json',
    ];
    const { code, stdout, stderr } = await runMain(words);
    const { keys, deleted } = JSON.parse(stdout);
    assert.deepEqual([code, stderr, keys, deleted], [0, '', 1, 1]);
    assert.equal(await client.get('b:1'), 'of the source');
    assert.equal(await ask(source, 'DBSIZE'), 0);
    await client.close();
  });

  it('loses no write to the source while keys are moved, even if slots move at the same time', async () => {
    const source = at(servers, 2);
    const client = new ClusterClient(seed);
    const keys = [...Array.from({ length: 3000 }, (_, index) => `c:${index}`), ...keysOfSlot(100, 300, 'c')];
    await tell(source, ...keys.map((key) => ['SET', key, '0']));
    const last = new Map(keys.map((key) => [key, '0']));
    let isOver = false;
    const writer = await connectTo(source);
    const writing = (async () => {
      for (let number = 1; !isOver; number++) {
        const key = at(keys, (number * 7) % keys.length);
        // XX: a missing key has moved
        if ((await writer.command(['SET', key, `${number}`, 'XX'])) !== null) last.set(key, `${number}`);
      }
    })();
    const moving = migrateSlots(seed.address, at(masters, 1).address, [[100, 140]], { method: 'migrate' });
    const importing = importKeys(seed.address, source.address, { move: true, force: true });
    const [moved, imported] = await Promise.allSettled([moving, importing]);
    isOver = true;
    await writing;
    await writer.close();
    assert.equal(moved.status, 'fulfilled', String(moved.status === 'rejected' && moved.reason));
    if (imported.status === 'rejected') assert.equal(imported.reason.code, 'KEY_CONFLICT', imported.reason);
    const left = await contentOf([source]);
    for (const key of keys) {
      const found = left.has(key) ? await ask(source, 'GET', key) : await client.get(key);
      assert.equal(found, last.get(key), `${key}, ${left.has(key) ? 'on the source' : 'in the cluster'}`);
    }
    await importKeys(seed.address, source.address, { move: true, replace: true });
    for (const key of keys) assert.equal(await client.get(key), last.get(key), key);
    assert.equal(await ask(source, 'DBSIZE'), 0);
    assert.deepEqual(await openSlotsAt(masters), []);
    await client.close();
  });

  it('moves the groups of a stream as they are when it is deleted', async () => {
    const source = at(servers, 3);
    const [writer, client] = [await connectTo(source), new ClusterClient(seed)];
    await tell(source, ['XADD', 's:stream', '1-1', 'f', 'v'], ['XGROUP', 'CREATE', 's:stream', 'first', '0']);
    let writing: Promise<unknown> | undefined;
    const onCommands = (commands: readonly (readonly unknown[])[]) => {
      if (commands.some(([name]) => name === 'MULTI'))
        writing ??= writer.pipeline([
          ['XGROUP', 'DESTROY', 's:stream', 'first'],
          ['XGROUP', 'CREATE', 's:stream', 'second', '0'],
          ['XSETID', 's:stream', '9-9'],
        ]);
    };
    const { deleted } = await importKeys(seed.address, source.address, {
      ...{ move: true, source: { onCommands } },
    });
    assert.deepEqual([deleted, await writing], [1, [1, 'OK', 'OK']]);
    const facts = String(await client.command('s:stream', ['XINFO', 'GROUPS', 's:stream']));
    assert.deepEqual([facts.includes('second'), facts.includes('first')], [true, false]);
    await assert.rejects(client.command('s:stream', ['XADD', 's:stream', '9-8', 'f', 'v']));
    await Promise.all([writer.close(), client.close()]);
  });

  it('stops when its signal aborts, and the same call continues', async () => {
    const source = at(servers, 3);
    const keys = Array.from({ length: 3000 }, (_, index) => `d:${index}`);
    await tell(source, ...keys.map((key) => ['SET', key, key]));
    const stop = new AbortController();
    const reason = new Error('enough');
    const { moved } = await abortOf(
      importKeys(seed.address, source.address, {
        signal: stop.signal,
        onEvent: (event) => event.type === 'import-progress' && stop.abort(reason),
      }),
      reason,
    );
    const { size } = inPart('d:', await contentOf(masters));
    assert.ok(moved.slots === 0 && moved.keys > 0 && moved.keys <= size, `${moved.keys} of ${size}`);
    const result = await importKeys(seed.address, source.address);
    assert.equal(result.keys + result.same, 3000);
    assert.ok(result.same > 0, 'some were there');
    assert.equal(inPart('d:', await contentOf(masters)).size, 3000);
  });

  it('deletes no key at the source without the right to MULTI', async () => {
    const source = at(servers, 3);
    await tell(source, ['SET', 'm:1', 'value'], ['ACL', 'SETUSER', 'mover', 'on', '>x', '~m:*', '+@all']);
    await tell(source, ['ACL', 'SETUSER', 'mover', '-multi']);
    const as = { username: 'mover', password: 'x' };
    await assert.rejects(importKeys(seed.address, source.address, { source: as, move: true }));
    assert.deepEqual(
      [...(await contentOf([source])).keys()].filter((key) => key === 'm:1'),
      ['m:1'],
    );
  });

  it('imports one database at a time if the cluster has only one', async () => {
    const source = at(servers, 4);
    const multiple = await startMasters(
      bed,
      1,
      0,
      bed.server.kind === 'valkey' && bed.server.major >= 9 ? { config: { 'cluster-databases': '16' } } : {},
    );
    await tell(source, ['SELECT', '3'], ['SET', 'e:3', 'three'], ['SELECT', '5'], ['SET', 'e:5', 'five']);
    await assert.rejects(importKeys(seed.address, source.address), { code: 'DATABASES_DIFFER' });
    const result = await importKeys(seed.address, source.address, { databases: [3] });
    assert.deepEqual([result.keys, result.databases], [1, [{ db: 3, keys: 1, to: 0 }]]);
    if (bed.server.kind === 'valkey' && bed.server.major >= 9) {
      const all = await importKeys(at(multiple, 0).address, source.address);
      assert.deepEqual(
        all.databases.map(({ db, to }) => [db, to]),
        [
          [3, 3],
          [5, 5],
        ],
      );
      const [, value] = await tell(at(multiple, 0), ['SELECT', '5'], ['GET', 'e:5']);
      assert.equal(value, 'five');
      const user = ['ACL', 'SETUSER', 'one', 'on', '>x', '~*', '+@all', '-select'];
      await tell(at(multiple, 0), ['SET', 'e:3', 'of database 0'], user);
      const as = { username: 'one', password: 'x', replace: true, databases: [3] };
      await assert.rejects(importKeys(at(multiple, 0).address, source.address, as), { code: 'NOPERM' });
      assert.equal(await ask(at(multiple, 0), 'GET', 'e:3'), 'of database 0');
    } else {
      assert.equal(await ask(at(multiple, 0), 'DBSIZE'), 0);
    }
  });

  it('refuses a node of a cluster, and reports a server that refuses or does not answer', async () => {
    const [node] = await bed.start(1, { cluster: false, password: 'secret of the source' });
    assert.ok(node);
    const { code: which, next } = await refusalOf(importKeys(seed.address, at(masters, 1).address));
    assert.equal(which, 'NOT_STANDALONE');
    // To which node, and which slots, is for the operator to say.
    const advice = {
      ...adviceFor(next, 'migrate-slots'),
      target: seed.address,
      slots: [[16383, 16383]],
    } as const;
    await follow(advice, { nodes: masters });
    await migrateSlots(seed.address, at(masters, 1).address, [16383]);
    await assert.rejects(importKeys(seed.address, node.address), { code: 'NOAUTH' });
    const { code, stdout, stderr } = await runMain(
      ['import', seed.address, '--from', node.address, '--yes'],
      {
        env: { REDISCLI_FROM_AUTH: 'secret of the source' },
      },
    );
    assert.deepEqual([code, stderr], [0, ''], stdout);
    await node.kill();
    await assert.rejects(importKeys(seed.address, node.address), { code: 'ECONNREFUSED' });
    const refused = await runMain(['import', seed.address, '--from', node.address]);
    assert.equal(refused.code, 2);
  });

  it("takes redis-cli's options, and moves keys as redis-cli does unless --cluster-copy is given", async () => {
    const [source] = await bed.start(1, { cluster: false, password: 'secret of the source' });
    assert.ok(source);
    await tell(source, ['SET', 'f:1', 'one'], ['SET', 'f:2', 'two']);
    const words = ['--cluster', 'import', seed.address, '--cluster-from', source.address];
    const reached = [...words, '--cluster-from-pass', 'secret of the source'];
    const copied = await runMain([...reached, '--cluster-copy']);
    assert.deepEqual([copied.code, copied.stderr], [0, ''], copied.stdout);
    assert.match(copied.stdout, /^>>> Importing data from \S+ to cluster \S+\n>>> Performing Cluster Check/);
    assert.match(copied.stdout, /\n\*\*\* Importing 2 keys from DB 0\n\[OK\] 2 keys imported\.\n$/);
    assert.equal(await ask(source, 'DBSIZE'), 2);
    await tell(source, ['SET', 'f:1', 'another']);
    const refused = await runMain(reached);
    assert.equal(refused.code, 1);
    const replaced = await runMain([...reached, '--cluster-replace']);
    assert.deepEqual([replaced.code, replaced.stderr], [0, ''], replaced.stdout);
    assert.equal(await ask(source, 'DBSIZE'), 0);
    const wrong = await runMain(words.slice(0, 3));
    assert.equal(wrong.code, 2);
  });

  it('stops if a master is full or refuses to write, and the same call continues once it has what it lacks', async () => {
    const [source, full] = [at(servers, 4), at(masters, 1)];
    const keys = Array.from({ length: 40 }, (_, index) => `full:${index}`).filter(
      (key) => keySlot(key) > 8500,
    );
    await tell(source, ['FLUSHALL'], ...keys.map((key) => ['SET', key, 'x'.repeat(60_000)]));
    const again = () => importKeys(seed.address, source.address);
    const hands = { nodes: masters, again, values: { maxmemory: '0' } };
    await ask(full, 'CONFIG', 'SET', 'maxmemory', '1mb');
    const error = await refusalOf(again());
    assert.deepEqual([error.code, error.address, error.resumable], ['NO_MEMORY', full.address, 'same-call']);
    const retry = adviceFor(error.next, 'retry', 'repaired');
    await follow(adviceFor(error.next, 'configure'), hands);
    await ask(full, 'CONFIG', 'SET', 'min-replicas-to-write', '1');
    const refused = await refusalOf(follow(retry, hands));
    assert.deepEqual([refused.code, refused.resumable], ['RESTORE_FAILED', 'same-call']);
    await ask(full, 'CONFIG', 'SET', 'min-replicas-to-write', '0');
    await follow(adviceFor(refused.next, 'retry', 'repaired'), hands);
    assert.equal((await again()).same, keys.length);
  });

  it('leaves the cluster healthy', async () => {
    assert.equal((await check(seed.address)).ok, true);
  });
});
