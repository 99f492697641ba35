import { ReplyError } from '../../../resp/index.ts';
import type { KeyState } from '../../model/key-difference.ts';
import { pause } from '../../nodes/wait-until.ts';
import { lots, slotOfKey } from '../read-keys.ts';
import { type KeyLot, scanKeys } from '../scan-keys.ts';
import { PASSING } from '../write-keys.ts';
import type { DifferenceTally } from './difference-tally.ts';
import { compareReadings } from './reading.ts';
import type { Side } from './side.ts';

/** Most keys that wait to be looked at again: then they are, before more are read. */
const MOST_WAITING = 10_000;
/** Most bytes of their names. */
const MOST_WAITING_BYTES = 8 * 1024 * 1024;
/** Most keys that are read at once. A server handles 16 kB of commands, then other clients. */
const READ_AT_ONCE = 500;
/** Keys that are read at first. */
const FEWEST = 16;
/** Bytes that are to be read at once, from both sides. */
const READ_BYTES = 1024 * 1024;
/** Names that are measured at once before they are looked at again. */
const MEASURED_AT_ONCE = 1000;
/** For what is being written to reach the other side. */
const PAUSE_MS = 500;

/** What to compare, and how. */
export interface Comparing {
  /** Databases of the first side, each with the one of the second that it is compared with. */
  readonly databases: readonly { readonly db: number; readonly to: number }[];
  /** How often a key that differs is looked at, at most. */
  readonly rounds: number;
  readonly tally: DifferenceTally;
  /** Resolves when so many keys may be read. */
  readonly admit: (keys: number) => Promise<void>;
}

/**
 * Reads every key of the first side from both, then looks for keys that only the second has. Keys that differ are looked at again:
 * what is being written is the same after a while. No names are kept but of those that differ, and of these only so many.
 */
export async function compareSides(one: Side, other: Side, comparing: Comparing): Promise<void> {
  const { databases, tally, admit } = comparing;
  const waiting = new Waiting(one, other, comparing);
  const first = new FirstLook(one, other, tally, waiting);
  const partners = new Map(databases.map(({ db, to }) => [db, to]));
  const origins = new Map(databases.map(({ db, to }) => [to, db]));
  await scanKeys(one.source, {
    what: `compare ${one.source.name}`,
    databases: [...partners.keys()],
    listing: { isNamesOnly: true },
    onAgain: (slots) => {
      tally.readAgain(slots);
      waiting.forget(new Set(slots));
    },
    visit: async (lot) => {
      await admit(lot.keys.length);
      await first.compareLot(lot, partners.get(lot.db) ?? 0);
      tally.progress(lot.keys.length);
      await waiting.settleIfMany();
    },
  });
  await scanKeys(other.source, {
    what: `compare ${other.source.name}`,
    databases: [...origins.keys()],
    listing: { isNamesOnly: true },
    visit: async ({ db: to, keys }) => {
      await admit(keys.length);
      const db = origins.get(to) ?? 0;
      const have = await one.have(db, keys);
      for (const [index, key] of keys.entries()) {
        if (have[index] !== true)
          waiting.add(db, key, { isListed: false, state: have[index] === false ? 'surplus' : undefined });
      }
      tally.progress(keys.length);
      await waiting.settleIfMany();
    },
  });
  await waiting.settle();
}

/**
 * Looks at the keys of the first side for the first time. How many are read at once follows from the size of those before: to
 * measure each would cost half as much as to read it.
 */
class FirstLook {
  readonly #one: Side;
  readonly #other: Side;
  readonly #tally: DifferenceTally;
  readonly #waiting: Waiting;
  #atOnce = FEWEST;

  constructor(one: Side, other: Side, tally: DifferenceTally, waiting: Waiting) {
    this.#one = one;
    this.#other = other;
    this.#tally = tally;
    this.#waiting = waiting;
  }

  async compareLot({ keys, ...lot }: KeyLot, to: number): Promise<void> {
    for (let at = 0; at < keys.length; ) {
      const some = keys.slice(at, at + this.#atOnce);
      at += some.length;
      const bytes = await this.#compare({ ...lot, keys: some }, to);
      const fit = Math.floor((READ_BYTES * some.length) / Math.max(1, bytes));
      this.#atOnce = Math.max(1, Math.min(READ_AT_ONCE, fit, 2 * this.#atOnce));
    }
  }

  /** Resolves to the bytes that were read from both sides. */
  async #compare({ db, keys, reader, onElsewhere }: KeyLot, to: number): Promise<number> {
    const [mine, theirs] = await Promise.all([this.#one.readOn(reader, keys), this.#other.read(to, keys)]);
    let bytes = 0;
    for (const [index, key] of keys.entries()) {
      const own = mine[index];
      if (own === undefined) continue;
      if (own instanceof ReplyError) {
        if (!onElsewhere || !PASSING.has(own.code)) throw own;
        onElsewhere(key);
        continue;
      }
      const slot = slotOfKey(key);
      const their = theirs[index];
      bytes += (own.dump?.length ?? 0) + (their?.dump?.length ?? 0);
      const state = their && compareReadings(own, their);
      const isSame = their !== undefined && state === undefined;
      // It was deleted since it was listed. If the second side has it, it is found there.
      if (own.dump === undefined && isSame) continue;
      this.#tally.read(slot, isSame);
      if (!isSame) this.#waiting.add(db, key, { isListed: true, state });
    }
    return bytes;
  }
}

interface Suspect {
  /** The first side had it. */
  readonly isListed: boolean;
  /** How it differed; undefined if a side did not serve it. */
  readonly state: KeyState | undefined;
}

/** Keys that differed when they were last looked at. */
class Waiting {
  readonly #one: Side;
  readonly #other: Side;
  readonly #comparing: Comparing;
  /** By database and key. */
  #keys = new Map<number, Map<string, Suspect>>();
  #count = 0;
  #bytes = 0;
  #settling: Promise<void> = Promise.resolve();

  constructor(one: Side, other: Side, comparing: Comparing) {
    this.#one = one;
    this.#other = other;
    this.#comparing = comparing;
  }

  add(db: number, key: string, suspect: Suspect): void {
    const keys = this.#keys.get(db) ?? new Map<string, Suspect>();
    this.#keys.set(db, keys);
    const known = keys.get(key);
    if (!known) {
      this.#count += 1;
      this.#bytes += key.length;
    }
    keys.set(key, { ...suspect, isListed: suspect.isListed || known?.isListed === true });
  }

  /** Keys of these slots are read again anyway: they would count twice. */
  forget(slots: ReadonlySet<number>): void {
    for (const keys of this.#keys.values()) {
      for (const key of keys.keys()) {
        if (!slots.has(slotOfKey(key)) || !keys.delete(key)) continue;
        this.#count -= 1;
        this.#bytes -= key.length;
      }
    }
  }

  /** Looks at them again if no more may wait. All who ask wait for that. */
  async settleIfMany(): Promise<void> {
    if (this.#count >= MOST_WAITING || this.#bytes >= MOST_WAITING_BYTES) await this.settle();
    else await this.#settling;
  }

  async settle(): Promise<void> {
    const taken = this.#keys;
    this.#keys = new Map();
    this.#count = 0;
    this.#bytes = 0;
    const before = this.#settling;
    this.#settling = before.then(() => this.#settleAll(taken));
    await this.#settling;
  }

  async #settleAll(databases: ReadonlyMap<number, ReadonlyMap<string, Suspect>>): Promise<void> {
    const { rounds, tally, databases: pairs } = this.#comparing;
    const { signal } = this.#one.source.context;
    for (const { db, to } of pairs) {
      let left = databases.get(db) ?? new Map<string, Suspect>();
      for (let round = 1; left.size > 0; round++) {
        const still = round === 1 ? left : await this.#stillDiffering(db, to, left, signal);
        const known = [...still].flatMap(([key, { state }]) => (state === undefined ? [] : [{ key, state }]));
        if (round >= rounds) for (const { key, state } of known) tally.differ({ db, key, state });
        left = round < rounds ? still : new Map([...still].filter(([, { state }]) => state === undefined));
        // What a side did not serve is looked at at once.
        if (left.size > 0 && round < rounds) await pause(PAUSE_MS, signal);
        signal?.throwIfAborted();
      }
    }
  }

  async #stillDiffering(
    db: number,
    to: number,
    suspects: ReadonlyMap<string, Suspect>,
    signal: AbortSignal | undefined,
  ): Promise<Map<string, Suspect>> {
    const still = new Map<string, Suspect>();
    const names = [...suspects.keys()];
    for (let at = 0; at < names.length; at += MEASURED_AT_ONCE) {
      const some = names.slice(at, at + MEASURED_AT_ONCE);
      const [own, their] = await Promise.all([this.#one.sizes(db, some), this.#other.sizes(to, some)]);
      const sizes = own.map((size, index) => size + (their[index] ?? 0));
      for (const lot of lots(some, sizes)) {
        signal?.throwIfAborted();
        const states = await this.#lookAgain(db, to, lot);
        for (const [index, key] of lot.entries()) {
          const [state, isListed] = [states[index], suspects.get(key)?.isListed === true];
          if (state !== undefined) still.set(key, { isListed, state });
          else if (isListed) this.#comparing.tally.settle(slotOfKey(key));
        }
      }
    }
    return still;
  }

  async #lookAgain(db: number, to: number, keys: readonly string[]): Promise<(KeyState | undefined)[]> {
    const [mine, theirs] = await Promise.all([this.#one.readAll(db, keys), this.#other.readAll(to, keys)]);
    return keys.map((_, index) => {
      const [own, their] = [mine[index], theirs[index]];
      return own && their ? compareReadings(own, their) : undefined;
    });
  }
}
