import type { Command } from '../../../resp/index.ts';
import { badReply } from '../../errors.ts';
import { askAbout, askSourceIn, type Ends } from '../ends.ts';
import type { Batch } from './batch.ts';
import type { BatchSize } from './pacer.ts';

/** Keys that one round of GETKEYSINSLOT lists: listing blocks the source too. */
const LIST_KEYS = 1000;

/** What is known of a slot before its keys are listed. */
export interface SlotContent {
  readonly slot: number;
  readonly db: number;
  readonly count: number;
}

/** A batch, with the sizes of its keys if they were asked for. */
export interface SizedBatch extends Batch {
  /** Bytes by MEMORY USAGE. */
  readonly bytes?: number;
}

interface Listed {
  readonly slot: number;
  readonly db: number;
  readonly keys: readonly string[];
  readonly sizes: readonly number[] | undefined;
  from: number;
}

/** Lists the keys of open slots ahead of the lanes that move them, and cuts them into batches. */
export class KeyFeed {
  readonly #ends: Ends;
  readonly #unlisted: SlotContent[];
  readonly #bigKeys: ReadonlyMap<string, number>;
  readonly #wantsSizes: () => boolean;
  readonly #listed: Listed[] = [];
  #keysAhead = 0;
  #listing: Promise<void> | undefined;

  /** `bigKeys`: bytes of keys that are moved alone. `wantsSizes`: whether to ask for sizes. */
  constructor(
    ends: Ends,
    slots: readonly SlotContent[],
    bigKeys: ReadonlyMap<string, number>,
    wantsSizes: () => boolean,
  ) {
    this.#ends = ends;
    this.#unlisted = [...slots];
    this.#bigKeys = bigKeys;
    this.#wantsSizes = wantsSizes;
  }

  /** The next keys to move, all of one slot; undefined once all are taken. A slot may have grown since it was listed. */
  async next(size: BatchSize): Promise<SizedBatch | undefined> {
    if (this.#unlisted.length > 0 && this.#keysAhead < LIST_KEYS / 2)
      void this.#list().catch(() => undefined);
    while (this.#listed.length === 0) {
      if (this.#unlisted.length === 0 && this.#listing === undefined) return undefined;
      await this.#list();
    }
    const listed = this.#listed[0] as Listed;
    const batch = this.#cut(listed, size);
    if (listed.from >= listed.keys.length) this.#listed.shift();
    return batch;
  }

  #cut(listed: Listed, { keys: mostKeys, bytes: mostBytes }: BatchSize): SizedBatch {
    const { slot, db, keys, sizes } = listed;
    const first = listed.from;
    const left = keys.length - first;
    // Parts of about equal size: as few as possible, and each as short as possible.
    const part = Math.ceil(left / Math.ceil(left / mostKeys));
    const isSizeless = sizes === undefined && this.#bigKeys.size === 0;
    let [end, bytes] = [isSizeless ? first + part : first, 0];
    while (end < keys.length && end - first < part) {
      const big = this.#bigKeys.get(keys[end] as string);
      const size = big ?? sizes?.[end] ?? 0;
      if (end > first && (big !== undefined || bytes + size > mostBytes)) break;
      bytes += size;
      end += 1;
      if (big !== undefined) break;
    }
    listed.from = end;
    this.#keysAhead -= end - first;
    const isSized = sizes !== undefined || bytes > 0;
    return { slot, db, keys: keys.slice(first, end), ...(isSized ? { bytes } : {}) };
  }

  #list(): Promise<void> {
    this.#listing ??= this.#listSome().finally(() => {
      this.#listing = undefined;
    });
    return this.#listing;
  }

  async #listSome(): Promise<void> {
    const [first] = this.#unlisted;
    if (!first) return;
    const group: SlotContent[] = [];
    for (let [at, keys] = [0, 0]; at < this.#unlisted.length && keys < LIST_KEYS; at++) {
      const item = this.#unlisted[at] as SlotContent;
      if (item.db !== first.db) break;
      group.push(item);
      keys += Math.max(1, item.count);
    }
    this.#unlisted.splice(0, group.length);
    const commands = group.map(({ slot }): Command => ['CLUSTER', 'GETKEYSINSLOT', slot, LIST_KEYS]);
    const replies = await askSourceIn(this.#ends, first.db, commands);
    const listed = group
      .map(({ slot, db }, index) => ({ slot, db, keys: readSlotKeys(replies[index]) }))
      .filter(({ keys }) => keys.length > 0);
    // For all slots in one request: each request has to wait for the batch in flight.
    const allKeys = () => listed.flatMap(({ keys }) => keys);
    const sizes = this.#wantsSizes() ? await sizesOf(this.#ends, first.db, allKeys()) : undefined;
    let from = 0;
    for (const each of listed) {
      const end = from + each.keys.length;
      this.#listed.push({ ...each, sizes: sizes?.slice(from, end), from: 0 });
      from = end;
    }
    this.#keysAhead += from;
  }
}

/** Bytes of keys by MEMORY USAGE; 0 for one that is gone. */
export async function sizesOf(ends: Ends, db: number, keys: readonly string[]): Promise<number[]> {
  const replies = await askAbout(ends, 'source', db, ['MEMORY', 'USAGE'], keys);
  return replies.map((reply) => (typeof reply === 'number' ? reply : 0));
}

/** Reads the reply of GETKEYSINSLOT. */
export function readSlotKeys(reply: unknown): string[] {
  if (Array.isArray(reply) && reply.every((key) => typeof key === 'string')) return reply;
  throw reply instanceof Error ? reply : badReply('GETKEYSINSLOT did not return a list');
}
