import { setTimeout as sleep } from 'node:timers/promises';
import type { MoveLimits } from '../../options.ts';

/** Limits may be changed at any time: no wait is longer than this before they are read again. */
const LONGEST_PAUSE_MS = 100;
/** What may be used up at once after a pause, as a part of a second. */
const BURST = 0.1;

/** Holds keys and bytes to a rate. Batches that are under way side by side share it. */
export class Throttle {
  readonly #limits: MoveLimits;
  readonly #keys = new Budget();
  readonly #bytes = new Budget();

  constructor(limits: MoveLimits = {}) {
    this.#limits = limits;
  }

  /** True where sizes of keys have to be known. */
  get limitsBytes(): boolean {
    return isLimit(this.#limits.bytesPerSecond);
  }

  /** Most keys that a batch may have without going above the rate for long. */
  get mostKeys(): number {
    const { keysPerSecond } = this.#limits;
    return isLimit(keysPerSecond) ? Math.max(1, Math.floor(keysPerSecond * BURST)) : Number.POSITIVE_INFINITY;
  }

  /**
   * Resolves when a batch of this size may be sent. Once the signal aborts that is at once: what is open then has to be closed,
   * and a large key may have used up minutes.
   */
  async admit(keys: number, bytes: number, signal?: AbortSignal): Promise<void> {
    if (!hasLimit(this.#limits)) return;
    for (;;) {
      const { keysPerSecond, bytesPerSecond } = this.#limits;
      const waitMs = Math.max(this.#keys.waitMs(keysPerSecond), this.#bytes.waitMs(bytesPerSecond));
      if (waitMs <= 0 || signal?.aborted) break;
      await sleep(Math.min(LONGEST_PAUSE_MS, waitMs));
    }
    this.#keys.take(keys);
    this.#bytes.take(bytes);
  }
}

/** True where anything is limited. */
export function hasLimit({ keysPerSecond, bytesPerSecond }: MoveLimits = {}): boolean {
  return isLimit(keysPerSecond) || isLimit(bytesPerSecond);
}

function isLimit(rate: number | undefined): rate is number {
  return rate !== undefined && Number.isFinite(rate) && rate > 0;
}

/** What is left to use. May go below zero: then nothing is admitted until it is made up for. */
class Budget {
  #left = 0;
  #readAt = performance.now();

  waitMs(rate: number | undefined): number {
    const now = performance.now();
    const elapsedMs = now - this.#readAt;
    this.#readAt = now;
    if (!isLimit(rate)) {
      this.#left = 0;
      return 0;
    }
    this.#left = Math.min(rate * BURST, this.#left + (rate * elapsedMs) / 1000);
    return this.#left >= 0 ? 0 : (-this.#left * 1000) / rate;
  }

  take(amount: number): void {
    this.#left -= amount;
  }
}
