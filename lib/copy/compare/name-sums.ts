import { randomBytes } from 'node:crypto';
import { SLOT_COUNT } from '../../model/slot.ts';

/** Start values of the two hashes of a name. They differ with every comparison: nobody can choose names that collide. */
export type Seeds = readonly [number, number];

export function newSeeds(): Seeds {
  const bytes = randomBytes(8);
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}

/**
 * The number of names in each slot, and a sum of their hashes of 64 bits: two sets of names are the same if these are, but for a
 * chance of one in 2^64. It takes the same memory for any number of names.
 */
export class NameSums {
  readonly #seeds: Seeds;
  readonly #counts = new Uint32Array(SLOT_COUNT);
  readonly #first = new Uint32Array(SLOT_COUNT);
  readonly #second = new Uint32Array(SLOT_COUNT);

  constructor(seeds: Seeds) {
    this.#seeds = seeds;
  }

  /** Adds a name of a database, given as latin1. */
  add(slot: number, db: number, name: string): void {
    let [one, two] = this.#seeds;
    if (db > 0) [one, two] = [one ^ mixed(db), two ^ mixed(db ^ one)];
    for (let at = 0; at < name.length; at++) {
      const byte = name.charCodeAt(at);
      one = Math.imul(one ^ byte, 0x01000193);
      two = Math.imul(two ^ byte, 0x85ebca6b);
      two = (two << 13) | (two >>> 19);
    }
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1;
    this.#first[slot] = (this.#first[slot] ?? 0) + mixed(one ^ name.length);
    this.#second[slot] = (this.#second[slot] ?? 0) + mixed(two);
  }

  /** The names of these slots are added again. */
  forget(slots: Iterable<number>): void {
    for (const slot of slots) for (const sums of [this.#counts, this.#first, this.#second]) sums[slot] = 0;
  }

  /** Slots that do not have the same names as in these sums, which must have the same seeds. */
  differing(others: NameSums): Set<number> {
    const found = new Set<number>();
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      const isSame =
        this.#counts[slot] === others.#counts[slot] &&
        this.#first[slot] === others.#first[slot] &&
        this.#second[slot] === others.#second[slot];
      if (!isSame) found.add(slot);
    }
    return found;
  }
}

/** Makes every bit depend on every other (the last steps of MurmurHash3): sums of what FNV gives would collide more often. */
function mixed(hash: number): number {
  let mixing = hash ^ (hash >>> 16);
  mixing = Math.imul(mixing, 0x85ebca6b);
  mixing ^= mixing >>> 13;
  mixing = Math.imul(mixing, 0xc2b2ae35);
  return (mixing ^ (mixing >>> 16)) >>> 0;
}
