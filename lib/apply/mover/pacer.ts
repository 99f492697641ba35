import { LineFit } from './line-fit.ts';

/** Keys in one MIGRATE where its time is held down: more make it hardly faster, and longer for others. */
const MOST_KEYS = 128;
/** Where it is not, or where a MIGRATE takes longer than that whatever is in it: the fewer of them the better. */
const MOST_KEYS_UNPACED = 1000;
/** Nothing is known of the keys when the first batch is sent. */
const FIRST_KEYS = 10;
/** The weight of the newest batch in the estimate. */
const WEIGHT = 0.3;
/** Keys get this part of the stall allowed, however much of it a MIGRATE takes without any. */
const LEAST_FOR_KEYS = 0.5;
/** A key that takes longer than this is large enough for its size to be asked for. */
const SIZES_FROM_MS = 0.05;
/** What a batch may take longer on a busy machine says nothing of the sizes of its keys. */
const OTHER_MS = 1;
/** One batch that took long may have had to wait: so many more of them than others it takes to ask for sizes. */
const SIZES_AFTER = 3;

/** How much may go into one batch. */
export interface BatchSize {
  readonly keys: number;
  /** Infinity where sizes play no part. */
  readonly bytes: number;
}

/**
 * Cuts batches so that one holds up its source for `maxStallMs` at most, by the time that those before it took. What a
 * MIGRATE takes whatever is in it, the way to the target and back, is told apart from what its keys take: where that
 * alone is too long, batches of fewer keys only make it happen more often.
 */
export class Pacer {
  readonly #maxStallMs: number;
  readonly #byKeys = new LineFit();
  readonly #byBytes = new LineFit();
  #stallMs: number | undefined;
  /** Up by one with each batch of slow keys, down with each other, within bounds. */
  #slowness = 0;

  constructor(maxStallMs: number) {
    this.#maxStallMs = maxStallMs;
  }

  /** True where keys are so large that batches go by bytes. */
  get wantsSizes(): boolean {
    return Number.isFinite(this.#maxStallMs) && this.#slowness >= SIZES_AFTER;
  }

  /** Milliseconds that a batch takes lately; 0 where that is not known. */
  get stallMs(): number {
    return this.#stallMs ?? 0;
  }

  get size(): BatchSize {
    if (!Number.isFinite(this.#maxStallMs)) {
      return { keys: MOST_KEYS_UNPACED, bytes: Number.POSITIVE_INFINITY };
    }
    const mostKeys = this.#byKeys.fixed > this.#maxStallMs ? MOST_KEYS_UNPACED : MOST_KEYS;
    // Where sizes are known they say how many keys go; the average would be too few of the small ones.
    if (this.wantsSizes && this.#byBytes.isKnown) {
      return { keys: mostKeys, bytes: Math.round(this.#within(this.#byBytes)) };
    }
    const keys = this.#byKeys.isKnown ? this.#within(this.#byKeys) : FIRST_KEYS;
    return { keys: Math.min(mostKeys, Math.max(1, Math.floor(keys))), bytes: Number.POSITIVE_INFINITY };
  }

  /** Takes into account how long a batch took. `bytes` where the sizes of its keys were known. */
  measured(keys: number, bytes: number | undefined, stallMs: number): void {
    if (keys <= 0) return;
    // Keys may have left in an attempt whose time is not known.
    if (stallMs > 0) this.#stallMs = mix(this.#stallMs, stallMs);
    this.#byKeys.add(keys, stallMs);
    if (bytes !== undefined && bytes > 0) this.#byBytes.add(bytes, stallMs);
    const isSlow = (stallMs - this.#byKeys.fixed - OTHER_MS) / keys > SIZES_FROM_MS;
    this.#slowness = Math.max(0, Math.min(2 * SIZES_AFTER, this.#slowness + (isSlow ? 1 : -1)));
  }

  #within({ fixed, perUnit }: LineFit): number {
    return Math.max(this.#maxStallMs - fixed, this.#maxStallMs * LEAST_FOR_KEYS) / perUnit;
  }
}

function mix(known: number | undefined, next: number): number {
  return known === undefined ? next : known + WEIGHT * (next - known);
}
