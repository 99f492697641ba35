import { ClusterError } from '../../errors.ts';
import { formatKey } from '../../model/bytes.ts';
import type { Context } from '../context.ts';
import type { StoredKey } from './write-keys.ts';

/** Keys that an error names; more are only counted. */
const MOST_NAMED = 1000;
const PROGRESS_MS = 100;

/** Where keys come from, as events tell it. */
export type Origin =
  | { readonly type: 'import-progress'; readonly source: string }
  | { readonly type: 'restore-progress'; readonly dir: string };

/** What has become of the keys of an import, or of a backup, so far, told as it goes on. */
export class Tally {
  readonly done = { keys: 0, same: 0, deleted: 0, bytes: 0 };
  readonly #context: Context;
  readonly #origin: Origin;
  readonly #total: number;
  readonly #started: number = performance.now();
  readonly #conflicts: string[] = [];
  readonly #changed: string[] = [];
  #conflictCount = 0;
  #changedCount = 0;
  #toldAt = 0;

  constructor(context: Context, origin: Origin, total: number) {
    this.#context = context;
    this.#origin = origin;
    this.#total = total;
  }

  add(restored: readonly StoredKey[], same: number, deleted: number): void {
    this.done.keys += restored.length;
    this.done.same += same;
    this.done.deleted += deleted;
    this.done.bytes += restored.reduce((sum, { dump }) => sum + dump.length, 0);
    const now = performance.now();
    if (now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    const keysDone = this.done.keys + this.done.same;
    const elapsedMs = now - this.#started;
    const pace = keysDone / elapsedMs;
    this.#context.emit({
      ...this.#origin,
      keysDone,
      keys: Math.max(keysDone, this.#total),
      bytesDone: this.done.bytes,
      keysPerSecond: Math.round(1000 * pace),
      etaMs: pace > 0 ? Math.max(0, this.#total - keysDone) / pace : null,
      elapsedMs,
    });
  }

  get #name(): string {
    return this.#origin.type === 'import-progress' ? this.#origin.source : this.#origin.dir;
  }

  differ(conflicts: readonly StoredKey[], changed: readonly StoredKey[]): void {
    this.#conflictCount += conflicts.length;
    this.#changedCount += changed.length;
    for (const { key } of conflicts) if (this.#conflicts.length < MOST_NAMED) this.#conflicts.push(key);
    for (const { key } of changed) if (this.#changed.length < MOST_NAMED) this.#changed.push(key);
  }

  /** Throws ClusterError `KEY_CONFLICT` where keys were left out. */
  requireNoConflicts(): void {
    const { keys, same } = this.done;
    const others = `${keys + same} others are in the cluster`;
    if (this.#conflictCount > 0) {
      const example = formatKey(this.#conflicts[0] ?? '');
      throw new ClusterError(
        'KEY_CONFLICT',
        `The cluster has ${this.#conflictCount} of the keys with other values, for example ${example}; ${others}`,
        {
          hint: 'The values of the cluster are kept. Overwrite them with --replace, or delete on one side what is wrong; then run the same command again',
          keys: this.#conflicts,
          resumable: true,
        },
      );
    }
    if (this.#changedCount > 0) {
      const example = formatKey(this.#changed[0] ?? '');
      throw new ClusterError(
        'KEY_CONFLICT',
        `${this.#changedCount} keys were written on ${this.#name} while they were moved, for example ${example}; ${others}`,
        {
          hint: 'They are on both sides, the newer value on the source. Let nobody write there any more, then run the same command again with --replace',
          keys: this.#changed,
          resumable: true,
        },
      );
    }
  }
}
