import type { Command } from '../../../resp/index.ts';
import { type KeyWeight, weightOf } from '../cost.ts';
import { askSourceIn, type Ends } from '../ends.ts';
import { readSlotKeys, sizesOf } from './key-feed.ts';

/** Keys of a slot that are measured. */
const SAMPLE = 2;
/** Slots that are looked at in one write: this takes the source less than a millisecond. */
const SLOTS_AT_ONCE = 250;
/** A move of fewer keys is over before anyone asks how long it takes. */
const LEAST_KEYS = 10_000;

/** What the keys of slots weigh, to tell how long the rest of a move takes. */
export interface SlotWeights {
  readonly all: KeyWeight;
  /** Keys of one slot that leave together. */
  readonly of: (slot: number, keys: readonly string[]) => KeyWeight;
}

/** Weighs slots by their keys, and these by their sizes: `bytesOf` one key of a slot, and those of keys that are moved alone. */
export function weighSlots(
  slots: readonly number[],
  keysIn: readonly number[],
  bigKeys: ReadonlyMap<string, number>,
  bytesOf: (slot: number) => number,
): SlotWeights {
  const each = new Map<number, KeyWeight>();
  const all = { bytes: 0, weight: 0 };
  const add = ({ bytes, weight }: KeyWeight, times: number): void => {
    all.bytes += times * bytes;
    all.weight += times * weight;
  };
  for (const [index, slot] of slots.entries()) {
    const keys = keysIn[index] ?? 0;
    if (keys === 0) continue;
    const bytes = bytesOf(slot);
    const one = { bytes, weight: weightOf({ slots: 1, keys, bytes: keys * bytes }) / keys };
    each.set(slot, one);
    add(one, keys);
  }
  const alone = (bytes: number): KeyWeight => ({ bytes, weight: weightOf({ slots: 1, keys: 1, bytes }) });
  for (const bytes of bigKeys.values()) add(alone(bytes), 1);
  return {
    all,
    of: (slot, keys) => {
      const big = bigKeys.get(keys[0] ?? '');
      if (big !== undefined) return alone(big);
      const { bytes, weight } = each.get(slot) ?? { bytes: 0, weight: 1 };
      return { bytes: keys.length * bytes, weight: keys.length * weight };
    },
  };
}

/**
 * Bytes of a key by slot, from a few keys of each: those of one slot are often much bigger than those of another. Only database 0 is
 * looked at. Undefined if that is not worth it, or the source does not allow it.
 */
export async function sampleSizes(
  ends: Ends,
  slots: readonly number[],
  keysIn: readonly number[],
  bigKeys: ReadonlyMap<string, number>,
): Promise<((slot: number) => number) | undefined> {
  if (keysIn.reduce((sum, count) => sum + count, 0) < LEAST_KEYS) return undefined;
  const means = new Map<number, number>();
  const filled = slots.filter((_, index) => (keysIn[index] ?? 0) > 0);
  try {
    for (let at = 0; at < filled.length; at += SLOTS_AT_ONCE) {
      ends.context.signal?.throwIfAborted();
      await measure(ends, filled.slice(at, at + SLOTS_AT_ONCE), bigKeys, means);
    }
  } catch {
    ends.context.signal?.throwIfAborted();
    return undefined;
  }
  const mean = meanOf([...means.values()]);
  return (slot) => means.get(slot) ?? mean;
}

async function measure(
  ends: Ends,
  slots: readonly number[],
  bigKeys: ReadonlyMap<string, number>,
  means: Map<number, number>,
): Promise<void> {
  const listing = slots.map((slot): Command => ['CLUSTER', 'GETKEYSINSLOT', slot, SAMPLE]);
  const lists = await askSourceIn(ends, 0, listing);
  const samples = slots.map((_, index) => readSlotKeys(lists[index]).filter((key) => !bigKeys.has(key)));
  const sizes = await sizesOf(ends, 0, samples.flat());
  let at = 0;
  for (const [index, { length }] of samples.entries()) {
    const own = sizes.slice(at, at + length).filter((bytes) => bytes > 0);
    at += length;
    if (own.length > 0) means.set(slots[index] ?? 0, meanOf(own));
  }
}

function meanOf(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
