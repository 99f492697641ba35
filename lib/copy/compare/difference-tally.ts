import type { KeyDifference, KeyState } from '../../model/key-difference.ts';
import { SLOT_COUNT } from '../../model/slot.ts';
import type { Context } from '../../nodes/context.ts';

/** Most keys named in a result; further ones are only counted. */
const MOST_NAMED = 1000;
const PROGRESS_MS = 100;

/** How many keys are the same, or how they differ. */
export interface DifferenceCounts {
  /** Number of keys on the first side. */
  readonly keys: number;
  readonly same: number;
  /** Number of keys that both sides have, and of which the type, the value or the expiry differs. */
  readonly differ: number;
  /** Number of keys that the second side does not have. */
  readonly missing: number;
  /** Number of keys that only the second side has. */
  readonly surplus: number;
  /** Number of keys whose values cannot be compared: their bytes differ, as they may between versions of a module. */
  readonly unknown: number;
  /** Number of keys that differed at first and were the same when they were looked at again. */
  readonly settled: number;
}

/** Counts what a comparison finds, and emits progress events. */
export class DifferenceTally {
  readonly #context: Context;
  readonly #onDifference: (difference: KeyDifference) => void;
  readonly #total: number;
  readonly #started: number = performance.now();
  /** By slot: keys that are read again count again. */
  readonly #keys = new Uint32Array(SLOT_COUNT);
  readonly #same = new Uint32Array(SLOT_COUNT);
  readonly #states = new Map<KeyState, number>();
  readonly #named = new Map<string, KeyDifference>();
  #settled = 0;
  #done = 0;
  #toldAt = 0;

  constructor(context: Context, total: number, onDifference: (difference: KeyDifference) => void) {
    this.#context = context;
    this.#total = total;
    this.#onDifference = onDifference;
  }

  /** A key of the first side was read. */
  read(slot: number, isSame: boolean): void {
    this.#keys[slot] = (this.#keys[slot] ?? 0) + 1;
    if (isSame) this.same(slot);
  }

  same(slot: number): void {
    this.#same[slot] = (this.#same[slot] ?? 0) + 1;
  }

  /** A key of the first side is the same now. */
  settle(slot: number): void {
    this.#settled += 1;
    this.same(slot);
  }

  readAgain(slots: readonly number[]): void {
    for (const slot of slots) {
      this.#keys[slot] = 0;
      this.#same[slot] = 0;
    }
  }

  differ(difference: KeyDifference): void {
    const name = `${difference.db} ${difference.key}`;
    if (this.#named.has(name)) return;
    if (this.#named.size < MOST_NAMED) this.#named.set(name, difference);
    this.#states.set(difference.state, this.#countOf(difference.state) + 1);
    this.#onDifference(difference);
  }

  /** So many keys were looked at, on either side. */
  progress(keys: number): void {
    this.#done += keys;
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    const elapsedMs = now - this.#started;
    const pace = this.#done / elapsedMs;
    this.#context.emit({
      type: 'compare-progress',
      keysDone: this.#done,
      keys: Math.max(this.#done, this.#total),
      differing: [...this.#states.values()].reduce((sum, keys) => sum + keys, 0),
      keysPerSecond: Math.round(1000 * pace),
      etaMs: pace > 0 ? Math.max(0, this.#total - this.#done) / pace : null,
      elapsedMs,
    });
  }

  get differences(): KeyDifference[] {
    return [...this.#named.values()];
  }

  get counts(): DifferenceCounts {
    const [keys, same] = [this.#keys, this.#same].map((bySlot) => bySlot.reduce((sum, one) => sum + one, 0));
    const differ = this.#countOf('type') + this.#countOf('value') + this.#countOf('expiry');
    const [missing, surplus, unknown] = (['missing', 'surplus', 'unknown'] as const).map((state) =>
      this.#countOf(state),
    );
    return {
      ...{ keys: keys ?? 0, same: same ?? 0, differ },
      ...{ missing: missing ?? 0, surplus: surplus ?? 0, unknown: unknown ?? 0, settled: this.#settled },
    };
  }

  #countOf(state: KeyState): number {
    return this.#states.get(state) ?? 0;
  }
}
