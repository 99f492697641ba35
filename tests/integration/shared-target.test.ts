import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, joinCluster, joinNoLoad, rebalance } from '../../lib/index.ts';
import { eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import {
  assertAllNamed,
  at,
  openSlotsAt,
  settled,
  slotsOpenAt,
  startMasters,
  tell,
} from '../helpers/clusters.ts';
import { codesOf } from '../helpers/errors.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const method = 'migrate' as const;
/** No node fails over or is declared failed while it is frozen. */
const patient: StartOptions = { config: { 'cluster-node-timeout': '60000' } };
const keys = Array.from({ length: 6000 }, (_, index) => `key:${index}`);

/** Three masters with keys, and a node that is to get a quarter of the slots. */
async function threeAndOne(options?: StartOptions): Promise<{ nodes: ServerNode[]; client: ClusterClient }> {
  const nodes = await startMasters(bed, 3, 1, options);
  const client = new ClusterClient(at(nodes, 0));
  await Promise.all(keys.map((key) => client.set(key, `${key} 0`)));
  return { nodes, client };
}

/** The most moves that ran at once, and their sources. */
function together(events: readonly ClusterEvent[]): { most: number; sources: string[] } {
  let [running, most] = [0, 0];
  const sources = new Set<string>();
  for (const event of events) {
    if (event.type === 'move-start') {
      sources.add(event.source);
      most = Math.max(most, ++running);
    } else if (event.type === 'move-done') running -= 1;
  }
  return { most, sources: [...sources].sort() };
}

/** Fails unless each key has the value that was written last, or is missing if it was deleted. */
async function assertValues(client: ClusterClient, values: ReadonlyMap<string, string>): Promise<void> {
  const found = await Promise.all(keys.map(async (key) => [key, await client.get(key)] as const));
  const wrong = found.filter(([key, value]) => value !== (values.get(key) ?? null));
  assert.deepEqual(wrong.slice(0, 5), []);
}

describe('Moves by MIGRATE to one target', { concurrency: true }, () => {
  it('run in parallel and lose no write', async () => {
    const { nodes, client } = await threeAndOne(patient);
    const events: ClusterEvent[] = [];
    const values = new Map(keys.map((key) => [key, `${key} 0`]));
    let isDone = false;
    const write = async (lane: number): Promise<void> => {
      for (let index = lane; !isDone; index += 4) {
        const key = keys[(index * 7) % keys.length] as string;
        if (index % 5 === 0) {
          await client.command(key, ['DEL', key]);
          values.delete(key);
        } else {
          await client.set(key, `${key} ${index}`);
          values.set(key, `${key} ${index}`);
        }
      }
    };
    const writing = Promise.all([0, 1, 2, 3].map(write));
    const { slots } = await joinCluster(at(nodes, 0).address, at(nodes, 3).address, {
      method,
      // A key that is deleted while the answer to its MIGRATE is lost is reported as in doubt. Here no answer is lost.
      migrateTimeout: 60_000,
      onEvent: (event) => events.push(event),
    });
    isDone = true;
    await writing;
    assert.equal(slots, 4096);
    assert.deepEqual(together(events), {
      most: 3,
      sources: nodes
        .slice(0, 3)
        .map(({ address }) => address)
        .sort(),
    });
    await settled(nodes);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await assertValues(client, values);
    await client.close();
  });

  it('continue after the target was frozen, each without disturbing the others', async () => {
    const { nodes, client } = await threeAndOne(patient);
    const [first, target] = [at(nodes, 0), at(nodes, 3)];
    await joinNoLoad(first.address, target.address);
    const events: ClusterEvent[] = [];
    const values = new Map(keys.map((key) => [key, `${key} 0`]));
    const limits = { keysPerSecond: 3000 };
    const running = rebalance(first.address, {
      ...{ method, limits, useEmptyMasters: true, migrateTimeout: 300 },
      onEvent: (event) => {
        events.push(event);
        if (event.type === 'retry') delete (limits as { keysPerSecond?: number }).keysPerSecond;
      },
    });
    const all = (type: ClusterEvent['type']): number => events.filter((event) => event.type === type).length;
    await eventually('all three have begun', () => all('move-start') === 3);
    await eventually('keys have moved', () => all('move-progress') > 2);
    await target.freeze();
    await eventually('one of them tries again', () => all('retry') > 0);
    await target.thaw();
    const { slots } = await running;
    assert.equal(slots, 4096);
    const retried = new Set(events.flatMap((event) => (event.type === 'retry' ? [event.node] : [])));
    assert.ok(retried.size >= 1);
    await settled(nodes);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await assertValues(client, values);
    await client.close();
  });

  // If the target refuses, all three leave slots open.
  const refusals = [
    { name: 'one source refuses', index: 1, rules: ['migrate'] },
    { name: 'the target refuses', index: 3, rules: ['restore-asking', 'cluster'] },
  ];
  for (const { name, index, rules } of refusals) {
    it(`stop if ${name}, report what is open, and are finished by the same call`, async () => {
      const { nodes, client } = await threeAndOne(patient);
      const [first, refusing, target] = [at(nodes, 0), at(nodes, index), at(nodes, 3)];
      await joinNoLoad(first.address, target.address);
      const values = new Map(keys.map((key) => [key, `${key} 0`]));
      const events: ClusterEvent[] = [];
      const options = { method, useEmptyMasters: true } as const;
      const running = rebalance(first.address, {
        ...options,
        limits: { keysPerSecond: 3000 },
        onEvent: (event) => events.push(event),
      }).then(
        () => assert.fail(`${refusing.address} refuses`),
        (error) => error,
      );
      const ofKeys = () => events.filter(({ type }) => type === 'move-progress');
      await eventually('keys of all three have moved', () => {
        return new Set(ofKeys().map((event) => 'source' in event && event.source)).size === 3;
      });
      await tell(refusing, ['ACL', 'SETUSER', 'default', ...rules.map((word) => `-${word}`)]);
      const error = await running;
      assert.equal(codesOf(error).at(-1), 'NOPERM');
      if (index === 1) assert.equal(error.address, refusing.address);
      await tell(refusing, ['ACL', 'SETUSER', 'default', ...rules.map((word) => `+${word}`)]);
      await assertAllNamed(nodes, error);
      const open = await slotsOpenAt(nodes);
      if (index === 3) assert.ok(open.length > 3, `${open}`);
      await rebalance(first.address, options);
      await settled(nodes);
      assert.deepEqual(await openSlotsAt(nodes), []);
      await assertValues(client, values);
      await client.close();
    });
  }
});
