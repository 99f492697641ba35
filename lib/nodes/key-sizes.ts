import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { databases, parseInfo } from './node-info.ts';

const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
/** A server may allocate up to twice the length of a string. */
const MOST_SPARE = 2;
/** More than a server needs in addition: for the key, its dictionary entry and its expiry. */
const OVERHEAD = 1024;

/**
 * True if a node reports that no key takes this many bytes, without looking at the keys: Redis 8.0 and newer count strings
 * by length, in powers of two. For a hash or a list they report the number of elements but not their size, so with any
 * type but strings the answer is false.
 */
export async function hasOnlySmallKeys(
  connections: Connections,
  address: Address,
  bytes: number,
): Promise<boolean> {
  // In one command, so that both sections are of the same moment. Servers before 7.0 accept only one section.
  const [reply] = await connections.askAll(address, [['INFO', 'keyspace', 'keysizes']]);
  return !(reply instanceof Error) && areSmallStrings(String(reply), bytes);
}

/** Parses the sections `keyspace` and `keysizes` of INFO: true if all keys are strings and none takes this many bytes. */
export function areSmallStrings(text: string, bytes: number): boolean {
  const info = parseInfo(text);
  return databases(info).every(({ db, keys }) => {
    const lengths = readLengths(info.get(`db${db}_distrib_strings_sizes`) ?? '');
    const strings = lengths.reduce((sum, { count }) => sum + count, 0);
    const longest = lengths.reduce((most, { from }) => Math.max(most, 2 * from), 0);
    return strings === keys && longest * MOST_SPARE + OVERHEAD < bytes;
  });
}

/** Parses a histogram: the number of strings of a length between `from` and twice that. */
function readLengths(list: string): { readonly from: number; readonly count: number }[] {
  return list.split(',').map((item) => {
    const [, number, unit = '', count] = /^(\d+)([KMGTPE]?)=(\d+)$/.exec(item) ?? [];
    return { from: Number(number) * 1024 ** UNITS.indexOf(unit), count: Number(count) };
  });
}
