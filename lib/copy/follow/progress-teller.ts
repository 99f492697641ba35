import type { Context } from '../../nodes/context.ts';

const PROGRESS_MS = 500;

/** How far the target is, when it is told. */
interface Standing {
  readonly by: 'streams' | 'comparing';
  readonly behind: { readonly keys: number; readonly ms: number };
  /** Changes that were seen since the start. */
  readonly seen: number;
  /** Numbers of changed keys that were copied and deleted since the start. */
  readonly done: { readonly keys: number; readonly deleted: number };
}

/** Emits progress events, twice a second at most. */
export class ProgressTeller {
  readonly #context: Context;
  readonly #source: string;
  readonly #started: number = performance.now();
  #toldAt = 0;
  #seenBefore = { changes: 0, at: performance.now() };

  constructor(context: Context, source: string) {
    this.#context = context;
    this.#source = source;
  }

  tell(standing: () => Standing): void {
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    const { by, behind, seen, done } = standing();
    const { changes, at } = this.#seenBefore;
    this.#seenBefore = { changes: seen, at: now };
    this.#context.emit({
      type: 'follow-progress',
      source: this.#source,
      by,
      behindKeys: behind.keys,
      behindMs: behind.ms,
      changesPerSecond: Math.round((1000 * (seen - changes)) / Math.max(1, now - at)),
      copied: done.keys,
      deleted: done.deleted,
      elapsedMs: now - this.#started,
    });
  }
}
