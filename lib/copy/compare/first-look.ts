import { ReplyError } from '../../../resp/index.ts';
import { slotOfKey } from '../../model/slot.ts';
import { bigApart, type Lot, lots, measureKeys } from '../read-keys.ts';
import type { KeyLot } from '../scan-keys.ts';
import { PASSING } from '../write-keys.ts';
import { compareBigKey } from './both-sides.ts';
import type { DifferenceTally } from './difference-tally.ts';
import type { NameSums } from './name-sums.ts';
import { compareReadings } from './reading.ts';
import type { Side } from './side.ts';
import { sameString } from './strings.ts';
import type { Suspects } from './suspects.ts';

/** Most keys that are read at once. A server handles 16 kB of commands, then other clients. */
const READ_AT_ONCE = 500;
/** Keys that are read at first. */
const FEWEST = 16;
/** Bytes that are to be read at once, from both sides. */
const READ_BYTES = 1024 * 1024;
/** If fewer than this share of keys are the same strings on both sides, it is not worth it to look for strings first. */
const WORTH = 1 / 4;
/** After so many times as many keys, it is tried again. */
const AGAIN_AFTER = 20;

/**
 * So many keys are asked for their length first, not to read strings that are too large for that: at first, and after a value of this length. To ask
 * for all of them would cost a quarter of the comparison.
 */
const [MEASURED_FIRST, MEASURED_AFTER, LARGE_BYTES] = [1000, 100_000, 64 * 1024];

/** Where what is found goes. */
interface Finds {
  readonly tally: DifferenceTally;
  readonly suspects: Suspects;
  /** Takes the names of keys that both sides have. */
  readonly shared: NameSums;
}

/** Keys of one lot, with the database that they are compared with. */
interface Part extends KeyLot {
  readonly to: number;
  readonly slots: readonly number[];
}

/**
 * Looks at the keys of the first side for the first time. How many are read at once follows from the size of those before: to
 * measure each would cost half as much as to read it.
 */
export class FirstLook {
  readonly #one: Side;
  readonly #other: Side;
  readonly #finds: Finds;
  #atOnce = FEWEST;
  /** Keys that are still to be read without looking for strings. */
  #plain = 0;
  /** Keys that are still to be measured. */
  #measured = MEASURED_FIRST;

  constructor(one: Side, other: Side, finds: Finds) {
    this.#one = one;
    this.#other = other;
    this.#finds = finds;
  }

  async compareLot({ keys, ...lot }: KeyLot, to: number): Promise<void> {
    for (let at = 0; at < keys.length; ) {
      const some = keys.slice(at, at + this.#atOnce);
      at += some.length;
      let bytes = 0;
      for (const { keys: own, isBig } of await this.#measure(lot.db, to, some)) {
        if (isBig && (await this.#compareInParts(lot.db, to, own[0] ?? ''))) continue;
        bytes += await this.#compare({ ...lot, to, keys: own, slots: own.map(slotOfKey) });
      }
      const fit = Math.floor((READ_BYTES * some.length) / Math.max(1, bytes));
      this.#atOnce = Math.max(1, Math.min(READ_AT_ONCE, fit, 2 * this.#atOnce));
    }
  }

  async #measure(db: number, to: number, keys: string[]): Promise<Iterable<Lot>> {
    if (this.#measured <= 0) return [{ keys, isBig: false }];
    this.#measured -= keys.length;
    const [mine, theirs] = await Promise.all([
      this.#one.sizes(db, keys, ['STRLEN']),
      this.#other.sizes(to, keys, ['STRLEN']),
    ]);
    const sizes = mine.map((size, index) => Math.max(size, theirs[index] ?? 0));
    if (sizes.some((size) => size > LARGE_BYTES)) this.#measured = MEASURED_AFTER;
    return lots(keys, sizes);
  }

  /** Compares keys of any type. A DUMP costs so much more than a string that they are measured before. */
  async #compareOthers(part: Omit<Part, 'slots'>): Promise<number> {
    const { db, to, keys, reader } = part;
    let bytes = 0;
    for (const lot of bigApart(keys, await measureKeys(reader, keys))) {
      if (lot.isBig && (await this.#compareInParts(db, to, lot.keys[0] ?? ''))) continue;
      bytes += await this.#compareDumps({ ...part, ...lot, slots: lot.keys.map(slotOfKey) });
    }
    return bytes;
  }

  /** Resolves to false if the key has to be read whole. */
  async #compareInParts(db: number, to: number, key: string): Promise<boolean> {
    const state = await compareBigKey({ one: this.#one, other: this.#other, db, to }, key);
    if (state === undefined) return false;
    // It was deleted since it was listed.
    if (state === 'gone') return true;
    const { tally, suspects, shared } = this.#finds;
    const slot = slotOfKey(key);
    tally.read(slot, state === 'same');
    if (state !== 'missing' && state !== 'surplus') shared.add(slot, db, key);
    if (state !== 'same') suspects.add(db, key, { isListed: true, state });
    return true;
  }

  /** Resolves to the bytes that were read from both sides. */
  async #compare(part: Part): Promise<number> {
    if (this.#plain > 0) {
      this.#plain -= part.keys.length;
      return this.#compareOthers(part);
    }
    const { keys, slots, db, to, reader } = part;
    const [mine, theirs] = await Promise.all([
      this.#one.stringsOn(reader, db, keys, slots),
      this.#other.strings(to, keys, slots),
    ]);
    const left: string[] = [];
    let bytes = 0;
    for (const [place, key] of keys.entries()) {
      const slot = slots[place] ?? 0;
      const size = (mine.values[place]?.length ?? 0) + (theirs.values[place]?.length ?? 0);
      if (size > LARGE_BYTES) this.#measured = MEASURED_AFTER;
      bytes += size;
      if (sameString(mine, theirs, place)) {
        this.#finds.tally.read(slot, true);
        this.#finds.shared.add(slot, db, key);
      } else left.push(key);
    }
    if (mine.isRefused || theirs.isRefused) this.#plain = Number.POSITIVE_INFINITY;
    else if (left.length > keys.length * (1 - WORTH)) this.#plain = keys.length * AGAIN_AFTER;
    return bytes + (await this.#compareOthers({ ...part, keys: left }));
  }

  async #compareDumps({ db, to, keys, slots, reader, onElsewhere }: Part): Promise<number> {
    const { tally, suspects, shared } = this.#finds;
    const [mine, theirs] = await Promise.all([
      this.#one.readOn(reader, db, keys),
      this.#other.read(to, keys),
    ]);
    let bytes = 0;
    for (const [index, key] of keys.entries()) {
      const own = mine[index];
      if (own === undefined) continue;
      if (own instanceof ReplyError) {
        if (!onElsewhere || !PASSING.has(own.code)) throw own;
        onElsewhere(key);
        continue;
      }
      const slot = slots[index] ?? 0;
      const their = theirs[index];
      bytes += (own.dump?.length ?? 0) + (their?.dump?.length ?? 0);
      if (own.dump !== undefined && their?.dump !== undefined) shared.add(slot, db, key);
      const state = their && compareReadings(own, their);
      const isSame = their !== undefined && state === undefined;
      // It was deleted since it was listed. If the second side has it, it is found there.
      if (own.dump === undefined && isSame) continue;
      tally.read(slot, isSame);
      if (!isSame) suspects.add(db, key, { isListed: true, state });
    }
    return bytes;
  }
}
