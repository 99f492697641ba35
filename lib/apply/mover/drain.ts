import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError } from '../../errors.ts';
import { Lane } from './batch.ts';
import { KeyFeed, type SizedBatch, type SlotContent } from './key-feed.ts';
import { closeLanes, countByDatabase, type Link } from './link.ts';
import { KeyMover, mostLanes } from './migrate.ts';
import { keyConflict } from './migrate-errors.ts';
import { Pacer } from './pacer.ts';
import { Throttle } from './throttle.ts';

/** Where the stall is bounded, the part of the time in which the source may be at MIGRATE: its clients get the rest. */
const MOST_BUSY = 0.8;
/** Where it is not: with two batches under way the source never waits for us. */
const LANES_UNBOUNDED = 2;
const DEFAULT_MAX_STALL_MS = 5;

/** What has expired while it was moved may count until the server gets to it, some ten times a second. */
const MOST_IDLE_PASSES = 20;
const IDLE_PAUSE_MS = 100;

export interface DrainOptions {
  readonly link: Link;
  readonly mover: KeyMover;
  /** Bytes of keys that are moved alone. */
  readonly bigKeys: ReadonlyMap<string, number>;
  readonly throttle: Throttle;
  /** Slots that were open before this run: nothing is overwritten in them. */
  readonly found: ReadonlySet<number>;
  /** Keys have left the source, which that held up for so long. */
  readonly onMoved?: (keys: number, stallMs: number) => void;
}

/** Moves the keys of open slots. */
export class Drain {
  readonly #options: DrainOptions;
  readonly #pacer: Pacer;
  readonly #leastLanes: number;
  readonly #mostLanes: number;
  readonly #lanes: Lane[] = [];

  constructor(options: DrainOptions) {
    this.#options = options;
    const { maxStall = DEFAULT_MAX_STALL_MS, migrateTimeout } = options.link.context.options;
    this.#pacer = new Pacer(maxStall);
    this.#mostLanes = mostLanes(migrateTimeout);
    this.#leastLanes = Number.isFinite(maxStall) ? 1 : Math.min(LANES_UNBOUNDED, this.#mostLanes);
  }

  /** Resolves when the source holds no key of these slots any more. */
  async run(slots: readonly number[]): Promise<void> {
    const { link } = this.#options;
    for (let [idle, before] = [0, Number.POSITIVE_INFINITY]; ; ) {
      const contents = await contentsOf(link, slots);
      const keys = contents.reduce((sum, { count }) => sum + count, 0);
      const [first] = contents;
      if (!first) return;
      idle = keys < before ? 0 : idle + 1;
      if (idle > MOST_IDLE_PASSES) throw stillHasKeys(link, first.slot);
      if (idle > 0) await sleep(IDLE_PAUSE_MS);
      before = keys;
      await this.#pass(contents);
      const { conflicts } = this.#options.mover.leftovers;
      if (conflicts.length > 0) throw keyConflict(link, conflicts);
    }
  }

  // As many batches are under way as it takes for the source not to wait for us.
  async #pass(contents: readonly SlotContent[]): Promise<void> {
    const { link, bigKeys, throttle } = this.#options;
    const wantsSizes = () => this.#pacer.wantsSizes || throttle.limitsBytes;
    const feed = new KeyFeed(link, contents, bigKeys, wantsSizes);
    const running: Promise<void>[] = [];
    const active = new Set<Lane>();
    let failure: { readonly reason: unknown } | undefined;
    const run = async (lane: Lane): Promise<void> => {
      active.add(lane);
      try {
        for (let wanted = this.#lanesWanted; active.size <= wanted; wanted = this.#lanesWanted) {
          if (active.size < wanted) start();
          const { keys, bytes } = this.#pacer.size;
          const batch = await feed.next({ keys: Math.min(keys, throttle.mostKeys), bytes });
          if (!batch || failure) return;
          await throttle.admit(batch.keys.length, batch.bytes ?? 0, link.context.signal);
          if (failure) return;
          await this.#move(lane, batch, active.size);
        }
      } catch (reason) {
        failure ??= { reason };
      } finally {
        // At once: of several that are too many one is to stop.
        active.delete(lane);
      }
    };
    const start = (): void => {
      running.push(run(this.#freeLane(active)));
    };
    start();
    // It may get longer while it is waited for.
    for (let at = 0; at < running.length; at++) await running[at];
    if (failure) throw failure.reason;
  }

  async #move(lane: Lane, batch: SizedBatch, lanes: number): Promise<void> {
    const { mover, found, onMoved } = this.#options;
    const { gone, stallMs } = await mover.move(lane, { ...batch, ours: !found.has(batch.slot), lanes });
    this.#pacer.measured(gone, batch.bytes, stallMs);
    onMoved?.(gone, stallMs);
  }

  // Batches that are on their way to the source and back hold nobody up. The way is as long as it was at best: now and then they
  // wait for what else the source has to do, and with many of them for one another.
  get #lanesWanted(): number {
    const least = this.#leastLanes;
    const { stallMs } = this.#pacer;
    const roundTripMs = Math.min(...this.#lanes.map((lane) => lane.roundTripMs));
    if (stallMs <= 0 || roundTripMs === Number.POSITIVE_INFINITY) return least;
    const away = roundTripMs / stallMs;
    const lanes = least === 1 ? Math.round(MOST_BUSY * (1 + away)) : 1 + Math.ceil(away);
    return Math.min(this.#mostLanes, Math.max(least, lanes));
  }

  #freeLane(active: ReadonlySet<Lane>): Lane {
    const idle = this.#lanes.find((lane) => !active.has(lane));
    if (idle) return idle;
    // Lane 0 of the connections is for everything else.
    const lane = new Lane(this.#options.link, this.#lanes.length + 1);
    this.#lanes.push(lane);
    return lane;
  }
}

/** Moves the keys of slots that were found open, and overwrites nothing. */
export async function drainSlots(link: Link, slots: readonly number[]): Promise<void> {
  const throttle = new Throttle(link.context.options.limits);
  const options = { link, mover: new KeyMover(link), bigKeys: new Map(), throttle, found: new Set(slots) };
  await new Drain(options).run(slots).finally(() => closeLanes(link));
}

async function contentsOf(link: Link, slots: readonly number[]): Promise<SlotContent[]> {
  const counts = await countByDatabase(link, slots);
  const contents = [...counts].flatMap(([db, ofOne]) =>
    slots.map((slot, index) => ({ slot, db, count: ofOne[index] ?? 0 })),
  );
  return contents.filter(({ count }) => count > 0);
}

function stillHasKeys({ source }: Link, slot: number): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Slot ${slot} on ${source.address} still contains keys after all were moved`,
    { address: source.address, openSlots: [slot], resumable: true },
  );
}
