import { slotOfKey } from '../../model/slot.ts';
import { scanKeys } from '../scan-keys.ts';
import type { DifferenceTally } from './difference-tally.ts';
import { FirstLook } from './first-look.ts';
import { NameSums, newSeeds } from './name-sums.ts';
import type { Side } from './side.ts';
import { Suspects } from './suspects.ts';

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
  const suspects = new Suspects(one, other, comparing);
  const seeds = newSeeds();
  const shared = new NameSums(seeds);
  const first = new FirstLook(one, other, { tally, suspects, shared });
  const partners = new Map(databases.map(({ db, to }) => [db, to]));
  await scanKeys(one.source, {
    what: `compare ${one.source.name}`,
    databases: [...partners.keys()],
    listing: { isNamesOnly: true },
    onAgain: (slots) => {
      tally.readAgain(slots);
      suspects.forget(new Set(slots));
      shared.forget(slots);
    },
    visit: async (lot) => {
      await admit(lot.keys.length);
      await first.compareLot(lot, partners.get(lot.db) ?? 0);
      tally.progress(lot.keys.length);
      await suspects.settleIfMany();
    },
  });
  const surplus = new Surplus(one, other, comparing, suspects);
  await surplus.find(await surplus.slotsBeside(shared, new NameSums(seeds)));
  await suspects.settle();
}

/** Looks for keys that only the second side has. */
class Surplus {
  readonly #one: Side;
  readonly #other: Side;
  readonly #comparing: Comparing;
  readonly #suspects: Suspects;
  /** For each database of the second side, that of the first. */
  readonly #origins: ReadonlyMap<number, number>;

  constructor(one: Side, other: Side, comparing: Comparing, suspects: Suspects) {
    this.#one = one;
    this.#other = other;
    this.#comparing = comparing;
    this.#suspects = suspects;
    this.#origins = new Map(comparing.databases.map(({ db, to }) => [to, db]));
  }

  /**
   * Slots of the second side with other names than those that both sides have: some may be surplus. To list names costs
   * a tenth of asking the first side for each of them.
   */
  async slotsBeside(shared: NameSums, sums: NameSums): Promise<Set<number>> {
    const { tally, admit } = this.#comparing;
    await scanKeys(this.#other.source, {
      what: `compare ${this.#other.source.name}`,
      databases: [...this.#origins.keys()],
      listing: { isNamesOnly: true },
      onAgain: (slots) => sums.forget(slots),
      visit: async ({ db: to, keys }) => {
        await admit(keys.length);
        const db = this.#origins.get(to) ?? 0;
        for (const key of keys) sums.add(slotOfKey(key), db, key);
        tally.progress(keys.length);
      },
    });
    return sums.differing(shared);
  }

  /** Asks the first side for every key of the second in these slots. */
  async find(slots: ReadonlySet<number>): Promise<void> {
    if (slots.size === 0) return;
    const { tally, admit } = this.#comparing;
    await scanKeys(this.#other.source, {
      what: `compare ${this.#other.source.name}`,
      databases: [...this.#origins.keys()],
      listing: { isNamesOnly: true },
      visit: async ({ db: to, keys }) => {
        const some = keys.filter((key) => slots.has(slotOfKey(key)));
        await admit(some.length);
        const db = this.#origins.get(to) ?? 0;
        const have = await this.#one.have(db, some);
        for (const [index, key] of some.entries()) {
          const state = have[index] === false ? 'surplus' : undefined;
          if (have[index] !== true) this.#suspects.add(db, key, { isListed: false, state });
        }
        tally.progress(0);
        await this.#suspects.settleIfMany();
      },
    });
  }
}
