import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ClusterEvent, joinCluster, joinNoLoad, rebalance } from '../../lib/index.ts';
import { eventually } from '../bed/client.ts';
import { type Bed, openBed, type ServerNode, type StartOptions } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { at, openSlotsAt, settled, startMasters, tell } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

const method = 'migrate' as const;
/** Nothing fails over, and nobody is taken for dead, while a node is frozen. */
const patient: StartOptions = { config: { 'cluster-node-timeout': '60000' } };
const keys = Array.from({ length: 6000 }, (_, index) => `key:${index}`);

/** Three masters with keys, and one more that is to take a quarter of all. */
async function threeAndOne(options?: StartOptions): Promise<{ nodes: ServerNode[]; client: ClusterClient }> {
  const nodes = await startMasters(bed, 3, 1, options);
  const client = new ClusterClient(at(nodes, 0));
  await Promise.all(keys.map((key) => client.set(key, `${key} 0`)));
  return { nodes, client };
}

/** Most moves that were under way at one time, and the slots that each moved. */
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

/** Fails unless each key has the value that was written last, and none is there which was deleted. */
async function assertValues(client: ClusterClient, values: ReadonlyMap<string, string>): Promise<void> {
  const found = await Promise.all(keys.map(async (key) => [key, await client.get(key)] as const));
  const wrong = found.filter(([key, value]) => value !== (values.get(key) ?? null));
  assert.deepEqual(wrong.slice(0, 5), []);
}

describe('moves by MIGRATE to one target', { concurrency: true }, () => {
  it('go side by side, and no write that is made meanwhile is lost', async () => {
    const { nodes, client } = await threeAndOne();
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

  it('go on after the target was frozen: what one of them ends at the target is nothing of the others', async () => {
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
    await eventually('somebody has to try again', () => all('retry') > 0);
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

  it('stop with the one whose source refuses, say what is open, and are finished by the same call', async () => {
    const { nodes, client } = await threeAndOne(patient);
    const [first, refusing, target] = [at(nodes, 0), at(nodes, 1), at(nodes, 3)];
    await joinNoLoad(first.address, target.address);
    const values = new Map(keys.map((key) => [key, `${key} 0`]));
    const events: ClusterEvent[] = [];
    const options = { method, useEmptyMasters: true } as const;
    const running = rebalance(first.address, {
      ...options,
      limits: { keysPerSecond: 3000 },
      onEvent: (event) => events.push(event),
    }).then(
      () => assert.fail('a source refuses'),
      (error) => error,
    );
    await eventually(
      'keys have moved',
      () => events.filter(({ type }) => type === 'move-progress').length > 2,
    );
    await tell(refusing, ['ACL', 'SETUSER', 'default', '-migrate']);
    const error = await running;
    assert.match(String(error), /NOPERM|no permissions/);
    assert.equal(error.address, refusing.address);
    await tell(refusing, ['ACL', 'SETUSER', 'default', '+migrate']);
    const open = (await openSlotsAt(nodes)).map((line) => Number(line.split(' ').at(-1)));
    assert.deepEqual(
      open.filter((slot) => !error.openSlots.includes(slot)),
      [],
    );
    await rebalance(first.address, options);
    await settled(nodes);
    assert.deepEqual(await openSlotsAt(nodes), []);
    await assertValues(client, values);
    await client.close();
  });
});
