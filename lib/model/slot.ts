import { invalidArgument } from './cluster-error.ts';
import { andMore } from './lists.ts';

/** Number of hash slots in a cluster; slots are numbered 0 to 16383. */
export const SLOT_COUNT = 16384;

/** Slots from the first to the last, inclusive. */
export type SlotRange = readonly [first: number, last: number];

/** Slots as callers may write them: numbers and inclusive `[first, last]` pairs. */
export type SlotsLike = Iterable<number | SlotRange>;

// CRC16-CCITT (XModem), as in the Redis Cluster specification, appendix A.
const crcTable = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/**
 * Slot of a key: CRC16 of its hash tag, or of the whole key, modulo 16384.
 * A string is encoded as UTF-8; pass bytes for a binary key.
 * Source: Redis Cluster specification, "Hash tags".
 */
export function keySlot(key: string | Uint8Array): number {
  const tag = hashTag(typeof key === 'string' ? new TextEncoder().encode(key) : key);
  let crc = 0;
  for (let at = 0; at < tag.length; at++) crc = nextCrc(crc, tag[at] ?? 0);
  return crc % SLOT_COUNT;
}

/** The same for a key given as latin1, one character for each byte. It is called for every key that is read, so it makes no copy. */
export function slotOfKey(key: string): number {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  const hasTag = close > open + 1;
  const end = hasTag ? close : key.length;
  let crc = 0;
  for (let at = hasTag ? open + 1 : 0; at < end; at++) crc = nextCrc(crc, key.charCodeAt(at));
  return crc % SLOT_COUNT;
}

function nextCrc(crc: number, byte: number): number {
  return ((crc << 8) ^ (crcTable[((crc >> 8) ^ byte) & 0xff] ?? 0)) & 0xffff;
}

/** The part of a key that decides its slot: the text between the first `{` and the next `}`, or the whole key if that is empty. */
export function hashTag(key: Uint8Array): Uint8Array {
  const open = key.indexOf(0x7b);
  const close = open < 0 ? -1 : key.indexOf(0x7d, open + 1);
  return close > open + 1 ? key.subarray(open + 1, close) : key;
}

/** True for a whole number from 0 to 16383. */
export function isSlot(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < SLOT_COUNT;
}

/**
 * Every slot of a list of numbers and inclusive pairs, in the order given, each once.
 * Throws ClusterError `INVALID_ARGUMENT` for anything that is not a slot or a pair out of order.
 */
export function expandSlots(slots: SlotsLike): number[] {
  const seen = new Set<number>();
  for (const item of slots) {
    const [first, last] = typeof item === 'number' ? [item, item] : item;
    if (!isSlot(first) || !isSlot(last) || first > last) {
      const shown = first === last ? `${first}` : `${first}-${last}`;
      throw invalidArgument(`Not a slot or slot range: "${shown}" (slots are 0 to ${SLOT_COUNT - 1})`);
    }
    for (let slot = first; slot <= last; slot++) seen.add(slot);
  }
  return [...seen];
}

/** Slots claimed by a node. */
export interface Claim {
  readonly id: string;
  readonly slots: readonly SlotRange[];
}

/** By slot: the id of the node that claims it, or undefined. The last of several claims counts. */
export function claimsBySlot(claims: Iterable<Claim>): (string | undefined)[] {
  const bySlot: (string | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  for (const { id, slots } of claims) for (const [first, last] of slots) bySlot.fill(id, first, last + 1);
  return bySlot;
}

/**
 * Slots whose claimant differs between two lists of claims, ascending. The last of several claims counts. Ids are replaced
 * by numbers first, because every node's view of all slots is compared here and comparing strings is slow.
 */
export function differingSlots(some: Iterable<Claim>, others: Iterable<Claim>): number[] {
  const numbers = new Map<string, number>();
  const numbersBySlot = (claims: Iterable<Claim>): Uint32Array => {
    const bySlot = new Uint32Array(SLOT_COUNT);
    for (const { id, slots } of claims) {
      const number = numbers.get(id) ?? numbers.size + 1;
      numbers.set(id, number);
      for (const [first, last] of slots) bySlot.fill(number, first, last + 1);
    }
    return bySlot;
  };
  const [a, b] = [numbersBySlot(some), numbersBySlot(others)];
  const slots: number[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot++) if (a[slot] !== b[slot]) slots.push(slot);
  return slots;
}

/** Slots that meet a condition, ascending. */
export function slotsWhere(condition: (slot: number) => boolean): number[] {
  const slots: number[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot++) if (condition(slot)) slots.push(slot);
  return slots;
}

/** True if one of the ranges has the slot. */
export function inRanges(slot: number, ranges: readonly SlotRange[]): boolean {
  return ranges.some(([first, last]) => first <= slot && slot <= last);
}

/** The fewest ranges that cover exactly these slots, ascending. */
export function toRanges(slots: Iterable<number>): SlotRange[] {
  const ranges: [number, number][] = [];
  // A typed array sorts by value without a comparison callback.
  for (const slot of Float64Array.from(slots).sort()) {
    const current = ranges.at(-1);
    if (current && slot <= current[1] + 1) current[1] = slot;
    else ranges.push([slot, slot]);
  }
  return ranges;
}

/** `0-5 7 9-10`, as in CLUSTER NODES. */
export function formatRanges(ranges: Iterable<SlotRange>): string {
  return Array.from(ranges, ([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(' ');
}

/** `0-5 7 9-10` for slots in any order, truncated after `most` ranges. */
export function formatSlots(slots: Iterable<number>, most = 8): string {
  const ranges = toRanges(slots);
  const shown = formatRanges(ranges.slice(0, most));
  return ranges.length > most ? `${shown} ${andMore(ranges.length - most, 'range')}` : shown;
}

/** `slot 9`, or `slots 5 7-9`, truncated as by `formatSlots`. */
export function nameSlots(slots: Iterable<number>, most?: number): string {
  const all = [...slots];
  return `${all.length === 1 ? 'slot' : 'slots'} ${formatSlots(all, most)}`;
}

/** `slot 9 is`, or `slots 5 7-9 are`. */
export function slotsAre(slots: Iterable<number>, most?: number): string {
  const all = [...slots];
  return `${nameSlots(all, most)} ${all.length === 1 ? 'is' : 'are'}`;
}

/** Reads `7` or `0-5`. Throws ClusterError `INVALID_ARGUMENT` for anything else. */
export function parseSlotRange(text: string): SlotRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (!isSlot(first) || !isSlot(last) || first > last) {
    throw invalidArgument(`Not a slot or slot range: "${text}" (slots are 0 to ${SLOT_COUNT - 1})`);
  }
  return [first, last];
}

/** The slots of each of so many masters of a new cluster, with redis-cli's boundaries. */
export function createShares(masters: number): SlotRange[] {
  const share = SLOT_COUNT / masters;
  return Array.from({ length: masters }, (_, index) => {
    const last = index === masters - 1 ? SLOT_COUNT - 1 : Math.round((index + 1) * share - 1);
    return [Math.round(index * share), last];
  });
}
