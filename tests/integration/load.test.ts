import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { joinCluster, keySlot, listNodes, migrateSlots, quitCluster } from '../../lib/index.ts';
import { type Bed, openBed, type ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';
import { assertAlone, at, openSlotsAt, startMasters } from '../helpers/clusters.ts';

let bed: Bed;
before(async () => {
  bed = await openBed();
});
after(() => bed.close());

/** Writes, reads and deletes without a pause, and knows what the value of every key must be in the end. */
class Writer {
  readonly acknowledged = new Map<string, string>();
  readonly deleted = new Set<string>();
  readonly #clients: ClusterClient[];
  #stopped = false;
  #running: Promise<unknown> | undefined;
  count = 0;

  constructor(node: ServerNode, lanes = 4) {
    this.#clients = Array.from({ length: lanes }, () => new ClusterClient(node));
  }

  async fill(keys: readonly string[]): Promise<void> {
    const client = at(this.#clients, 0);
    await Promise.all(keys.map((key) => client.set(key, `first ${key}`)));
    for (const key of keys) this.acknowledged.set(key, `first ${key}`);
  }

  start(keys: readonly string[]): void {
    const lanes = this.#clients.length;
    this.#running = Promise.all(
      this.#clients.map(async (client, lane) => {
        // Each lane has keys of its own, so that its last answer decides
        const own = keys.filter((_, index) => index % lanes === lane);
        while (!this.#stopped) {
          const key = at(own, Math.floor(Math.random() * own.length));
          const choice = Math.random();
          if (choice < 0.1) {
            await client.command(key, ['DEL', key]);
            this.acknowledged.delete(key);
            this.deleted.add(key);
          } else if (choice < 0.2) {
            const value = await client.get(key);
            assert.equal(value, this.acknowledged.get(key) ?? null, `read of ${key} during the move`);
          } else {
            const value = `${lane} ${this.count}`;
            await client.set(key, value);
            this.acknowledged.set(key, value);
            this.deleted.delete(key);
          }
          this.count++;
        }
      }),
    );
    this.#running.catch(() => undefined);
  }

  /** Stops, and fails if an acknowledged write is missing or a deleted key is there. */
  async check(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    const client = at(this.#clients, 0);
    const keys = [...this.acknowledged.keys(), ...this.deleted];
    const values = await Promise.all(keys.map((key) => client.get(key)));
    const wrong = keys.filter((key, index) => values[index] !== (this.acknowledged.get(key) ?? null));
    assert.deepEqual(wrong, []);
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  get redirects(): { moved: number; ask: number } {
    const sum = (name: 'moved' | 'ask') =>
      this.#clients.reduce((all, { redirects }) => all + redirects[name], 0);
    return { moved: sum('moved'), ask: sum('ask') };
  }
}

describe('While clients write,', { concurrency: true }, () => {
  it('migrateSlots() moves 30000 keys and loses no acknowledged write', async (context) => {
    const nodes = await startMasters(bed, 2);
    const [first, second] = [at(nodes, 0), at(nodes, 1)];
    const keys: string[] = [];
    for (let index = 0; keys.length < 30_000; index++) {
      const key = `{${index % 400}}:${index}`;
      if (keySlot(key) < 8192) keys.push(key);
    }
    const writer = new Writer(first);
    await writer.fill(keys);
    writer.start(keys);
    const result = await migrateSlots(first.address, second.address, [[0, 8191]]);
    const during = writer.count;
    await writer.check();
    context.diagnostic(
      `${result.keys} keys, ${during} commands during the move, ${JSON.stringify(writer.redirects)}`,
    );
    assert.equal(result.slots, 8192);
    assert.ok(result.keys > 20_000, `${result.keys} keys`);
    assert.ok(during > 100, `${during} commands`);
    assert.ok(writer.redirects.moved > 0);
    assert.deepEqual(await openSlotsAt(nodes), []);
  });

  it('joinCluster() and quitCluster() lose no acknowledged write', async (context) => {
    const nodes = await startMasters(bed, 2, 1);
    const [first, second, third] = [at(nodes, 0), at(nodes, 1), at(nodes, 2)];
    const keys = Array.from({ length: 5000 }, (_, index) => `key:${index}`);
    const writer = new Writer(first);
    await writer.fill(keys);
    writer.start(keys);
    await joinCluster(first.address, third.address);
    await quitCluster(second.address);
    await writer.check();
    context.diagnostic(`${writer.count} commands, ${JSON.stringify(writer.redirects)}`);
    await assertAlone(second);
    const { nodes: left } = await listNodes(first.address);
    assert.deepEqual(
      left.map((node) => node.addr()),
      [first.address, third.address],
    );
    for (const { assignedSlots } of left) assert.ok(Math.abs(assignedSlots.length - 8192) <= 1);
    assert.deepEqual(await openSlotsAt([first, third]), []);
  });
});
