import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  type ClusterEvent,
  check,
  keySlot,
  migrateSlots,
  openCluster,
  replicate,
  startCluster,
} from '../../lib/index.ts';
import { ask, connectTo, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  recordsOf,
  sizeOf,
  snapshot,
  startMasters,
  tagOfSlot,
  tell,
} from '../helpers/clusters.ts';
import { adviceFor, follow, refusalOf } from '../helpers/follow.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** The keys that a node holds of a slot, read from that node alone. */
async function keysAt(node: ServerNode, slot: number): Promise<string[]> {
  const reply = (await ask(node, 'CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1000000')) as string[];
  return reply.toSorted();
}

/** Type and value of every key of a slot, and whether it expires. Sets and hashes have no order. */
async function contents(node: ServerNode, slot: number): Promise<Record<string, unknown[]>> {
  const keys = await keysAt(node, slot);
  const connection = await connectTo(node);
  const entries = await Promise.all(
    keys.map(async (key) => {
      const type = String(await connection.command(['TYPE', key]));
      const read = { set: 'SMEMBERS', hash: 'HGETALL' }[type] ?? 'DUMP';
      const [value, ttl] = await connection.pipeline([
        [read, key],
        ['PTTL', key],
      ]);
      const flat = Array.isArray(value) ? value.map(String).toSorted() : value;
      return [key, [type, digestOf(flat), Number(ttl) > 0]];
    }),
  );
  connection.destroy();
  return Object.fromEntries(entries);
}

/** The config epoch that a node reports for itself. */
async function epochOf(node: ServerNode): Promise<number> {
  const own = (await recordsOf(node)).find(({ flags }) => flags.includes('myself'));
  return own?.configEpoch ?? Number.NaN;
}

const digestOf = (value: unknown) => createHash('sha1').update(JSON.stringify(value)).digest('hex');

describe('migrateSlots()', { concurrency: true }, () => {
  it('gives the target a config epoch above that of a source it has not heard from recently', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await eventually('the source has the highest config epoch', async () => {
      await ask(first, 'CLUSTER', 'BUMPEPOCH');
      return (await epochOf(first)) > (await epochOf(second));
    });
    await migrateSlots(first.address, second.address, [5]);
    assert.ok((await epochOf(second)) > (await epochOf(first)));
    await assertLayout([
      [first, '0-4 6-8191'],
      [second, '5 8192-16383'],
    ]);
  });

  it('moves slots given as numbers and pairs, and reports what was moved', async () => {
    const nodes = await startMasters(bed, 3);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const keys = keysOfSlot(7, 250);
    await tell(first, ...keys.map((key) => ['SET', key, key]));
    const events: ClusterEvent[] = [];
    const result = await migrateSlots(first.address, second.address, [7, [100, 110], 105, [0, 0]], {
      method: 'migrate',
      onEvent: (event) => events.push(event),
    });
    await assertLayout([
      [first, '1-6 8-99 111-5461'],
      [second, '0 7 100-110 5462-10922'],
      [third, '10923-16383'],
    ]);
    assert.deepEqual([result.applied, result.slots, result.keys], [true, 13, 250]);
    assert.deepEqual(await keysAt(second, 7), keys.toSorted());
    assert.deepEqual(await keysAt(first, 7), []);
    const ends = { source: first.address, target: second.address };
    const started = events.find((event) => event.type === 'move-start');
    assert.ok(started && started.bytes > 250);
    assert.deepEqual(
      { ...started, bytes: 0 },
      { type: 'move-start', ...ends, method: 'migrate', slots: 13, keys: 250, bytes: 0 },
    );
    const done = events.find(({ type }) => type === 'move-done');
    assert.ok(done?.type === 'move-done');
    const { source, target, slotsDone, keysDone } = done;
    assert.deepEqual({ source, target, slotsDone, keysDone }, { ...ends, slotsDone: 13, keysDone: 250 });
    assert.ok(done.longestStallMs > 0 && done.longestStallMs < done.elapsedMs, JSON.stringify(done));
    const closed = events.flatMap((event) => (event.type === 'slots-closed' ? event.slots : []));
    assert.deepEqual(
      closed.toSorted((a, b) => a - b),
      [0, 7, ...Array.from({ length: 11 }, (_, index) => 100 + index)],
    );
    assert.ok(events.every((event) => JSON.stringify(event) !== undefined && !('toJSON' in event)));
  });

  it('moves keys of any bytes, the empty key, and keys with a hash tag', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
    const keys = [
      '',
      ...bytes,
      bytes.join(''),
      '\xff\xfe\x00\r\n$3\r\nfoo\r\n',
      '\xc3\x28',
      '\xed\xa0\x80',
      'x'.repeat(3000),
      '{}{a}',
      '{a',
      ...bytes.map((byte) => `${byte}{tag}${byte}`),
    ];
    const client = new ClusterClient(first);
    await Promise.all(keys.map((key) => client.set(key, `value of ${key}`)));
    const slots = new Set(keys.map((key) => keySlot(Buffer.from(key, 'latin1'))));
    const [low, high] = [[...slots].filter((slot) => slot < 8192), [...slots].filter((slot) => slot >= 8192)];
    await migrateSlots(first.address, second.address, low);
    await migrateSlots(second.address, first.address, high);
    for (const [node, mine] of [
      [second, low],
      [first, high],
    ] as const) {
      const held = await Promise.all(mine.map((slot) => keysAt(node, slot)));
      assert.deepEqual(
        held.flat().toSorted(),
        keys.filter((key) => mine.includes(keySlot(Buffer.from(key, 'latin1')))).toSorted(),
      );
    }
    for (const key of keys) assert.equal(await client.get(key), `value of ${key}`);
    await client.close();
  });

  it('moves all data types, big values and times to live as they are', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const slot = 99;
    const key = (name: string) => `${name}:{${tagOfSlot(slot)}}`;
    const many = Array.from({ length: 2000 }, (_, index) => `member ${index} \xff\x00`);
    await tell(
      first,
      ['SET', key('string'), 'x\xff\x00\r\n'],
      ['SET', key('empty'), ''],
      ['SET', key('number'), '12345678901234567890'],
      ['SET', key('big'), 'b'.repeat(6_000_000)],
      ['SET', key('short-lived'), 'x', 'PX', '600000'],
      ['SETBIT', key('bits'), '70000', '1'],
      ['RPUSH', key('list'), ...many],
      ['SADD', key('set'), ...many],
      ['SADD', key('integers'), '1', '2', '3'],
      ['ZADD', key('sorted'), ...many.flatMap((member, index) => [`${index}.5`, member])],
      ['HSET', key('hash'), ...many.flatMap((member) => [member, 'v'])],
      ['HSET', key('small-hash'), 'a', 'b'],
      ['EXPIRE', key('small-hash'), '500'],
      ['PFADD', key('log'), ...many],
      ['GEOADD', key('geo'), '13.361389', '38.115556', 'Palermo'],
      ['XADD', key('stream'), '1-1', 'field', 'value'],
      ['XGROUP', 'CREATE', key('stream'), 'group', '0'],
      ['XREADGROUP', 'GROUP', 'group', 'me', 'STREAMS', key('stream'), '>'],
    );
    const before = await contents(first, slot);
    assert.equal(Object.keys(before).length, 15);
    // Valkey's atomic migration changes when the consumers of a stream were last seen
    const result = await migrateSlots(first.address, second.address, [slot], { method: 'migrate' });
    assert.equal(result.keys, 15);
    assert.deepEqual(await contents(second, slot), before);
    const ttl = Number(await ask(second, 'PTTL', key('short-lived')));
    assert.ok(ttl > 540_000 && ttl <= 600_000, `${ttl} ms`);
    assert.deepEqual(await keysAt(first, slot), []);
  });

  it('moves a slot whose keys expire during the move', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys = keysOfSlot(12, 2000);
    await tell(first, ...keys.map((key, index) => ['SET', key, 'v', 'PX', `${1 + (index % 40)}`]));
    await migrateSlots(first.address, second.address, [12]);
    await assertLayout([
      [first, '0-11 13-8191'],
      [second, '12 8192-16383'],
    ]);
  });

  it('moves all slots of a master, which then replicates the other or stays empty', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const client = new ClusterClient(first);
    const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    await migrateSlots(first.address, second.address, [[0, 8191]]);
    assert.deepEqual(await openSlotsAt(nodes), []);
    assert.match(String(await ask(first, 'CLUSTER', 'NODES')), /connected 0-16383/);
    assert.match(String(await ask(second, 'CLUSTER', 'NODES')), /myself,master .* connected 0-16383/);
    for (const key of keys) assert.equal(await client.get(key), key);
    await client.close();
  });

  it('takes an open cluster as the source, and leaves it open', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await using cluster = await openCluster(first.address);
    await migrateSlots(cluster, { host: second.host, port: second.port }, [5]);
    await migrateSlots(cluster, second.address, [6]);
    const view = await cluster.view();
    assert.deepEqual(view.nodes.find(({ id }) => id === view.seedId)?.slots, [
      [0, 4],
      [7, 8191],
    ]);
  });

  it('continues an interrupted run, with `resume` or if one of its slots is still open', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await migrateSlots(first.address, second.address, [[0, 9]]);
    await assert.rejects(migrateSlots(first.address, second.address, [[0, 19]]), {
      code: 'SLOTS_NOT_HELD',
    });
    await migrateSlots(first.address, second.address, [[0, 19]], { resume: true });
    const keys = keysOfSlot(25, 10);
    await tell(first, ...keys.map((key) => ['SET', key, key]));
    await tell(second, ['CLUSTER', 'SETSLOT', '25', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '25', 'MIGRATING', await idOfNode(second)]);
    const result = await migrateSlots(first.address, second.address, [[10, 29]]);
    // With the slot that was open, though that was finished first.
    assert.deepEqual([result.slots, result.keys], [10, 10]);
    await assertLayout([
      [first, '30-8191'],
      [second, '0-29 8192-16383'],
    ]);
    assert.deepEqual(await keysAt(second, 25), keys.toSorted());
    const again = await migrateSlots(first.address, second.address, [[0, 29]], { resume: true });
    assert.deepEqual([again.slots, again.keys, again.plan.steps], [0, 0, []]);
  });

  for (const method of ['migrate', 'auto'] as const) {
    it(`names keys that the target alone has of a closed slot, with \`resume\` and \`method: ${method}\``, async () => {
      const nodes = await startMasters(bed, 2);
      const [first, second] = [at(nodes, 0), at(nodes, 1)];
      const id = await idOfNode(first);
      for (const [slot, answer] of [
        [7, 'bring'],
        [8, 'drop'],
      ] as const) {
        const [both = '', own = '', alone = ''] = keysOfSlot(slot, 3);
        await tell(first, ...[both, own].map((key) => ['SET', key, key]));
        await tell(second, ['CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', id]);
        for (const key of [both, alone]) await tell(second, ['ASKING'], ['SET', key, key]);
        await tell(second, ['CLUSTER', 'SETSLOT', `${slot}`, 'STABLE']);
        const move = () => migrateSlots(first.address, second.address, [slot], { method, resume: true });
        const error = await refusalOf(move());
        assert.deepEqual([error.code, error.keys, error.openSlots], ['KEYS_IN_DOUBT', [alone], []]);
        assert.deepEqual(await openSlotsAt(nodes), []);
        assert.deepEqual(await keysAt(first, slot), [both, own].toSorted());
        const fix = error.next.find(({ options }) => options?.strayKeys === answer);
        const retry = adviceFor(error.next, 'retry');
        assert.ok(fix);
        for (const next of [fix, retry]) await follow(next, { nodes, again: move });
        const left = answer === 'bring' ? [both, own, alone] : [both, own];
        assert.deepEqual(await keysAt(second, slot), left.toSorted());
        assert.deepEqual(await openSlotsAt(nodes), []);
      }
    });
  }

  it('moves keys off a node that is full, also what an earlier run began, while clients make room there', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const slots = Array.from({ length: 40 }, (_, slot) => slot);
    const keys = slots.flatMap((slot) => keysOfSlot(slot, 100));
    await tell(first, ...keys.map((key) => ['SET', key, 'x'.repeat(100)]));
    // Slot 0 was begun: one key has moved, of another the target has an equal copy.
    const [moved = '', copied = ''] = keysOfSlot(0, 2);
    await tell(second, ['CLUSTER', 'SETSLOT', '0', 'IMPORTING', await idOfNode(first)]);
    await tell(first, ['CLUSTER', 'SETSLOT', '0', 'MIGRATING', await idOfNode(second)]);
    const migrate = (key: string, ...how: string[]) =>
      ask(first, 'MIGRATE', second.host, `${second.port}`, key, '0', '1000', ...how);
    await migrate(moved);
    await migrate(copied, 'COPY');
    await tell(first, ['CONFIG', 'SET', 'maxmemory', '1mb']);
    await assert.rejects(tell(first, ['SET', at(keysOfSlot(5000, 1), 0), 'x']), { code: 'OOM' });
    assert.deepEqual(
      (await check(first.address)).findings
        .map(({ kind }) => kind)
        .filter((kind) => kind === 'keys-uncounted'),
      [],
    );
    const client = new ClusterClient(first);
    const doomed = keys.filter((_, index) => index % 10 === 9);
    const deleting = (async () => {
      for (const key of doomed) await client.command(key, ['DEL', key]);
    })();
    const result = await migrateSlots(first.address, second.address, slots, { method: 'migrate' });
    await deleting;
    await client.close();
    assert.ok(result.keys > keys.length / 2, `${result.keys}`);
    const left = new Set(doomed);
    const there = await Promise.all(slots.map((slot) => keysAt(second, slot)));
    assert.deepEqual(there.flat().toSorted(), keys.filter((key) => !left.has(key)).toSorted());
    assert.deepEqual([await sizeOf(first), await openSlotsAt(nodes)], [0, []]);
  });

  it('changes nothing in a dry run', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    await tell(first, ...keysOfSlot(3, 5).map((key) => ['SET', key, key]));
    const before = await snapshot(nodes);
    const result = await migrateSlots(first.address, second.address, [[3, 5]], { dryRun: true });
    assert.equal(result.applied, false);
    const [step] = result.plan.steps;
    const bytes = (step?.type === 'move-slots' && step.content?.bytes) || 0;
    assert.ok(bytes > 5);
    assert.deepEqual(result.plan.steps, [
      {
        type: 'move-slots',
        source: { id: await idOfNode(first), address: first.address },
        target: { id: await idOfNode(second), address: second.address },
        slots: [[3, 5]],
        content: { keys: 5, bytes, bigKeys: [] },
      },
    ]);
    assert.deepEqual(JSON.parse(JSON.stringify(result.plan)), result.plan);
    assert.deepEqual(await snapshot(nodes), before);
    assert.equal((await keysAt(first, 3)).length, 5);
  });

  it('refuses with the code of the reason, and changes nothing', async () => {
    const nodes = await startMasters(bed, 2, 2);
    const [first, second, replica, stranger] = [at(nodes, 0), at(nodes, 1), at(nodes, 2), at(nodes, 3)];
    await Promise.all([replicate(second.address, replica.address), startCluster(stranger.address)]);
    const before = await snapshot(nodes);
    // It is a cluster of its own, which is not to be taken apart.
    const next = [{ do: 'list', cluster: stranger.address }];
    const cases: [string, string, (number | [number, number])[], object][] = [
      [first.address, second.address, [8192], { code: 'SLOTS_NOT_HELD' }],
      [first.address, second.address, [[8190, 8193]], { code: 'SLOTS_NOT_HELD' }],
      [first.address, first.address, [1], { code: 'SAME_NODE' }],
      [first.address, `localhost:${first.port}`, [1], { code: 'SAME_NODE' }],
      [first.address, stranger.address, [1], { code: 'NOT_SAME_CLUSTER', next }],
      [first.address, replica.address, [1], { code: 'NOT_A_MASTER' }],
      [replica.address, first.address, [8192], { code: 'SLOTS_NOT_HELD' }],
      [first.address, '127.0.0.1:1', [1], { code: 'ECONNREFUSED' }],
      ['127.0.0.1:1', first.address, [1], { code: 'ECONNREFUSED' }],
      [first.address, second.address, [16384], { code: 'INVALID_ARGUMENT' }],
      [first.address, second.address, [[5, 3]], { code: 'INVALID_ARGUMENT' }],
      ['nonsense', second.address, [1], { code: 'INVALID_ARGUMENT' }],
    ];
    for (const [source, target, slots, expected] of cases) {
      await assert.rejects(migrateSlots(source, target, slots), expected, `${source} ${target} ${slots}`);
    }
    assert.deepEqual(await snapshot(nodes), before);
  });

  it('overwrites no value that is on both ends of a slot found open', async () => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const [same = '', different = ''] = keysOfSlot(50, 2);
    await tell(first, ['SET', same, 'one'], ['SET', different, 'owner']);
    await tell(second, ['CLUSTER', 'SETSLOT', '50', 'IMPORTING', await idOfNode(first)]);
    await tell(second, ['ASKING'], ['SET', same, 'one'], ['ASKING'], ['SET', different, 'stale']);
    await tell(first, ['CLUSTER', 'SETSLOT', '50', 'MIGRATING', await idOfNode(second)]);
    const again = (options = {}) => migrateSlots(first.address, second.address, [[49, 51]], options);
    const { code, keys, openSlots, next } = await refusalOf(again());
    assert.deepEqual([code, keys, openSlots], ['KEY_CONFLICT', [different], [50]]);
    assert.equal(await ask(first, 'GET', different), 'owner');
    assert.deepEqual(await openSlotsAt(nodes), [
      `${first.address} migrating 50`,
      `${second.address} importing 50`,
    ]);
    // It would also drop keys that nobody has named yet, so it is not advised at once.
    const named = await refusalOf(follow(adviceFor(next, 'fix'), { nodes }));
    await follow(adviceFor(named.next, 'fix', 'keys-unwanted'), { nodes });
    const held = await refusalOf(follow(adviceFor(next, 'retry', 'after-that'), { nodes, again }));
    await follow(adviceFor(held.next, 'resume', 'earlier-move'), { nodes, again });
    await assertLayout([
      [first, '0-48 52-8191'],
      [second, '49-51 8192-16383'],
    ]);
    assert.equal(await ask(second, 'GET', different), 'owner');
    assert.equal(await ask(second, 'GET', same), 'one');
  });
});
