import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { openSource } from '../../lib/copy/import-source.ts';
import { scanKeys } from '../../lib/copy/scan-keys.ts';
import { check, type ImportOptions, importKeys, migrateSlots } from '../../lib/index.ts';
import { withContext } from '../../lib/operations/cluster.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  settled,
  startMasters,
  startPairs,
  tell,
} from '../helpers/clusters.ts';
import { abortOf, failureOf } from '../helpers/errors.ts';
import { runMain } from '../helpers/made-up-io.ts';

let bed: Bed;
/** The cluster that keys go to. */
let target: ServerNode[];
/** Three masters, then a replica of each. */
let pairs: ServerNode[];
/** Two masters that a delay can be put before. */
let slow: ServerNode[];
before(async () => {
  bed = await openBed();
  [target, pairs, slow] = await Promise.all([
    startMasters(bed, 2),
    startPairs(bed),
    startMasters(bed, 2, 0, { relay: true }),
  ]);
});
after(() => bed.close());
beforeEach(async () => {
  for (const node of [...target, ...slow]) await ask(node, 'FLUSHALL');
});

/** By key: its DUMP and whether it expires. Fails if two of these nodes have one key. */
async function contentOf(nodes: readonly ServerNode[]): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const node of nodes) {
    const connection = await connectTo(node);
    for (const key of (await connection.command(['KEYS', '*'])) as string[]) {
      assert.ok(!content.has(key), `${key} is on one node only`);
      const [dump, ttl] = await connection.pipeline([
        ['DUMP', key],
        ['PTTL', key],
      ]);
      content.set(key, `${Number(ttl) < 0 ? 'stays' : 'goes'} ${String(dump)}`);
    }
    await connection.close();
  }
  return content;
}

async function fill(node: ServerNode, keys: readonly string[]): Promise<void> {
  const client = new ClusterClient(node);
  await Promise.all(keys.map((key, index) => client.set(key, `value of ${index}`)));
  await client.close();
}

const names = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${prefix}:${index}`);

const seedOf = (nodes: readonly ServerNode[]) => at(nodes, 0).address;

function importFrom(source: readonly ServerNode[], options: ImportOptions = {}) {
  return importKeys(seedOf(target), seedOf(source), { ...options, fromCluster: true });
}

/** Makes an import from the slow nodes last long enough for something to happen in the meantime. */
async function whileSlow<Result>(work: () => Promise<Result>): Promise<Result> {
  for (const node of slow) node.setDelay(3);
  try {
    return await work();
  } finally {
    for (const node of slow) node.setDelay(0);
  }
}

describe('importKeys() from a cluster', () => {
  it('copies the keys of all masters, also from replicas, and recognises them the second time', async () => {
    const client = new ClusterClient(at(pairs, 0));
    await fill(at(pairs, 0), names('a', 600));
    await client.command('a:list', ['RPUSH', 'a:list', 'one', 'two']);
    await client.command('a:goes', ['SET', 'a:goes', 'x', 'EX', '900']);
    await client.command('\x00\xff\r\n', ['SET', '\x00\xff\r\n', '\x00\xff']);
    await client.close();
    const all = await contentOf(pairs.slice(0, 3));
    assert.equal(all.size, 603);

    const looked = await importFrom(pairs, { dryRun: true });
    assert.deepEqual(
      [looked.applied, looked.databases, looked.nodes.length],
      [false, [{ db: 0, keys: 603, to: 0 }], 3],
    );
    assert.equal((await contentOf(target)).size, 0, 'a dry run writes nothing');
    const first = await importFrom(pairs, { fromReplicas: true });
    assert.deepEqual([first.keys, first.same, first.deleted], [603, 0, 0]);
    const replicas = pairs.slice(3).map(({ address }) => address);
    assert.deepEqual([...first.nodes].sort(), replicas.sort(), 'the replicas were read');
    assert.deepEqual(await contentOf(target), all);
    const words = ['import', seedOf(target), '--from-cluster', at(pairs, 4).address, '--yes', '--json'];
    const { code, stdout, stderr } = await runMain(words);
    const { keys, same } = JSON.parse(stdout);
    assert.deepEqual([code, stderr, keys, same], [0, '', 0, 603]);
    assert.deepEqual(await contentOf(pairs.slice(0, 3)), all, 'the source is as it was');
  });

  it('does not take the keys of a replica that was pointed at another master for all that its own has', async () => {
    const [master, other, replica] = [at(pairs, 0), at(pairs, 1), at(pairs, 3)];
    const point = async (to: ServerNode) => {
      await ask(replica, 'CLUSTER', 'REPLICATE', await idOfNode(to));
      const synced = async () =>
        String(await ask(replica, 'INFO', 'replication')).includes(`master_port:${to.port}`) &&
        String(await ask(replica, 'INFO', 'replication')).includes('master_link_status:up') &&
        (await ask(replica, 'DBSIZE')) === (await ask(to, 'DBSIZE'));
      await eventually('the replica has the keys of its new master', synced);
    };
    let pointing: Promise<void> | undefined;
    const scanning = withContext(master.address, {}, async (context) => {
      const source = await openSource(context, master.address, { fromCluster: true, fromReplicas: true });
      const visit = async (): Promise<void> => {
        pointing ??= point(other);
        await pointing;
      };
      await scanKeys(source, { what: 'scan', databases: [0], listing: {}, visit });
    });
    const { code } = await failureOf(scanning);
    await point(master);
    await settled(pairs);
    assert.equal(code, 'NO_REPLICA');
  });

  it('moves keys, and keeps those with another value', async () => {
    await fill(at(slow, 0), names('b', 300));
    await fill(at(target, 0), ['b:7']);
    const { code, keys } = await failureOf(importFrom(slow, { move: true }));
    assert.deepEqual([code, keys], ['KEY_CONFLICT', ['b:7']]);
    assert.deepEqual([...(await contentOf(slow)).keys()], ['b:7']);
    const { deleted } = await importFrom(slow, { move: true, replace: true });
    assert.equal(deleted, 1);
    assert.equal((await contentOf(slow)).size, 0);
    assert.equal((await contentOf(target)).size, 300);
  });

  for (const move of [false, true]) {
    it(`loses no key while slots of the source move, ${move ? 'as keys are moved' : 'as keys are copied'}`, async () => {
      const slots = [10, 11, 12, 13, 14, 9000, 9001, 9002];
      const keys = [...names('c', 400), ...slots.flatMap((slot) => keysOfSlot(slot, 60, 'c'))];
      await fill(at(slow, 0), keys);
      const [first, second] = [at(slow, 0).address, at(slow, 1).address];
      let moving: Promise<unknown> | undefined;
      const method = 'migrate';
      const there = async () => {
        await migrateSlots(first, second, [[10, 14]], { method });
        await migrateSlots(second, first, [10, 11, 9000], { method });
      };
      const result = await whileSlow(async () => {
        const importing = importFrom(slow, {
          move,
          onEvent: ({ type }) => {
            if (type === 'import-progress') moving ??= there();
          },
        });
        // Neither may go on when the other has failed.
        const [done] = await Promise.allSettled([importing]);
        for (const node of slow) node.setDelay(0);
        await moving;
        if (done.status === 'rejected') throw done.reason;
        return done.value;
      });
      assert.ok(moving, 'slots have moved');
      const found = await contentOf(target);
      assert.deepEqual(
        keys.filter((key) => !found.has(key)),
        [],
        'all keys arrived',
      );
      assert.equal(result.keys, keys.length);
      const left = await contentOf(slow);
      assert.equal(left.size, move ? 0 : keys.length);
      await settled(slow);
      assert.deepEqual(await openSlotsAt(slow), []);
      // As it was before.
      await migrateSlots(second, first, [[12, 14]], { method });
      await migrateSlots(first, second, [9000], { method });
    });
  }

  it('reads the keys of a master that fails over from the one that takes its place', async () => {
    const keys = names('d', 3000);
    await fill(at(pairs, 0), keys);
    const killed = at(pairs, 1);
    let killing: Promise<void> | undefined;
    const result = await importFrom(pairs, {
      onEvent: ({ type }) => {
        if (type === 'import-progress') killing ??= killed.kill();
      },
    });
    assert.ok(killing, 'a master was killed');
    const found = await contentOf(target);
    assert.deepEqual(
      keys.filter((key) => !found.has(key)),
      [],
    );
    assert.ok(result.keys >= keys.length);
    await killing;
    await killed.restart();
    await settled(pairs);
  });

  it('refuses, before anything is written, a source that is not a whole cluster of its own', async () => {
    await fill(at(slow, 0), ['e:1']);
    const [standalone] = await bed.start(1, { cluster: false });
    assert.ok(standalone);
    const codeOf = async (promise: Promise<unknown>) => (await failureOf(promise)).code;
    assert.equal(await codeOf(importFrom([standalone])), 'NOT_CLUSTER_ENABLED');
    assert.equal(await codeOf(importFrom([at(target, 1)])), 'SAME_CLUSTER');
    assert.equal(await codeOf(importFrom(slow, { move: true, fromReplicas: true })), 'INVALID_ARGUMENT');
    assert.equal(await codeOf(importFrom(slow, { fromReplicas: true })), 'NO_REPLICA');
    const alone = await failureOf(importKeys(seedOf(target), seedOf(slow)));
    assert.deepEqual(
      [alone.code, alone.next?.[0]],
      ['NOT_STANDALONE', { do: 'retry', options: { fromCluster: true } }],
    );
    // And what is advised is done.
    assert.equal((await importFrom(slow, { dryRun: true })).databases[0]?.keys, 1);

    const [a, b] = await Promise.all(slow.map((node) => ask(node, 'CLUSTER', 'MYID')));
    await tell(at(slow, 0), ['CLUSTER', 'SETSLOT', '5', 'MIGRATING', String(b)]);
    await tell(at(slow, 1), ['CLUSTER', 'SETSLOT', '5', 'IMPORTING', String(a)]);
    assert.equal(await codeOf(importFrom(slow)), 'OPEN_SLOT');
    for (const node of slow) await tell(node, ['CLUSTER', 'SETSLOT', '5', 'STABLE']);
    assert.equal((await contentOf(target)).size, 0);
  });

  it('needs no more of the source than the right to read', async () => {
    const rights = ['+ping', '+client|setname', '+info', '+cluster|nodes', '+cluster|info'];
    const read = [
      '+select',
      '+scan',
      '+memory|usage',
      '+pttl',
      '+dump',
      '+type',
      '+readonly',
      '+function|dump',
    ];
    const known = [...rights, ...read].filter(
      (rule) => bed.server.kind === 'valkey' || bed.server.major >= 7 || rule !== '+function|dump',
    );
    for (const node of slow) await ask(node, 'ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', ...known);
    await fill(at(slow, 0), names('f', 100));
    const source = { username: 'reader', password: 'secret' };
    await importFrom(slow, { source, dryRun: true });
    assert.equal((await importFrom(slow, { source })).keys, 100);
    await assert.rejects(importFrom(slow, { source: { username: 'reader', password: 'wrong' } }), {
      code: 'WRONGPASS',
      address: seedOf(slow),
    });
    for (const node of slow) await ask(node, 'ACL', 'DELUSER', 'reader');
  });

  it('stops when its signal aborts, and the same call continues', async () => {
    await fill(at(slow, 0), names('g', 1500));
    const stop = new AbortController();
    const reason = new Error('enough');
    await whileSlow(async () => {
      const { moved } = await abortOf(
        importFrom(slow, {
          signal: stop.signal,
          onEvent: (event) => event.type === 'import-progress' && stop.abort(reason),
        }),
        reason,
      );
      assert.ok(moved.keys > 0 && moved.keys < 1500, `${moved.keys}`);
    });
    const { keys, same } = await importFrom(slow);
    assert.equal(keys + same, 1500);
    assert.ok(same > 0, 'some were there');
  });

  it('ends with the name of a node that does not come back', async () => {
    await fill(at(slow, 0), names('h', 600));
    const down = at(slow, 1);
    let killing: Promise<void> | undefined;
    const { code, address } = await failureOf(
      importFrom(slow, {
        agreeTimeout: 1000,
        onEvent: ({ type }) => {
          if (type === 'import-progress') killing ??= down.kill();
        },
      }),
    );
    assert.deepEqual([code, address], ['NODE_UNREACHABLE', down.address]);
    await killing;
    await down.restart();
    await settled(slow);
  });

  it('leaves both clusters healthy', async () => {
    for (const nodes of [target, slow]) assert.equal((await check(seedOf(nodes))).ok, true);
  });
});
