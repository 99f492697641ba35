import { ClusterError } from '../../errors.ts';
import { asOneFailure } from '../../nodes/failures.ts';
import { pause } from '../../nodes/wait-until.ts';
import { countByDatabase, type Ends } from '../ends.ts';
import type { Throttle } from '../throttle.ts';
import { Lane } from './batch.ts';
import { type BatchMover, mostLanes } from './batch-mover.ts';
import { KeyFeed, type SizedBatch, type SlotContent } from './key-feed.ts';
import { keyConflict, ownerFirst } from './migrate-errors.ts';
import { Pacer } from './pacer.ts';

/** If the stall is limited: the part of the time in which MIGRATE may block the source. Its clients get the rest. */
const MOST_BUSY = 0.8;
/** If it is not: enough that the source never waits for us, however slow we are with one batch. */
const LANES_UNBOUNDED = 4;

/** A key that expired while it was moved may count until the server deletes it, which it does some ten times a second. */
const MOST_IDLE_PASSES = 20;
const IDLE_PAUSE_MS = 100;

export interface KeyMoverOptions {
  readonly ends: Ends;
  readonly mover: BatchMover;
  /** Bytes of keys that are moved alone. */
  readonly bigKeys: ReadonlyMap<string, number>;
  readonly throttle: Throttle;
  /** Keys have left the source, which was blocked for this long: as many of this batch. */
  readonly onMoved?: (keys: number, stallMs: number, batch: SizedBatch) => void;
}

/**
 * Moves the keys of open slots. Rule 18 (docs/moving-slots.md): a batch that was held back is sent once the one before it is
 * settled.
 */
export class KeyMover {
  readonly #options: KeyMoverOptions;
  readonly #pacer: Pacer;
  readonly #leastLanes: number;
  readonly #mostLanes: number;
  readonly #lanes: Lane[] = [];

  constructor(options: KeyMoverOptions) {
    this.#options = options;
    const { maxStall, migrateTimeout } = options.ends.context.settings;
    this.#pacer = new Pacer(maxStall);
    this.#mostLanes = mostLanes(migrateTimeout);
    this.#leastLanes = Number.isFinite(maxStall) ? 1 : Math.min(LANES_UNBOUNDED, this.#mostLanes);
  }

  /** Resolves once the source holds no key of these slots. */
  async run(slots: readonly number[]): Promise<void> {
    const { ends } = this.#options;
    for (let [idle, before] = [0, Number.POSITIVE_INFINITY]; ; ) {
      const contents = await contentsOf(ends, slots);
      const keys = contents.reduce((sum, { count }) => sum + count, 0);
      const [first] = contents;
      if (!first) return;
      idle = keys < before ? 0 : idle + 1;
      if (idle > MOST_IDLE_PASSES) throw stillHasKeys(ends, first.slot);
      if (idle > 0) await pause(IDLE_PAUSE_MS);
      before = keys;
      await this.#pass(contents);
      const { conflicts } = this.#options.mover.leftovers;
      if (conflicts.length === 0) continue;
      const [owner, other] = ownerFirst(ends, conflicts[0]?.slot);
      const differing = conflicts.flatMap((conflict) => conflict.keys);
      ends.context.emit({
        ...{ type: 'stray-keys', node: other.address, owner: owner.address, dropped: 0, brought: 0 },
        ...{ differing, onlyThere: [] },
      });
      throw keyConflict(ends, conflicts);
    }
  }

  // Keep enough batches in flight that the source never waits for us.
  async #pass(contents: readonly SlotContent[]): Promise<void> {
    const { ends, bigKeys, throttle } = this.#options;
    const wantsSizes = () => this.#pacer.wantsSizes || throttle.limitsBytes;
    const feed = new KeyFeed(ends, contents, bigKeys, wantsSizes);
    const running: Promise<void>[] = [];
    const busy = new Set<Lane>();
    let taking = 0;
    /** Each error may name keys of its own batch. */
    const failures: unknown[] = [];
    const handOver = async (lane: Lane, batch: SizedBatch, before: Promise<void>): Promise<void> => {
      try {
        while (!(await this.#move(lane, batch, busy.size))) {
          await before;
          if (failures.length > 0) return;
        }
      } catch (reason) {
        failures.push(reason);
      }
    };
    const run = async (lane: Lane): Promise<void> => {
      busy.add(lane);
      taking += 1;
      let last = Promise.resolve();
      try {
        for (;;) {
          if (!this.#isAhead) await last;
          const wanted = this.#lanesWanted;
          if (taking > wanted) break;
          const { keys, bytes } = this.#pacer.size;
          const batch = await feed.next({ keys: Math.min(keys, throttle.mostKeys), bytes });
          if (!batch || failures.length > 0) break;
          // Only with a batch in hand: lanes that find none would start one another for ever.
          if (taking < wanted) start();
          await throttle.admit(batch.keys.length, batch.bytes ?? 0, ends.context.signal);
          if (failures.length > 0) break;
          const before = last;
          last = handOver(lane, batch, before);
          await before;
        }
      } catch (reason) {
        failures.push(reason);
      } finally {
        // Decrease at once: if there are several lanes too many, only one should stop.
        taking -= 1;
      }
      await last;
      busy.delete(lane);
    };
    const start = (): void => {
      running.push(run(this.#freeLane(busy)));
    };
    start();
    // The delay may grow during the wait.
    for (let at = 0; at < running.length; at++) await running[at];
    if (failures.length > 0) throw asOneFailure(failures);
  }

  // False if the batch before it on the lane held it back.
  async #move(lane: Lane, batch: SizedBatch, lanes: number): Promise<boolean> {
    const { mover, onMoved } = this.#options;
    const done = await mover.move(lane, { ...batch, lanes });
    if (!done) return false;
    this.#pacer.measured(done.gone, batch.bytes, done.stallMs);
    onMoved?.(done.gone, done.stallMs, batch);
    return true;
  }

  // True if a lane gets the next batch while one is in flight. Not if the distance is long: there are many lanes then, and
  // another may be free first.
  get #isAhead(): boolean {
    return this.#pacer.isSteady && this.#lanesWanted === this.#leastLanes;
  }

  // Batches on their way to the source and back block nothing. Use the shortest round trip seen: longer ones include time spent
  // waiting for the source's other work or, with many lanes, for one another.
  get #lanesWanted(): number {
    const least = this.#leastLanes;
    const { stallMs } = this.#pacer;
    const roundTripMs = Math.min(...this.#lanes.map((lane) => lane.roundTripMs));
    if (stallMs <= 0 || roundTripMs === Number.POSITIVE_INFINITY) return least;
    const away = roundTripMs / stallMs;
    const lanes = least === 1 ? Math.round(MOST_BUSY * (1 + away)) : 1 + Math.ceil(away);
    return Math.min(this.#mostLanes, Math.max(least, lanes));
  }

  #freeLane(busy: ReadonlySet<Lane>): Lane {
    const idle = this.#lanes.find((lane) => !busy.has(lane));
    if (idle) return idle;
    // Lane 0 of the connections is for everything else.
    const lane = new Lane(this.#options.ends, this.#lanes.length + 1);
    this.#lanes.push(lane);
    return lane;
  }
}

async function contentsOf(ends: Ends, slots: readonly number[]): Promise<SlotContent[]> {
  const counts = await countByDatabase(ends, slots);
  const contents = [...counts].flatMap(([db, ofOne]) =>
    slots.map((slot, index) => ({ slot, db, count: ofOne[index] ?? 0 })),
  );
  return contents.filter(({ count }) => count > 0);
}

function stillHasKeys({ source }: Ends, slot: number): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Slot ${slot} on ${source.address} still contains keys after all were moved`,
    { address: source.address, openSlots: [slot], resumable: 'same-call' },
  );
}
