import { LineFit } from './line-fit.ts';

/** Keys in one MIGRATE while its time is limited. More make it hardly faster, and block others for longer. */
const MOST_KEYS = 128;
/**
 * Keys in one MIGRATE if its time is not limited, or if even an empty one takes longer than the limit: fewer batches are better.
 */
const MOST_KEYS_UNPACED = 1000;
/** Nothing is known of the keys when the first batch is sent. */
const FIRST_KEYS = 10;
/** The weight of the newest batch in the estimate. */
const WEIGHT = 0.3;
/** Keys get at least this part of the allowed stall, however long a MIGRATE without keys takes. */
const LEAST_FOR_KEYS = 0.5;
/** A key that takes longer than this is large enough to ask for its size. */
const SIZES_FROM_MS = 0.05;
/** A batch may take this much longer on a busy machine: that says nothing about the sizes of its keys. */
const OTHER_MS = 1;
/** One slow batch may only have had to wait. Ask for sizes once slow batches outnumber the others by this many. */
const SIZES_AFTER = 3;

/** How much may go into one batch. */
export interface BatchSize {
  readonly keys: number;
  /** Infinity if sizes do not matter. */
  readonly bytes: number;
}

/**
 * Cuts batches so that each blocks its source for at most `maxStallMs`, judging by how long earlier ones took. The fixed cost of
 * a MIGRATE, such as the way to the target and back, is measured apart from the cost of its keys: if it alone is too long,
 * batches of fewer keys only make it happen more often.
 */
export class Pacer {
  readonly #maxStallMs: number;
  readonly #byKeys = new LineFit();
  readonly #byBytes = new LineFit();
  #stallMs: number | undefined;
  /** Rises by one with each batch of slow keys and falls with each other batch, within bounds. */
  #slowness = 0;

  constructor(maxStallMs: number) {
    this.#maxStallMs = maxStallMs;
  }

  /** True if keys are so large that batches are cut by bytes. */
  get wantsSizes(): boolean {
    return Number.isFinite(this.#maxStallMs) && this.#slowness >= SIZES_AFTER;
  }

  /** Milliseconds that recent batches take; 0 if that is not known. */
  get stallMs(): number {
    return this.#stallMs ?? 0;
  }

  /** True if recent batches took about as long as they may. Otherwise measure one before cutting the next. */
  get isSteady(): boolean {
    return this.stallMs > 0 && this.stallMs <= 2 * this.#maxStallMs;
  }

  get size(): BatchSize {
    if (!Number.isFinite(this.#maxStallMs)) {
      return { keys: MOST_KEYS_UNPACED, bytes: Number.POSITIVE_INFINITY };
    }
    const mostKeys = this.#byKeys.fixed > this.#maxStallMs ? MOST_KEYS_UNPACED : MOST_KEYS;
    // If sizes are known they decide how many keys go: the average would allow too few of the small ones.
    if (this.wantsSizes && this.#byBytes.isKnown) {
      return { keys: mostKeys, bytes: Math.round(this.#within(this.#byBytes)) };
    }
    const keys = this.#byKeys.isKnown ? this.#within(this.#byKeys) : FIRST_KEYS;
    return { keys: Math.min(mostKeys, Math.max(1, Math.floor(keys))), bytes: Number.POSITIVE_INFINITY };
  }

  /** Records how long a batch took. Give `bytes` if the sizes of its keys were known. */
  measured(keys: number, bytes: number | undefined, stallMs: number): void {
    if (keys <= 0) return;
    // Keys may have left in an attempt whose duration is not known.
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
