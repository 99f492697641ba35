import { ReplyError } from '../../../resp/index.ts';
import { formatKey } from '../../model/bytes.ts';
import { askAbout, askSourceIn, type Ends } from '../ends.ts';
import { type Again, afterCompare, doubtful, goneFrom } from './after-failure.ts';
import type { Batch } from './batch.ts';
import { type Known, sortConflicts } from './conflict.ts';

/** What failed batches have left on both ends of a move. Rules 22 and 25 (docs/moving-slots.md). */
export class Leftovers {
  /** Keys that were deleted on the source while the target may have had a copy, and that the target still has. */
  readonly inDoubt: string[] = [];
  /** Keys of slots found open that have different values on the two ends. They stay where they are. */
  readonly conflicts: { readonly slot: number; readonly keys: readonly string[] }[] = [];
  readonly #ends: Ends;

  constructor(ends: Ends) {
    this.#ends = ends;
  }

  /**
   * Resolves to the keys that are still on the source. Notes the others if a copy may have stayed on the target. `timeoutMs` is
   * the timeout of the MIGRATE that sweeps expired keys.
   */
  async left(
    batch: Batch,
    { doubt, gone, sweep }: Pick<Again, 'doubt' | 'gone' | 'sweep'>,
    timeoutMs: number,
  ): Promise<readonly string[]> {
    const { keys } = batch;
    const left = await this.#present(batch, keys);
    await this.#noteDoubt(batch, doubtful(doubt, { keys, gone, left }));
    if (sweep) await this.#sweep(batch, goneFrom(keys, left), timeoutMs);
    return left;
  }

  // Keys that were not acknowledged and are gone from the source: the target may still have a copy.
  async #noteDoubt(batch: Batch, vanished: readonly string[]): Promise<void> {
    if (vanished.length === 0) return;
    const replies = await askAbout(this.#ends, 'target', batch.db, ['EXISTS'], vanished);
    // Of slots that it neither owns nor imports it shows no key. Any other error, such as LOADING, says nothing about them.
    for (const reply of replies) if (reply instanceof ReplyError && reply.code !== 'MOVED') throw reply;
    const found = vanished.filter((_, index) => replies[index] === 1);
    if (found.length === 0) return;
    this.inDoubt.push(...found);
    // Report it at once: the move may still end with another error.
    const { context, target } = this.#ends;
    const message = `Keys that were deleted or expired while the answer about them was lost are on ${target.address}: ${found.map(formatKey).join(', ')}`;
    context.emit({ type: 'warning', node: target.address, message });
  }

  // Makes the source delete those of the keys that have expired; it holds no other. An expired key counts until the server
  // deletes it, and a command that is redirected to the target does not make it do so. Only MIGRATE runs in an open slot, and
  // finds the key gone.
  async #sweep({ db }: Batch, keys: readonly string[], timeoutMs: number): Promise<void> {
    if (keys.length === 0) return;
    const { migrateTo, auth } = this.#ends;
    const sweep = ['MIGRATE', migrateTo.host, migrateTo.port, '', db, timeoutMs, ...auth, 'KEYS', ...keys];
    await askSourceIn(this.#ends, db, [sweep]);
  }

  async #present(batch: Batch, keys: readonly string[]): Promise<string[]> {
    const replies = await askAbout(this.#ends, 'source', batch.db, ['EXISTS'], keys);
    for (const reply of replies) if (reply instanceof ReplyError && reply.code !== 'ASK') throw reply;
    return keys.filter((_, index) => replies[index] === 1);
  }

  /** Which keys may be moved if the target holds some, and in which state. The operator decides on those that differ. */
  async withoutConflicts({ slot, db, keys }: Batch, known: Known): Promise<ReturnType<typeof afterCompare>> {
    const { replaceable, different } = await sortConflicts(this.#ends, db, keys, known);
    if (different.length > 0) this.conflicts.push({ slot, keys: different });
    return afterCompare(keys, replaceable, different);
  }
}
