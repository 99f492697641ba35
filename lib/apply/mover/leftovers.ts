import { ReplyError } from '../../../resp/index.ts';
import { formatKey } from '../../model/bytes.ts';
import type { Batch, BatchEnd } from './batch.ts';
import { sortConflicts } from './conflict.ts';
import { askAbout, askSourceIn, type Link } from './link.ts';

/** What batches that did not go through have left on both ends of a link. */
export class Leftovers {
  /** Keys that were deleted on the source at a moment when the target may have had a copy, and which the target has. */
  readonly inDoubt: string[] = [];
  /** Keys of slots that were found open which have different values on both sides: they stay where they are. */
  readonly conflicts: { readonly slot: number; readonly keys: readonly string[] }[] = [];
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** Which of the keys are still on the source. Notes those that are not, and that may have been copied. */
  async left(
    batch: Batch,
    keys: readonly string[],
    end: BatchEnd,
    mayBeCopied: boolean,
  ): Promise<readonly string[]> {
    const left = await this.#present(batch, keys);
    if (end.type !== 'failed' || !mayBeCopied) return left;
    const isLeft = new Set(left);
    // Keys leave the source in the order they are given; but of those that the target refuses, which may be any of them.
    const vanished = (isUnsettled(end) ? keys.slice(end.gone) : keys).filter((key) => !isLeft.has(key));
    if (isUnsettled(end) || vanished.length > end.gone) await this.#noteDoubt(batch, vanished);
    return left;
  }

  // Keys that were not acknowledged and are gone from the source: a copy of one may have stayed on the target.
  async #noteDoubt(batch: Batch, vanished: readonly string[]): Promise<void> {
    if (vanished.length === 0) return;
    const replies = await askAbout(this.#link, 'target', batch.db, ['EXISTS'], vanished);
    const found = vanished.filter((_, index) => replies[index] === 1);
    if (found.length === 0) return;
    this.inDoubt.push(...found);
    // Told at once: the move may yet end with another error.
    const { context, target } = this.#link;
    const message = `Keys that were deleted or expired while the answer about them was lost are on ${target.address}: ${found.map(formatKey).join(', ')}`;
    context.emit({ type: 'warning', node: target.address, message });
  }

  async #present(batch: Batch, keys: readonly string[]): Promise<string[]> {
    const replies = await askAbout(this.#link, 'source', batch.db, ['EXISTS'], keys);
    for (const reply of replies) if (reply instanceof ReplyError && reply.code !== 'ASK') throw reply;
    return keys.filter((_, index) => replies[index] === 1);
  }

  /**
   * Which of the keys are still on the source, where a client has deleted some. `timeoutMs`: MIGRATE's own.
   * A key that has expired counts until the server gets to it, and no command does that which is sent on to
   * the target: MIGRATE alone is run where the slot is open, and finds that the key is gone.
   */
  async withoutVanished(
    batch: Batch,
    keys: readonly string[],
    mayBeCopied: boolean,
    timeoutMs: number,
  ): Promise<readonly string[]> {
    const left = await this.#present(batch, keys);
    const isLeft = new Set(left);
    const vanished = keys.filter((key) => !isLeft.has(key));
    if (mayBeCopied) await this.#noteDoubt(batch, vanished);
    const { migrateTo, auth } = this.#link;
    const { host, port } = migrateTo;
    const sweep = ['MIGRATE', host, port, '', batch.db, timeoutMs, ...auth, 'KEYS', ...vanished];
    if (vanished.length > 0) await askSourceIn(this.#link, batch.db, [sweep]);
    return left;
  }

  /**
   * Which of the keys may be moved where the target holds some, and whether what it holds may be overwritten: a copy that is
   * the same; one that is not is for people to decide on.
   */
  async withoutConflicts(batch: Batch, keys: readonly string[]): Promise<[readonly string[], boolean]> {
    const { same, different } = await sortConflicts(this.#link, batch.db, keys);
    if (different.length === 0) return [keys, same.length > 0];
    this.conflicts.push({ slot: batch.slot, keys: different });
    const isDifferent = new Set(different);
    return [keys.filter((key) => !isDifferent.has(key)), same.length > 0];
  }
}

/** True where the target may have copies of keys that are still on the source, or get them yet. */
export function isUnsettled({ type, error }: BatchEnd & { readonly error: Error }): boolean {
  return type === 'lost' || (type === 'failed' && /IOERR/.test(error.message));
}
