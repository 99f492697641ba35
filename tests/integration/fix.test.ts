import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type ClusterError, type ClusterEvent, fixMigrating, rebalance, replicate } from '../../lib/index.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { askUnveiled } from '../../lib/move/set-slot.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { look } from '../../lib/nodes/look.ts';
import { strayKeysOf } from '../../lib/nodes/stray-keys.ts';
import { ask, eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { isServerName, serverTool } from '../bed/servers.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertLayout,
  at,
  idOfNode,
  keysOfSlot,
  openSlotsAt,
  seenBy,
  settled,
  snapshot,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { failureOf } from '../helpers/errors.ts';
import { adviceFor, follow } from '../helpers/follow.ts';

const execute = promisify(execFile);

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const NOBODY = 'f'.repeat(40);
const SLOT = 100;
const keys = keysOfSlot(SLOT, 30);
const whole = ['0-5461', '5462-10922', '10923-16383'] as const;
const moved = ['0-99 101-5461', '100 5462-10922', '10923-16383'] as const;

interface Three {
  readonly nodes: readonly ServerNode[];
  readonly owner: ServerNode;
  readonly target: ServerNode;
  readonly other: ServerNode;
  readonly ids: { readonly owner: string; readonly target: string; readonly other: string };
}

/** Three masters, of which the first owns slot 100 with thirty keys. */
async function three(): Promise<Three> {
  const nodes = await startMasters(bed, 3);
  const [owner, target, other] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
  const [a, b, c] = (await Promise.all(nodes.map(idOfNode))) as [string, string, string];
  await tell(owner, ...keys.map((key) => ['SET', key, `value of ${key}`]));
  return { nodes, owner, target, other, ids: { owner: a, target: b, other: c } };
}

const setSlot = (node: ServerNode, state: string, ...id: string[]) =>
  ask(node, 'CLUSTER', 'SETSLOT', `${SLOT}`, state, ...id);

/** Moves these keys, as a reshard that then died. */
const moveKeys = (from: ServerNode, to: ServerNode, some: readonly string[]) =>
  ask(from, 'MIGRATE', to.host, `${to.port}`, '', '0', '5000', 'KEYS', ...some);

async function assertFixed({ nodes, owner, target, other }: Three, layout: readonly string[]): Promise<void> {
  assert.deepEqual(await openSlotsAt(nodes), []);
  await assertLayout([owner, target, other].map((node, index) => [node, at(layout, index)] as const));
  const holder = layout === moved ? target : owner;
  const client = new ClusterClient(other);
  for (const key of keys) assert.equal(await client.get(key), `value of ${key}`);
  await client.close();
  const counts = await Promise.all(
    [owner, target, other].map((node) => ask(node, 'CLUSTER', 'COUNTKEYSINSLOT', `${SLOT}`)),
  );
  assert.deepEqual(
    counts,
    [owner, target, other].map((node) => (node === holder ? keys.length : 0)),
  );
}

describe('fixMigrating()', { concurrency: 6 }, () => {
  it('can look for stray keys on a master with a replica, which stays alive', async () => {
    const [first, second, replica] = (await startMasters(bed, 2, 1)) as [ServerNode, ServerNode, ServerNode];
    await replicate(first.address, replica.address);
    await tell(first, ...keys.map((key) => ['SET', key, 'value']));
    const connections = new Connections({});
    const { reports } = await look(connections, parseAddress(second.address));
    const report = reports.get(await idOfNode(first));
    assert.ok(report);
    assert.deepEqual(await strayKeysOf(connections, report, 16383, askUnveiled), []);
    connections.destroy();
    assert.equal(await ask(first, 'PING'), 'PONG');
  });

  it('does nothing if no slot is open', async () => {
    const world = await three();
    const before = await snapshot(world.nodes);
    const result = await fixMigrating(world.owner.address);
    assert.deepEqual([result.applied, result.slots, result.keys, result.plan.steps], [true, 0, 0, []]);
    assert.deepEqual(await snapshot(world.nodes), before);
  });

  it('finishes a move that is open on both sides, with keys on both', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys.slice(0, 11));
    const before = await snapshot(world.nodes);
    const dry = await fixMigrating(other.address, { dryRun: true });
    assert.deepEqual(
      dry.plan.steps.map(({ type }) => type),
      ['move-slots'],
    );
    assert.equal(dry.applied, false);
    assert.deepEqual(await snapshot(world.nodes), before);
    const result = await fixMigrating(other.address);
    assert.deepEqual([result.slots, result.keys], [1, 19]);
    await assertFixed(world, moved);
  });

  it('finishes a move that only its owner has open', async () => {
    const world = await three();
    await setSlot(world.owner, 'MIGRATING', world.ids.target);
    await fixMigrating(world.target.address);
    await assertFixed(world, moved);
  });

  it('finishes a move that only the target has open', async () => {
    const world = await three();
    await setSlot(world.target, 'IMPORTING', world.ids.owner);
    await fixMigrating(world.owner.address);
    await assertFixed(world, moved);
  });

  it('closes a slot that only the target has open, with keys, and brings them back only on request', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys.slice(0, 11));
    await setSlot(owner, 'STABLE');
    // One end alone, and with keys: not a move. The owner may have deleted these keys, so nothing happens without an answer.
    const asked = await failureOf(fixMigrating(owner.address));
    assert.deepEqual([asked.code, asked.keys.length, asked.openSlots], ['KEYS_IN_DOUBT', 11, []]);
    assert.deepEqual(await openSlotsAt(world.nodes), []);
    await fixMigrating(owner.address, { strayKeys: 'bring' });
    await assertFixed(world, whole);
  });

  it('closes the source of a move that only the target has closed', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys);
    await setSlot(target, 'NODE', ids.target);
    await fixMigrating(owner.address);
    await assertFixed(world, moved);
  });

  it('closes the target of a move that only the source has closed, in the order of redis-trib.py', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys);
    await setSlot(owner, 'NODE', ids.target);
    await fixMigrating(other.address);
    await assertFixed(world, moved);
  });

  it('closes it even if the source and others know that the move is done', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys);
    await setSlot(owner, 'NODE', ids.target);
    await setSlot(other, 'NODE', ids.target);
    await fixMigrating(other.address);
    await assertFixed(world, moved);
  });

  it('gives back keys of a node that imports from one that is not the owner', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys.slice(0, 7));
    await setSlot(owner, 'STABLE');
    await setSlot(target, 'STABLE');
    await setSlot(target, 'IMPORTING', ids.other);
    await fixMigrating(owner.address, { strayKeys: 'bring' });
    await assertFixed(world, whole);
  });

  it('of two importers, finishes the one that the owner migrates to, and hands over the keys of the other', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(other, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.other);
    await moveKeys(owner, other, keys.slice(0, 5));
    await setSlot(owner, 'STABLE');
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    await moveKeys(owner, target, keys.slice(5, 12));
    await fixMigrating(owner.address, { strayKeys: 'bring' });
    await assertFixed(world, moved);
  });

  it('closes two importers if the owner migrates to neither', async () => {
    const world = await three();
    await setSlot(world.target, 'IMPORTING', world.ids.owner);
    await setSlot(world.other, 'IMPORTING', world.ids.owner);
    await fixMigrating(world.owner.address);
    await assertFixed(world, whole);
  });

  it('closes a slot whose other end is gone for good', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    const spare = at(await bed.start(1), 0);
    const spareId = await idOfNode(spare);
    for (const node of world.nodes) await ask(node, 'CLUSTER', 'MEET', spare.host, `${spare.port}`);
    await eventually('all know the node', async () => {
      const views = await Promise.all(world.nodes.map((node) => ask(node, 'CLUSTER', 'NODES')));
      return views.every((view) => String(view).includes(spareId));
    });
    await setSlot(owner, 'MIGRATING', spareId);
    await tell(target, ['CLUSTER', 'SETSLOT', '10923', 'IMPORTING', spareId]);
    await spare.kill();
    for (const node of world.nodes) await ask(node, 'CLUSTER', 'FORGET', spareId);
    await settled(world.nodes);
    await fixMigrating(other.address);
    await assertFixed(world, whole);
    assert.ok(ids.owner);
  });

  it('closes many slots at once', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    const slots = Array.from({ length: 300 }, (_, index) => 200 + index);
    const all = (state: string, id: string) =>
      slots.map((slot) => ['CLUSTER', 'SETSLOT', `${slot}`, state, id]);
    await tell(target, ...all('IMPORTING', ids.owner));
    await tell(owner, ...all('MIGRATING', ids.target));
    const result = await fixMigrating(other.address);
    assert.equal(result.slots, 300);
    assert.deepEqual(await openSlotsAt(world.nodes), []);
    await assertLayout([
      [owner, '0-199 500-5461'],
      [target, '200-499 5462-10922'],
      [other, '10923-16383'],
    ]);
  });
});

describe('fixMigrating() of a key on both ends', { concurrency: 6 }, () => {
  const [first = '', second = '', third = ''] = keys;

  /** Runs fixMigrating(), which must end in a conflict. */
  async function conflictOf(node: ServerNode): Promise<ClusterError> {
    const error = await failureOf(fixMigrating(node.address));
    assert.equal(error.code, 'KEY_CONFLICT', error.message);
    return error;
  }

  it('finishes the move if the values are the same', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(target, ['ASKING'], ['SET', first, `value of ${first}`]);
    await setSlot(owner, 'MIGRATING', ids.target);
    await fixMigrating(owner.address);
    await assertFixed(world, moved);
  });

  it('keeps the value of the owner, names the key and leaves the slot open if they differ', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(
      target,
      ['ASKING'],
      ['SET', first, 'stale'],
      ['ASKING'],
      ['SET', second, `value of ${second}`],
    );
    await setSlot(owner, 'MIGRATING', ids.target);
    // Its mark is to be closed after the move.
    await setSlot(other, 'IMPORTING', ids.owner);
    const events: ClusterEvent[] = [];
    const error = await failureOf(fixMigrating(other.address, { onEvent: (event) => events.push(event) }));
    assert.deepEqual([error.code, error.keys, error.openSlots], ['KEY_CONFLICT', [first], [SLOT]]);
    const told = events.find(({ type }) => type === 'stray-keys');
    assert.ok(told?.type === 'stray-keys');
    assert.deepEqual([told.node, told.owner, told.differing], [target.address, owner.address, [first]]);
    // It is not told that the target owns the slot, which Redis 6 would believe for good.
    assert.equal((await seenBy(other))[owner.address], whole[0]);
    assert.deepEqual(await openSlotsAt([owner, target]), [
      `${owner.address} migrating ${SLOT}`,
      `${target.address} importing ${SLOT}`,
    ]);
    assert.equal(await ask(owner, 'GET', first), `value of ${first}`);
    const [, stale] = await tell(target, ['ASKING'], ['GET', first]);
    assert.equal(stale, 'stale');
    await follow(adviceFor(error.next, 'fix', 'keys-unwanted'), { nodes: world.nodes });
    await assertFixed(world, moved);
    assert.equal(await ask(target, 'GET', first), `value of ${first}`);
  });

  it('goes on with the value of the target if it is deleted on the owner', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(target, ['ASKING'], ['SET', first, 'wanted']);
    await setSlot(owner, 'MIGRATING', ids.target);
    await conflictOf(owner);
    await ask(owner, 'DEL', first);
    await fixMigrating(owner.address);
    await assertLayout([owner, target, world.other].map((node, index) => [node, at(moved, index)] as const));
    assert.equal(await ask(target, 'GET', first), 'wanted');
  });

  it('finishes the move while clients write every key of it', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await setSlot(owner, 'MIGRATING', ids.target);
    const client = new ClusterClient(owner);
    let isOver = false;
    const last = new Map<string, string>();
    const write = async (key: string): Promise<void> => {
      for (let count = 0; !isOver; count++) {
        await client.set(key, `${count}`);
        last.set(key, `${count}`);
      }
    };
    const writers = keys.map(write);
    try {
      await fixMigrating(owner.address);
    } finally {
      isOver = true;
      await Promise.all(writers);
    }
    const found = await Promise.all(keys.map(async (key) => [key, await client.get(key)] as const));
    await client.close();
    assert.deepEqual(new Map(found), new Map(keys.map((key) => [key, last.get(key)])));
    assert.deepEqual(await openSlotsAt(world.nodes), []);
    assert.ok(await ask(target, 'EXISTS', first));
  });

  it('treats values with different times to live as different', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(target, ['ASKING'], ['SET', third, `value of ${third}`, 'PX', '100000']);
    await setSlot(owner, 'MIGRATING', ids.target);
    assert.deepEqual((await conflictOf(owner)).keys, [third]);
    assert.equal(await ask(owner, 'PTTL', third), -1);
  });

  it('treats sets and hashes with the same members as the same, in any order', async () => {
    const world = await three();
    const { owner, target, ids } = world;
    const [set = '', hash = '', other = ''] = keysOfSlot(SLOT, 3, 'big');
    const members = Array.from({ length: 600 }, (_, index) => `member:${index}`);
    const fill = (words: readonly string[], value: string): string[][] => [
      ['ASKING'],
      ['SADD', set, ...words],
      ['ASKING'],
      ['HSET', hash, ...words.flatMap((word) => [word, 'value'])],
      ['ASKING'],
      ['HSET', other, ...words.flatMap((word) => [word, value])],
    ];
    await tell(owner, ...fill(members, 'the one'));
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(target, ...fill(members.toReversed(), 'the other'));
    await setSlot(owner, 'MIGRATING', ids.target);
    assert.deepEqual((await conflictOf(owner)).keys, [other]);
    await tell(target, ['ASKING'], ['DEL', other]);
    await fixMigrating(owner.address);
    assert.deepEqual(await ask(target, 'SCARD', set), 600);
    assert.deepEqual(await ask(target, 'HGET', other, 'member:1'), 'the one');
    assert.deepEqual(await openSlotsAt(world.nodes), []);
  });

  it('keeps the value of the owner if keys are handed back to it', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await setSlot(target, 'IMPORTING', ids.other);
    await tell(
      target,
      ['ASKING'],
      ['SET', first, 'stale'],
      ['ASKING'],
      ['SET', second, `value of ${second}`],
    );
    const error = await conflictOf(other);
    assert.deepEqual([error.keys, error.openSlots], [[first], []]);
    assert.equal(await ask(owner, 'GET', first), `value of ${first}`);
    assert.deepEqual(await openSlotsAt(world.nodes), []);
    await fixMigrating(other.address, { strayKeys: 'drop' });
    await assertFixed(world, whole);
  });

  it('is not needed after a move that was killed when it had proven its target: the next operation drops the copy', async () => {
    const cluster = await three();
    const { owner, target, ids } = cluster;
    await setSlot(target, 'IMPORTING', ids.owner);
    await ask(owner, 'MIGRATE', target.host, `${target.port}`, '', '0', '5000', 'COPY', 'KEYS', at(keys, 0));
    await rebalance(owner.address);
    await assertFixed(cluster, whole);
  });

  it('keeps what the owner wrote after a broken MIGRATE, for which redis-cli brings back the old value', async (context) => {
    const breakOff = async () => {
      const world = await three();
      const { owner, target, ids } = world;
      await tell(owner, ['SET', first, 'the old value']);
      await setSlot(target, 'IMPORTING', ids.owner);
      await setSlot(owner, 'MIGRATING', ids.target);
      await ask(owner, 'MIGRATE', target.host, `${target.port}`, '', '0', '5000', 'COPY', 'KEYS', first);
      await setSlot(owner, 'STABLE');
      await tell(owner, ['SET', first, 'the new value']);
      return world;
    };
    const { owner, other } = await breakOff();
    assert.deepEqual((await conflictOf(other)).keys, [first]);
    assert.equal(await ask(owner, 'GET', first), 'the new value');
    const name = bed.server.name;
    if (!isServerName(name) || !existsSync(serverTool(name, 'cli'))) {
      context.diagnostic('redis-cli is not installed');
      return;
    }
    const theirs = await breakOff();
    const words = ['--cluster', 'fix', theirs.owner.address, '--cluster-replace'];
    // It meets the cluster that it has just taken down, on a slow machine, and fails.
    await eventually('the old value is back', async () => {
      await execute(serverTool(name, 'cli'), words, { timeout: 60_000 }).catch(() => undefined);
      return (await ask(theirs.owner, 'GET', first)) === 'the old value';
    });
  });

  it('closes the other slots before it gives up on one', async () => {
    const world = await three();
    const { owner, target, other, ids } = world;
    await tell(target, ['CLUSTER', 'SETSLOT', '99', 'IMPORTING', ids.owner]);
    await tell(target, ['CLUSTER', 'SETSLOT', '101', 'IMPORTING', ids.owner]);
    await setSlot(target, 'IMPORTING', ids.owner);
    await tell(target, ['ASKING'], ['SET', first, 'stale']);
    await setSlot(owner, 'MIGRATING', ids.target);
    await tell(other, ['CLUSTER', 'SETSLOT', '5462', 'IMPORTING', NOBODY]).catch(() => undefined);
    const error = await conflictOf(other);
    assert.deepEqual(error.openSlots, [SLOT]);
    assert.deepEqual(await openSlotsAt(world.nodes), [
      `${owner.address} migrating ${SLOT}`,
      `${target.address} importing ${SLOT}`,
    ]);
  });
});
