import type { Command } from '../../../resp/index.ts';
import type { BigKey } from '../../plan/plan.ts';
import { bytesByTime, type KeyWeight, weightOf } from '../cost.ts';
import { askAbout, askSourceIn, type Ends } from '../ends.ts';
import { readSlotKeys, sizesOf } from './key-feed.ts';

/** Keys of a slot that are measured: all if there are no more than so many. */
const [SAMPLE, MOST_OF_ALL] = [2, 6];
/** Slots that are looked at in one write: the source serves others in between. */
const SLOTS_AT_ONCE = 250;
/** A hash of fewer bytes has too few fields to count. */
const LEAST_BYTES = 20_000;
/** A move of less is over before anyone asks how long it takes. */
const LEAST_WEIGHT = 10_000;

/** What the keys of slots weigh, to tell how long the rest of a move takes. */
export interface SlotWeights {
  readonly all: KeyWeight;
  /** Keys of one slot that leave together. */
  readonly of: (slot: number, keys: readonly string[]) => KeyWeight;
}

/** The size of a key. */
export interface KeySize {
  readonly bytes: number;
  /** Bytes of a string that would take as long. */
  readonly cost: number;
}

/** Sizes of keys: the mean in a slot, and those of keys that are moved alone. */
export interface SlotSizes {
  readonly in: (slot: number) => KeySize;
  readonly big: ReadonlyMap<string, KeySize>;
}

/** Sizes if nothing is known but bytes. */
export function plainSizes(mean: number, bigKeys: readonly BigKey[]): SlotSizes {
  const size = (bytes: number): KeySize => ({ bytes, cost: bytes });
  return { in: () => size(mean), big: new Map(bigKeys.map(({ key, bytes }) => [key, size(bytes)])) };
}

/** Weighs slots by their keys, and these by their sizes. */
export function weighSlots(
  slots: readonly number[],
  keysIn: readonly number[],
  sizes: SlotSizes,
): SlotWeights {
  const each = new Map<number, KeyWeight>();
  const all = { bytes: 0, weight: 0 };
  /** What one of so many keys of a slot is. */
  const oneOf = (keys: number, { bytes, cost }: KeySize): KeyWeight => ({
    bytes,
    weight: weightOf({ slots: 1, keys, bytes: keys * cost }) / keys,
  });
  const add = ({ bytes, weight }: KeyWeight, times: number): void => {
    all.bytes += times * bytes;
    all.weight += times * weight;
  };
  for (const [index, slot] of slots.entries()) {
    const keys = keysIn[index] ?? 0;
    if (!keys) continue;
    const one = oneOf(keys, sizes.in(slot));
    each.set(slot, one);
    add(one, keys);
  }
  for (const size of sizes.big.values()) add(oneOf(1, size), 1);
  return {
    all,
    of: (slot, keys) => {
      const big = sizes.big.get(keys[0] ?? '');
      if (big) return oneOf(1, big);
      const { bytes, weight } = each.get(slot) ?? { bytes: 0, weight: 1 };
      return { bytes: keys.length * bytes, weight: keys.length * weight };
    },
  };
}

/**
 * Sizes of keys, from a few of each slot: those of one slot are often much bigger than those of another. Only database 0 is looked at.
 * `plain` if that is not worth it, or the source does not allow it.
 */
export async function sampleSizes(
  ends: Ends,
  slots: readonly number[],
  keysIn: readonly number[],
  plain: SlotSizes,
): Promise<SlotSizes> {
  if (weighSlots(slots, keysIn, plain).all.weight < LEAST_WEIGHT) return plain;
  const filled = slots.map((slot, index) => ({ slot, keys: keysIn[index] ?? 0 })).filter(({ keys }) => keys);
  const means = new Map<number, KeySize>();
  try {
    for (let from = 0; from < filled.length; from += SLOTS_AT_ONCE) {
      const some = filled.slice(from, from + SLOTS_AT_ONCE);
      const listing = some.map(({ slot, keys }): Command => {
        return ['CLUSTER', 'GETKEYSINSLOT', slot, keys > MOST_OF_ALL ? SAMPLE : keys];
      });
      const lists = (await askSourceIn(ends, 0, listing)).map(readSlotKeys);
      const sizes = await look(ends, lists.flat());
      for (const [index, { slot }] of some.entries()) {
        const own = lists[index]?.flatMap((key) => (plain.big.has(key) ? [] : (sizes.get(key) ?? [])));
        if (own?.length) means.set(slot, meanOf(own));
      }
    }
    if (!means.size) return plain;
    const mean = meanOf([...means.values()]);
    const big = await look(ends, [...plain.big.keys()]);
    return { in: (slot) => means.get(slot) ?? mean, big: new Map([...plain.big, ...big]) };
  } catch {
    ends.context.signal?.throwIfAborted();
    return plain;
  }
}

/** Sizes of the keys that are there, of hashes by their fields if the user may count these. */
async function look(ends: Ends, keys: readonly string[]): Promise<Map<string, KeySize>> {
  const found = await sizesOf(ends, 0, keys);
  const large = keys.filter((_, index) => (found[index] ?? 0) >= LEAST_BYTES);
  const fields = large.length ? await askAbout(ends, 'source', 0, ['HLEN'], large) : [];
  const sizes = keys.map((key, index): [string, KeySize] => {
    const bytes = found[index] ?? 0;
    return [key, { bytes, cost: bytesByTime(bytes, Number(fields[large.indexOf(key)]) || 0) }];
  });
  return new Map(sizes.filter(([, { bytes }]) => bytes));
}

function meanOf(sizes: readonly KeySize[]): KeySize {
  const mean = (of: keyof KeySize): number =>
    sizes.reduce((sum, size) => sum + size[of], 0) / (sizes.length || 1);
  return { bytes: mean('bytes'), cost: mean('cost') };
}
