import type { Address } from '../model/address.ts';
import type { LeftKeys, LeftReason } from '../model/left-keys.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import { askRdbSupport } from '../nodes/rdb-support.ts';
import { convertDump } from '../rdb/convert.ts';
import type { StoredKey } from './write-keys.ts';

/** Keys that were converted for their target, and those that it cannot hold. */
export interface Conversion {
  readonly keys: readonly StoredKey[];
  /** Number of keys whose value is written in another format than the source's. */
  readonly converted: number;
  readonly left: readonly LeftKey[];
}

/** A key that stays where it is. */
export interface LeftKey {
  readonly key: string;
  readonly why: LeftReason;
}

/** How keys would be written, without the keys that expire first. */
export interface Outlook {
  /** Number of keys whose value is to be written in another format than the source's. */
  readonly converted: number;
  readonly left: readonly LeftKeys[];
}

const MOST_EXAMPLES = 10;

/** Counts how keys would be written. */
export class OutlookTally {
  #converted = 0;
  readonly #left = new Map<LeftReason, { keys: number; readonly examples: string[] }>();

  convert(keys: number): void {
    this.#converted += keys;
  }

  leave({ key, why }: LeftKey): void {
    const found = this.#left.get(why) ?? { keys: 0, examples: [] };
    found.keys += 1;
    if (found.examples.length < MOST_EXAMPLES) found.examples.push(key);
    this.#left.set(why, found);
  }

  add({ converted, left }: Pick<Conversion, 'converted' | 'left'>): void {
    this.convert(converted);
    for (const one of left) this.leave(one);
  }

  get outlook(): Outlook {
    return { converted: this.#converted, left: [...this.#left].map(([why, found]) => ({ why, ...found })) };
  }
}

/**
 * The RDB versions that these masters read: each appears once. Those of masters that refuse to say are left out: they are sent
 * what the source wrote.
 */
export async function askRdbVersions(context: Context, masters: readonly Address[]): Promise<number[]> {
  const found = await inParallel(masters, (address) => askRdbSupport(context.connections, address));
  return [...new Set(found.map(({ rdb }) => rdb).filter((version) => version !== undefined))];
}

/** Converts keys, where needed, to what servers of all these RDB versions read. */
export function convertKeys(keys: readonly StoredKey[], readers: readonly number[]): Conversion {
  const fit: StoredKey[] = [];
  const left: LeftKey[] = [];
  let converted = 0;
  for (const stored of keys) {
    const found = convertDump(stored.dump, readers);
    if (found.dump === undefined) left.push({ key: stored.key, why: found.why });
    else if (found.how === 'as-is') fit.push(stored);
    else {
      converted += 1;
      fit.push({ ...stored, converted: found.dump });
    }
  }
  return { keys: fit, converted, left };
}
