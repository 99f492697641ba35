import { DONE, waitUntil } from '../nodes/wait-until.ts';
import type { MoveLimits } from '../options.ts';

/** Limits may change at any time: they are read again after at most this wait. */
const LONGEST_PAUSE_MS = 100;
/** What may be used at once after a pause, as a part of a second's allowance. */
const BURST = 0.1;

/** Limits the rate of keys and bytes. Batches in flight at the same time share it. */
export class Throttle {
  readonly #limits: MoveLimits;
  readonly #keys = new Budget();
  readonly #bytes = new Budget();

  constructor(limits: MoveLimits) {
    this.#limits = limits;
  }

  /** True if sizes of keys must be known. */
  get limitsBytes(): boolean {
    return isLimit(this.#limits.bytesPerSecond);
  }

  /** The most keys that a batch may have without exceeding the rate for long. */
  get mostKeys(): number {
    const { keysPerSecond } = this.#limits;
    return isLimit(keysPerSecond) ? Math.max(1, Math.floor(keysPerSecond * BURST)) : Number.POSITIVE_INFINITY;
  }

  /**
   * Resolves when a batch of this size may be sent. After the signal aborts, that is at once: open slots must be closed, and a
   * large key may have used up minutes.
   */
  async admit(keys: number, bytes: number, signal?: AbortSignal): Promise<void> {
    if (!hasLimit(this.#limits) && !this.#limits.paused) return;
    let waitMs = 0;
    const pauseMs = (): number => Math.min(LONGEST_PAUSE_MS, waitMs);
    await waitUntil({ what: 'the rate limits', pauseMs, wakeSignal: signal }, () => {
      const { keysPerSecond, bytesPerSecond, paused } = this.#limits;
      const ownMs = paused ? LONGEST_PAUSE_MS : 0;
      waitMs = Math.max(ownMs, this.#keys.waitMs(keysPerSecond), this.#bytes.waitMs(bytesPerSecond));
      return waitMs <= 0 || signal?.aborted ? DONE : { missing: [] };
    });
    this.#keys.take(keys);
    this.#bytes.take(bytes);
  }
}

/** True if anything is limited. */
export function hasLimit({ keysPerSecond, bytesPerSecond }: MoveLimits): boolean {
  return isLimit(keysPerSecond) || isLimit(bytesPerSecond);
}

/** True of a rate that limits anything. */
export function isLimit(rate: number | undefined): rate is number {
  return rate !== undefined && Number.isFinite(rate) && rate > 0;
}

/** What is left to use. May become negative: then nothing is admitted until it is made up for. */
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
