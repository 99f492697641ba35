import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { databases, parseInfo } from './node-info.ts';

const UNITS = ['', 'K', 'M', 'G', 'T', 'P', 'E'];
/** A server may set aside as much again as a string is long. */
const MOST_SPARE = 2;
/** More than a server adds to a string: the key, its place among the others, its time to live. */
const OVERHEAD = 1024;

/**
 * True where a node says that none of its keys takes so many bytes, without looking at one: Redis 8.0 and newer keep count of the
 * lengths of strings by powers of two. Of a hash or a list they tell how many elements it has and not how large these are,
 * so where there is anything but strings it is not known.
 */
export async function hasOnlySmallKeys(
  connections: Connections,
  address: Address,
  bytes: number,
): Promise<boolean> {
  // In one command, so that both tell of the same moment. Servers before 7.0 take no two sections.
  const [reply] = await connections.askAll(address, [['INFO', 'keyspace', 'keysizes']]);
  return !(reply instanceof Error) && areSmallStrings(String(reply), bytes);
}

/** Reads the sections `keyspace` and `keysizes` of INFO: true if all keys are strings and none takes so many bytes. */
export function areSmallStrings(text: string, bytes: number): boolean {
  const info = parseInfo(text);
  return databases(info).every(({ db, keys }) => {
    const lengths = readLengths(info.get(`db${db}_distrib_strings_sizes`) ?? '');
    const strings = lengths.reduce((sum, { count }) => sum + count, 0);
    const longest = lengths.reduce((most, { from }) => Math.max(most, 2 * from), 0);
    return strings === keys && longest * MOST_SPARE + OVERHEAD < bytes;
  });
}

/** How many there are of a length between `from` and twice that. */
function readLengths(list: string): { readonly from: number; readonly count: number }[] {
  return list.split(',').map((item) => {
    const [, number, unit = '', count] = /^(\d+)([KMGTPE]?)=(\d+)$/.exec(item) ?? [];
    return { from: Number(number) * 1024 ** UNITS.indexOf(unit), count: Number(count) };
  });
}
