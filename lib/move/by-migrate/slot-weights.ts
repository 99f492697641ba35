import type { Command } from '../../../resp/index.ts';
import { bytesByTime, type KeyWeight, weightOf } from '../cost.ts';
import { askAbout, askSourceIn, type Ends } from '../ends.ts';
import { readSlotKeys, sizesOf } from './key-feed.ts';

/** Keys of a slot that are measured; of a slot that is much heavier than the mean all, if there are no more than so many. */
const [SAMPLE, MOST_OF_HEAVY] = [2, 20];
const HEAVY = 2;
/** Keys that are measured in one write: this takes the source less than a millisecond. */
const KEYS_AT_ONCE = 500;
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
  readonly byTime: number;
}

/** Sizes of keys: the mean in a slot, and those of keys that are moved alone. */
export interface SlotSizes {
  readonly in: (slot: number) => KeySize;
  readonly big: ReadonlyMap<string, KeySize>;
}

/** Sizes if nothing is known but this. */
export function plainSizes(mean: number, bigKeys: ReadonlyMap<string, number>): SlotSizes {
  const size = (bytes: number): KeySize => ({ bytes, byTime: bytes });
  return { in: () => size(mean), big: new Map([...bigKeys].map(([key, bytes]) => [key, size(bytes)])) };
}

/** Weighs slots by their keys, and these by their sizes. */
export function weighSlots(
  slots: readonly number[],
  keysIn: readonly number[],
  sizes: SlotSizes,
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
    const { bytes, byTime } = sizes.in(slot);
    const one = { bytes, weight: weightOf({ slots: 1, keys, bytes: keys * byTime }) / keys };
    each.set(slot, one);
    add(one, keys);
  }
  const alone = ({ bytes, byTime }: KeySize): KeyWeight => ({
    bytes,
    weight: weightOf({ slots: 1, keys: 1, bytes: byTime }),
  });
  for (const size of sizes.big.values()) add(alone(size), 1);
  return {
    all,
    of: (slot, keys) => {
      const big = sizes.big.get(keys[0] ?? '');
      if (big !== undefined) return alone(big);
      const { bytes, weight } = each.get(slot) ?? { bytes: 0, weight: 1 };
      return { bytes: keys.length * bytes, weight: keys.length * weight };
    },
  };
}

/**
 * Sizes of keys, from a few of each slot: those of one slot are often much bigger than those of another. Slots of few keys that turn out to be
 * heavy are looked at more closely, with the fields of hashes. Only database 0 is looked at. `plain` if that is not worth it, or the source does
 * not allow it.
 */
export async function sampleSizes(
  ends: Ends,
  slots: readonly number[],
  keysIn: readonly number[],
  plain: SlotSizes,
): Promise<SlotSizes> {
  const counts = new Map(slots.map((slot, index) => [slot, keysIn[index] ?? 0]));
  const filled = slots.filter((slot) => (counts.get(slot) ?? 0) > 0);
  if (weighSlots(slots, keysIn, plain).all.weight < LEAST_WEIGHT) return plain;
  try {
    const means = await measure(ends, filled, SAMPLE, plain);
    const mean = meanOf([...means.values()]);
    const bytesOf = (slot: number): number => (counts.get(slot) ?? 0) * (means.get(slot) ?? mean).bytes;
    const most = (HEAVY * filled.reduce((sum, slot) => sum + bytesOf(slot), 0)) / filled.length;
    // A part of their keys would tell less of those that are heavy, and nothing of those that only happened to seem light.
    const heavy = filled.filter((slot) => bytesOf(slot) > most && (counts.get(slot) ?? 0) <= MOST_OF_HEAVY);
    for (const [slot, size] of await measure(ends, heavy, MOST_OF_HEAVY, plain)) means.set(slot, size);
    const big = await sizesByTime(
      ends,
      [...plain.big].map(([key, { bytes }]) => ({ key, bytes })),
    );
    return {
      in: (slot) => means.get(slot) ?? mean,
      big: new Map(big.map(({ key, ...size }) => [key, size])),
    };
  } catch {
    ends.context.signal?.throwIfAborted();
    return plain;
  }
}

/** By slot: the mean size of up to so many keys. Fields are counted if that is more than a glance. */
async function measure(
  ends: Ends,
  slots: readonly number[],
  sample: number,
  { big }: SlotSizes,
): Promise<Map<number, KeySize>> {
  const means = new Map<number, KeySize>();
  const atOnce = KEYS_AT_ONCE / sample;
  for (let from = 0; from < slots.length; from += atOnce) {
    ends.context.signal?.throwIfAborted();
    const some = slots.slice(from, from + atOnce);
    const lists = await askSourceIn(
      ends,
      0,
      some.map((slot): Command => ['CLUSTER', 'GETKEYSINSLOT', slot, sample]),
    );
    const samples = some.map((_, index) => readSlotKeys(lists[index]).filter((key) => !big.has(key)));
    const keys = samples.flat();
    const bytes = await sizesOf(ends, 0, keys);
    const sized = keys.map((key, index) => ({ key, bytes: bytes[index] ?? 0 }));
    const sizes =
      sample > SAMPLE
        ? await sizesByTime(ends, sized)
        : sized.map((size) => ({ ...size, byTime: size.bytes }));
    let at = 0;
    for (const [index, { length }] of samples.entries()) {
      const own = sizes.slice(at, at + length).filter((size) => size.bytes > 0);
      at += length;
      if (own.length > 0) means.set(some[index] ?? 0, meanOf(own));
    }
  }
  return means;
}

/** Counts the fields of hashes; of other keys, and without the right to, there are none. */
async function sizesByTime<Sized extends { readonly key: string; readonly bytes: number }>(
  ends: Ends,
  keys: readonly Sized[],
): Promise<(Sized & KeySize)[]> {
  const fields = await askAbout(
    ends,
    'source',
    0,
    ['HLEN'],
    keys.map(({ key }) => key),
  );
  return keys.map((sized, index) => ({
    ...sized,
    byTime: bytesByTime(sized.bytes, Number(fields[index]) || 0),
  }));
}

function meanOf(sizes: readonly KeySize[]): KeySize {
  const mean = (of: (size: KeySize) => number): number =>
    sizes.reduce((sum, size) => sum + of(size), 0) / Math.max(1, sizes.length);
  return { bytes: mean(({ bytes }) => bytes), byTime: mean(({ byTime }) => byTime) };
}
