import type { Context } from '../context.ts';

const PROGRESS_MS = 100;

/** How far a backup has come, told as it goes on. */
export class BackupProgressTally {
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

  /** Bytes came from a master, which has told how many there will be, or not. */
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
