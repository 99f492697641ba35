import { type NodeInfo, numberOf, totalKeys } from '../../nodes/node-info.ts';

/** Less than this part says nothing of the pace. */
const LEAST = 0.01;
/** A sample knows better than the mean of all keys if it finds so many times as much. */
const MUCH_MORE = 1.5;
/** What a source needs to delete a key that it has given away, in the time that a small key takes to arrive: as measured on Valkey 9.1. */
const DELETED_KEY = 0.25;
/** So many bytes of memory take the servers as long to move as a small key: as measured on Valkey 9.1. */
export const BYTES_OF_KEY = 430;
/** Handing over, and noticing it, takes at least this part of a move. */
const LEAST_AT_END = 0.02;

/** What the servers move. */
export interface Bulk {
  readonly keys: number;
  /** How much memory it takes. */
  readonly memory: number;
}

/** How much memory a key takes on average, its places in tables and all, by what a node says of its memory and its keys. */
export function memoryOfKey(info: NodeInfo): number {
  const held = totalKeys(info);
  const memory = numberOf(info, 'used_memory') - numberOf(info, 'used_memory_startup');
  return held === 0 ? 0 : Math.max(0, memory / held);
}

/** What keys will be at the target: what those of their source are on average, unless a sample of them says much more. */
export function bulkOf(keys: number, sampledBytes: number, memoryOfKey: number): Bulk {
  const memory = keys * memoryOfKey;
  return { keys, memory: sampledBytes > MUCH_MORE * memory ? sampledBytes : memory };
}

/** Remembers how much memory a key takes at each source: what a source has given away it frees later, and counts in the meantime. */
export class KeyMemory {
  readonly #known = new Map<string, Promise<number>>();

  /** What it is at this source; `ask` is called once for each. */
  of(sourceId: string, ask: () => Promise<NodeInfo>): Promise<number> {
    // Only tells how long moves take: if the source does not say it now, they find out why.
    const known = this.#known.get(sourceId) ?? ask().then(memoryOfKey, () => 0);
    this.#known.set(sourceId, known);
    return known;
  }
}

/** The part of the time of a move that is still to come when all has arrived. A source that deletes at once answers nobody until it has. */
export function partAtEnd({ keys, memory }: Bulk, deletesAtOnce: boolean): number {
  if (!deletesAtOnce || keys === 0) return LEAST_AT_END;
  const deleting = DELETED_KEY * keys;
  return Math.max(LEAST_AT_END, deleting / (deleting + keys + memory / BYTES_OF_KEY));
}

/**
 * How much of what the servers move to a target has arrived, by how much its memory has grown: they tell nothing of it, and a target counts
 * the keys only once they are all its own. What its clients write in the meantime counts too. Shared by all moves to the target.
 */
export class Arrivals {
  #before: number | undefined;
  #expected = 0;
  #moves = 0;

  /** Begins a move that brings so much. */
  begin({ memory }: Bulk): void {
    if (this.#moves === 0) [this.#before, this.#expected] = [undefined, 0];
    this.#moves += 1;
    this.#expected += memory;
  }

  /** Ends a move, which has brought it or has not. */
  end({ memory }: Bulk, isThere: boolean): void {
    this.#moves -= 1;
    this.#expected -= memory;
    if (isThere && this.#before !== undefined) this.#before += memory;
  }

  /** The part that has arrived of each move, if the target uses so much memory. The first to be told is that before anything arrived. */
  partAt(usedMemory: number): number {
    this.#before ??= usedMemory;
    const part = (usedMemory - this.#before) / this.#expected;
    return part > LEAST ? Math.min(1, part) : 0;
  }
}
