import { dumpOf, readDump, valueBytes } from './dump.ts';
import { RdbFault, Shortage } from './rdb-bytes.ts';
import { FIRST_OF_VALKEY, RDB_TYPE } from './rdb-values.ts';
import { writeStream } from './stream-value.ts';
import type { Field, Value } from './value.ts';
import { dumpVersion, RDB_VERSION, readsRdb } from './versions.ts';
import { lengthOf, stringOf, timeOf } from './write.ts';

/** Why a value cannot be written so that a server reads it. */
export type WriteObstacle = 'field-expiry' | 'module' | 'unknown-type' | 'damaged';

export type Converted =
  | { readonly dump: string; readonly how: 'as-is' | 'converted' }
  | { readonly dump?: undefined; readonly why: WriteObstacle };

/** The first RDB version with each of the newer types (rdb.h); the others are older than any server that knows clusters. */
const FIRST_VERSION: Readonly<Record<number, number>> = {
  [RDB_TYPE.hashListpack]: RDB_VERSION.redis7,
  [RDB_TYPE.zsetListpack]: RDB_VERSION.redis7,
  [RDB_TYPE.listQuicklist2]: RDB_VERSION.redis7,
  [RDB_TYPE.stream2]: RDB_VERSION.redis7,
  [RDB_TYPE.setListpack]: RDB_VERSION.redis72,
  [RDB_TYPE.stream3]: RDB_VERSION.redis72,
  [RDB_TYPE.hashTtl]: RDB_VERSION.redis74,
  [RDB_TYPE.hashListpackTtl]: RDB_VERSION.redis74,
  [RDB_TYPE.stream4]: RDB_VERSION.redis86,
};
/** By version of a stream, from 1 on. */
const STREAM_TYPES = [RDB_TYPE.stream, RDB_TYPE.stream2, RDB_TYPE.stream3];

/**
 * Writes the value of a DUMP payload again, in the newest format that servers of all these RDB versions read. A payload that
 * they all read is returned as it is.
 */
export function convertDump(dump: string, readers: readonly number[]): Converted {
  const written = dumpVersion(dump);
  const type = dump.charCodeAt(0);
  const isModule = type === RDB_TYPE.module2 || type === RDB_TYPE.modulePreRelease;
  // Up to 6.0, a server that is sent the value of a module that it lacks exits (rdbLoadObject). 6.2 writes the same version.
  if (isModule && readers.some((reader) => reader < RDB_VERSION.redis7)) return { why: 'module' };
  if (readers.every((reader) => readsRdb(reader, written))) return { dump, how: 'as-is' };
  const isValkey = written >= FIRST_OF_VALKEY;
  const version = versionFor(type, isValkey, readers);
  // The value is the same in both formats: only the version after it is another.
  if (version !== undefined) return payload(type, Buffer.from(valueBytes(dump), 'latin1'), version);
  try {
    const value = readDump(dump);
    if (value === undefined) return { why: 'unknown-type' };
    return writeValue(value, readers) ?? { why: 'field-expiry' };
  } catch (error) {
    if (error instanceof RdbFault || error instanceof Shortage) return { why: 'damaged' };
    throw error;
  }
}

/** Whether every hash whose fields expire can be written for these readers. */
export function holdFieldExpiry(readers: readonly number[]): boolean {
  return [true, false].some(
    (isValkey) => versionFor(isValkey ? RDB_TYPE.hash2 : RDB_TYPE.hashTtl, isValkey, readers) !== undefined,
  );
}

/** Whether these readers know how many entries were ever added to a stream, and deleted and read. */
export function holdStreamCounts(readers: readonly number[]): boolean {
  return versionFor(RDB_TYPE.stream2, false, readers) !== undefined;
}

/** The newest version in which all readers take a value of this type as it stands. */
function versionFor(type: number, isValkey: boolean, readers: readonly number[]): number | undefined {
  if (type === RDB_TYPE.hash2) {
    const version = FIRST_OF_VALKEY;
    return isValkey && readers.every((reader) => reader >= version) ? version : undefined;
  }
  const version = FIRST_VERSION[type] ?? (isOld(type) ? RDB_VERSION.redis5 : undefined);
  return version !== undefined && readers.every((reader) => readsRdb(reader, version)) ? version : undefined;
}

function isOld(type: number): boolean {
  return type <= RDB_TYPE.stream && Object.values<number>(RDB_TYPE).includes(type);
}

/** Undefined if the readers cannot hold it. */
function writeValue(value: Value, readers: readonly number[]): Converted | undefined {
  switch (value.kind) {
    case 'string':
      return asType(RDB_TYPE.string, stringOf(value.text), readers);
    case 'list':
      return asType(RDB_TYPE.list, manyOf(value.items.map(stringOf)), readers);
    case 'set':
      return asType(RDB_TYPE.set, manyOf(value.members.map(stringOf)), readers);
    case 'zset':
      return asType(
        RDB_TYPE.zset2,
        manyOf(value.members.map(({ member, score }) => stringOf(member) + score)),
        readers,
      );
    case 'hash':
      return writeHash(value.fields, readers);
    case 'stream': {
      const versions = STREAM_TYPES.map((_, index) => index + 1).filter(
        (version) => version <= value.version,
      );
      const version = versions.findLast(
        (version) => versionFor(STREAM_TYPES[version - 1] as number, false, readers) !== undefined,
      );
      if (version === undefined) return undefined;
      return asType(STREAM_TYPES[version - 1] as number, writeStream(value, version), readers);
    }
  }
}

function writeHash(fields: readonly Field[], readers: readonly number[]): Converted | undefined {
  const times = fields.flatMap(({ expiresAt }) => (expiresAt === undefined ? [] : [expiresAt]));
  if (times.length === 0) {
    return asType(
      RDB_TYPE.hash,
      manyOf(fields.map(({ field, value }) => stringOf(field) + stringOf(value))),
      readers,
    );
  }
  if (versionFor(RDB_TYPE.hash2, true, readers) !== undefined) {
    const all = fields.map(
      ({ field, value, expiresAt }) => stringOf(field) + stringOf(value) + timeOf(expiresAt ?? -1),
    );
    return asType(RDB_TYPE.hash2, manyOf(all), readers, true);
  }
  const first = times.reduce((one, other) => Math.min(one, other));
  const all = fields.map(
    ({ field, value, expiresAt }) =>
      lengthOf(expiresAt === undefined ? 0 : expiresAt - first + 1) + stringOf(field) + stringOf(value),
  );
  return asType(RDB_TYPE.hashTtl, timeOf(first) + manyOf(all), readers);
}

function manyOf(items: readonly string[]): string {
  return lengthOf(items.length) + items.join('');
}

function asType(
  type: number,
  value: string,
  readers: readonly number[],
  isValkey = false,
): Converted | undefined {
  const version = versionFor(type, isValkey, readers);
  return version === undefined ? undefined : payload(type, Buffer.from(value, 'latin1'), version);
}

function payload(type: number, value: Uint8Array, version: number): Converted {
  return { dump: dumpOf(type, value, version), how: 'converted' };
}
