import type { Context } from '../../nodes/context.ts';

const PROGRESS_MS = 100;

/** Counts the bytes of a backup and emits progress events. */
export class BackupTally {
  readonly #context: Context;
  readonly #masters: number;
  readonly #started: number = performance.now();
  readonly #totals = new Map<string, number | undefined>();
  #bytes = 0;
  #done = 0;
  #toldAt = 0;

  constructor(context: Context, masters: number) {
    this.#context = context;
    this.#masters = masters;
  }

  /** Adds bytes received from a master. `total` is the size of its snapshot, if it announced one. */
  add(master: string, bytes: number, total: number | undefined): void {
    this.#bytes += bytes;
    this.#totals.set(master, total);
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#tell(now);
  }

  finish(): void {
    this.#done += 1;
    this.#tell(performance.now());
  }

  #tell(now: number): void {
    this.#toldAt = now;
    const totals = [...this.#totals.values()];
    const isKnown = totals.length === this.#masters && totals.every((total) => total !== undefined);
    this.#context.emit({
      type: 'backup-progress',
      mastersDone: this.#done,
      masters: this.#masters,
      bytesDone: this.#bytes,
      bytes: isKnown ? totals.reduce((sum: number, total) => sum + (total ?? 0), 0) : null,
      elapsedMs: now - this.#started,
    });
  }
}
