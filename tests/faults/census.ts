import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from 'ioredis';
import type { ServerNode } from '../bed/index.ts';
import { tagOfSlot } from '../helpers/clusters.ts';
import type { Random } from './random.ts';

/** A write of one key. */
export interface Write {
  /** Null for a delete. */
  readonly value: string | null;
  /** Its time to live in milliseconds, if it has one. */
  readonly ttlMs?: number;
  readonly sentAt: number;
  /** Undefined while there is no answer: it may have happened or not, or still happen. */
  ackedAt?: number;
}

/** What is known of a key. Each has one writer, so that the order of its writes is known. */
export interface Entry {
  readonly key: string;
  readonly slot: number;
  readonly writes: Write[];
  /** True once an answer was lost: it is not written again, because the lost write may still arrive. */
  isRetired: boolean;
}

/** A read that did not return what was acknowledged before. */
export interface WrongRead {
  readonly entry: Entry;
  readonly value: string | null;
  readonly at: number;
  /** The writes up to then. */
  readonly writes: number;
}

/** Milliseconds that a time to live may be off: MIGRATE sends the remaining time, and may be delayed on its way. */
export const TTL_SLACK_MS = 15_000;
const LANES = 10;
/** Pause between two commands of a lane: the relays of the servers run in this process, too, and need time. */
const PAUSE_MS = 4;
const LOST_MS = 8000;

/**
 * Clients that write, read and delete without a pause, and know what was acknowledged. All use a cluster client, as
 * applications do.
 */
export class Census {
  readonly entries: Entry[] = [];
  readonly wrongReads: WrongRead[] = [];
  acked = 0;
  lost = 0;
  reads = 0;
  longestMs = 0;
  longestAt = 0;
  readonly #clients: Cluster[];
  readonly #random: Random;
  readonly #lanes: Entry[][];
  #running: Promise<void> | undefined;
  #isStopped = false;
  #written = 0;

  constructor(nodes: readonly ServerNode[], random: Random) {
    const seeds = nodes.map(({ host, port }) => ({ host, port }));
    const make = (): Cluster => {
      const client = new Cluster(seeds, {
        maxRedirections: 200,
        retryDelayOnMoved: 5,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        retryDelayOnTryAgain: 10,
        redisOptions: { connectTimeout: 1000, commandTimeout: LOST_MS },
      });
      client.on('error', () => undefined);
      return client;
    };
    this.#clients = [make(), make()];
    this.#random = random;
    this.#lanes = Array.from({ length: LANES }, () => []);
  }

  /** Adds keys of these slots, two of each hash tag, and writes each once. */
  async fill(slots: readonly number[], pairs: number): Promise<void> {
    for (let pair = 0; pair < pairs; pair++) {
      const slot = slots[pair % slots.length] ?? 0;
      for (const half of ['a', 'b']) {
        const entry: Entry = {
          key: `${pair}${half}:{${tagOfSlot(slot)}}`,
          slot,
          writes: [],
          isRetired: false,
        };
        this.entries.push(entry);
        this.#lanes[pair % LANES]?.push(entry);
      }
    }
    await Promise.all(
      this.#lanes.map(async (entries, lane) => {
        for (const entry of entries) if (!this.#random.chance(0.1)) await this.#set(lane, entry);
      }),
    );
  }

  /** Sets the clients to work. */
  start(): void {
    this.#running = Promise.all(this.#lanes.map((entries, lane) => this.#work(lane, entries))).then(
      () => undefined,
    );
  }

  /** Stops the clients; resolves when every command is answered or given up. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    for (const client of this.#clients) client.disconnect();
  }

  async #work(lane: number, entries: readonly Entry[]): Promise<void> {
    for (; !this.#isStopped; await sleep(PAUSE_MS)) {
      const index = this.#random.between(0, entries.length - 1);
      const entry = entries[index];
      const twin = entries[index ^ 1];
      const choice = this.#random.next();
      if (!entry || entry.isRetired) continue;
      if (choice < 0.25) await this.#read(lane, entry);
      else if (choice < 0.4) await this.#write(lane, [entry], null);
      else if (choice < 0.5) await this.#set(lane, entry, this.#random.between(100_000, 900_000));
      else if (choice < 0.55) await this.#set(lane, entry, this.#random.between(50, 1000));
      else if (choice < 0.6 && twin && !twin.isRetired) await this.#write(lane, [entry, twin], this.#value());
      else await this.#set(lane, entry);
    }
  }

  // One in fifty is large enough to take a while to move.
  #value(): string {
    const size = this.#random.chance(0.02) ? 30_000 : this.#random.between(1, 200);
    return `${++this.#written}:${'x'.repeat(size)}`;
  }

  #set(lane: number, entry: Entry, ttlMs?: number): Promise<void> {
    return this.#write(lane, [entry], this.#value(), ttlMs);
  }

  async #write(lane: number, entries: readonly Entry[], value: string | null, ttlMs?: number): Promise<void> {
    const client = this.#client(lane);
    const keys = entries.map(({ key }) => key);
    const [key = ''] = keys;
    const write: Write = { value, sentAt: performance.now(), ...(ttlMs === undefined ? {} : { ttlMs }) };
    for (const entry of entries) entry.writes.push(write);
    try {
      if (value === null) await client.del(key);
      else if (ttlMs !== undefined) await client.set(key, value, 'PX', ttlMs);
      else if (keys.length > 1) await client.mset(Object.fromEntries(keys.map((each) => [each, value])));
      else await client.set(key, value);
      write.ackedAt = performance.now();
      this.acked++;
      this.#took(write.sentAt, write.ackedAt);
    } catch {
      for (const entry of entries) entry.isRetired = true;
      this.lost++;
    }
  }

  async #read(lane: number, entry: Entry): Promise<void> {
    const sentAt = performance.now();
    let value: string | null;
    try {
      value = await this.#client(lane).get(entry.key);
    } catch {
      return;
    }
    const at = performance.now();
    this.reads++;
    this.#took(sentAt, at);
    if (!valuesOf(entry, at, () => false).has(value)) {
      this.wrongReads.push({ entry, value, at, writes: entry.writes.length });
    }
  }

  #took(sentAt: number, at: number): void {
    if (at - sentAt <= this.longestMs) return;
    this.longestMs = at - sentAt;
    this.longestAt = sentAt;
  }

  #client(lane: number): Cluster {
    const client = this.#clients[lane % this.#clients.length];
    if (!client) throw new RangeError(`No client for lane ${lane}`);
    return client;
  }
}

/**
 * The possible values of a key: its last acknowledged write, every later one whose answer was lost, and, while
 * `mayBeLost` is true for the writes after it, each earlier one. Null: it may be missing.
 */
export function valuesOf(
  { writes }: Pick<Entry, 'writes'>,
  now: number,
  mayBeLost: (write: Write) => boolean,
): Set<string | null> {
  const values = new Set<string | null>();
  for (const write of writes.toReversed()) {
    const { value, ttlMs, sentAt, ackedAt } = write;
    const age = now - sentAt;
    const isOver = ttlMs !== undefined && age > ttlMs + TTL_SLACK_MS;
    if (!isOver) values.add(value);
    if (ttlMs !== undefined && age > ttlMs - 100) values.add(null);
    if (ackedAt !== undefined && !mayBeLost(write)) return values;
  }
  return values.add(null);
}
