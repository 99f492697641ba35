// What a client of the cluster notices while it is changed.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerNode } from '../bed/index.ts';
import { ClusterClient } from '../helpers/cluster-client.ts';

const LANES = 8;
/** Between an answer and the next write of a lane: it is to be a client, not a benchmark. */
const PAUSE_MS = 10;
/** Longer than any look at a busy machine: a write that takes longer has failed. */
const PATIENCE_MS = 20_000;

/** What the client felt, in milliseconds. */
export interface Felt {
  readonly half: number;
  readonly p99: number;
  readonly slowest: number;
  /** From one acknowledged write to the next. */
  readonly longestSilence: number;
}

/** Writes numbered keys until it is told to stop, and keeps those that were acknowledged. */
export class Writer {
  /** The keys that were acknowledged, and their values. */
  readonly acknowledged: Map<string, string> = new Map();
  readonly #client: ClusterClient;
  readonly #tookMs: number[] = [];
  readonly #lanes: Promise<void>[];
  #next = 1;
  #isStopped = false;
  #answeredAt = performance.now();
  #longestSilence = 0;

  constructor(...seeds: [ServerNode, ...ServerNode[]]) {
    this.#client = new ClusterClient(...seeds);
    this.#lanes = Array.from({ length: LANES }, () => this.#write());
    // Heard by whoever stops it.
    for (const lane of this.#lanes) lane.catch(() => {});
  }

  async #write(): Promise<void> {
    while (!this.#isStopped) {
      const [key, value] = [`order:${this.#next}`, `value ${this.#next++}`];
      const sentAt = performance.now();
      await this.#client.command(key, ['SET', key, value], PATIENCE_MS);
      const now = performance.now();
      this.acknowledged.set(key, value);
      this.#tookMs.push(now - sentAt);
      this.#longestSilence = Math.max(this.#longestSilence, now - this.#answeredAt);
      this.#answeredAt = now;
      await sleep(PAUSE_MS);
    }
  }

  /** Ends once every write is answered. Rejects if one failed. */
  async stop(): Promise<Felt> {
    this.#isStopped = true;
    try {
      await Promise.all(this.#lanes);
    } finally {
      await this.#client.close();
    }
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
    return { half: at(0.5), p99: at(0.99), slowest: at(1), longestSilence: this.#longestSilence };
  }
}
