import { ClusterError } from '../errors.ts';
import { formatKey } from '../model/bytes.ts';
import { type LeftReason, leftWords } from '../model/left-keys.ts';
import type { Advice, Next } from '../model/next.ts';
import type { Context } from '../nodes/context.ts';
import type { LeftKey } from './conversion.ts';
import { bytesOf, type StoredKey } from './write-keys.ts';

const OVERWRITE: readonly Next[] = [
  { do: 'retry', when: 'repaired' },
  { do: 'retry', options: { replace: true } },
];

/** Most keys listed in an error; further ones are only counted. */
const MOST_NAMED = 1000;
const PROGRESS_MS = 100;

/** Type of progress events, and where the keys come from. */
export type Origin =
  | { readonly type: 'import-progress'; readonly source: string }
  | { readonly type: 'restore-progress'; readonly dir: string };

/** Counts the keys of an import or a restore, and emits progress events. */
export class CopyTally {
  readonly done = { keys: 0, same: 0, converted: 0, deleted: 0, bytes: 0 };
  readonly #context: Context;
  readonly #origin: Origin;
  readonly #total: number;
  readonly #started: number = performance.now();
  readonly #conflicts = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #left = new Map<string, LeftReason>();
  #leftCount = 0;
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
    const bytes = restored.reduce((sum, stored) => sum + bytesOf(stored), 0);
    this.done.converted += restored.filter(({ converted }) => converted !== undefined).length;
    this.done.bytes += bytes;
    this.#context.account.copied(restored.length, bytes);
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

  /** `isAgain`: these keys may have been counted before. */
  differ(conflicts: readonly StoredKey[], changed: readonly StoredKey[], isAgain = false): void {
    this.#conflictCount += note(this.#conflicts, conflicts, isAgain);
    this.#changedCount += note(this.#changed, changed, isAgain);
  }

  /** Counts keys that the cluster cannot hold: those that were not sent, and those that a node refused. */
  leave(unsent: readonly LeftKey[], refused: readonly StoredKey[], isAgain = false): void {
    for (const { key, why } of [...unsent, ...refused.map(({ key }): LeftKey => ({ key, why: 'refused' }))]) {
      if (isAgain && this.#left.has(key)) continue;
      this.#leftCount += 1;
      if (this.#left.size < MOST_NAMED) this.#left.set(key, why);
    }
  }

  /**
   * Throws ClusterError `KEY_CONFLICT` if keys were not written because of other values, or changed at the source, and
   * `KEYS_LEFT_BEHIND` if the cluster cannot hold them.
   */
  requireAll(): void {
    const { keys, same } = this.done;
    const others = `${keys + same} others are in the cluster`;
    const left = [...this.#left].map(([key, why]): LeftKey => ({ key, why }));
    // To overwrite others before these have their names would lose one of two values.
    if (left.some(({ why }) => why === 'leaving')) this.#requireNoneLeft(left, others);
    if (this.#conflictCount > 0) {
      const example = exampleOf(this.#conflicts);
      throw new ClusterError(
        'KEY_CONFLICT',
        `The cluster has ${this.#conflictCount} of the keys with other values, for example ${example}; ${others}`,
        {
          hint: 'The values of the cluster are kept. Delete the wrong value on either side, or overwrite them',
          next: OVERWRITE,
          keys: [...this.#conflicts],
          resumable: 'same-call',
        },
      );
    }
    if (this.#changedCount > 0) {
      const example = exampleOf(this.#changed);
      throw new ClusterError(
        'KEY_CONFLICT',
        `${this.#changedCount} keys were written on ${this.#name} while they were moved, for example ${example}; ${others}`,
        {
          hint: 'They are on both sides, the newer value on the source. Stop all writes there',
          next: [{ do: 'retry', options: { replace: true }, when: 'after-that' }],
          keys: [...this.#changed],
          resumable: 'same-call',
        },
      );
    }
    this.#requireNoneLeft(left, others);
  }

  #requireNoneLeft(left: readonly LeftKey[], others: string): void {
    if (this.#leftCount > 0)
      throw leftBehind(left, 'They are unchanged where they are', this.#leftCount, `; ${others}`);
  }
}

/** Names keys, and returns how many of them count: with `isAgain` those that are not named yet. */
function note(named: Set<string>, keys: readonly StoredKey[], isAgain: boolean): number {
  const counted = isAgain ? keys.filter(({ key }) => !named.has(key)) : keys;
  for (const { key } of counted) if (named.size < MOST_NAMED) named.add(key);
  return counted.length;
}

function exampleOf(named: ReadonlySet<string>): string {
  const [first = ''] = named;
  return formatKey(first);
}

/** ClusterError `KEYS_LEFT_BEHIND` for keys that were not written; these are some of them. */
export function leftBehind(
  left: readonly LeftKey[],
  hint: string,
  count: number = left.length,
  others = '',
): ClusterError {
  const isNamed = left.every(({ why }) => why !== 'leaving');
  const naming: Advice = {
    hint: `${hint}. RENAMENX gives a stream its own name again, and so does another move, unless a client has written one of that name since`,
    next: [{ do: 'retry', when: 'repaired' }],
  };
  return new ClusterError(
    'KEYS_LEFT_BEHIND',
    `${count === 1 ? '1 key is' : `${count} keys are`} left behind: ${reasonsOf(left)}${others}`,
    { ...(isNamed ? { hint } : naming), keys: left.map(({ key }) => key) },
  );
}

/** Each reason with an example. */
function reasonsOf(left: readonly LeftKey[]): string {
  const examples = new Map<LeftReason, string>();
  for (const { key, why } of left) if (!examples.has(why)) examples.set(why, key);
  return [...examples].map(([why, key]) => `${leftWords(why)}, for example ${formatKey(key)}`).join('; ');
}
