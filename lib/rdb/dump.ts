import { CRC64_START, crc64, crc64Bytes } from './crc64.ts';
import { RdbBytes, RdbFault, Shortage } from './rdb-bytes.ts';
import { FIRST_OF_VALKEY, RDB_TYPE } from './rdb-values.ts';
import { streamContent, writeStream } from './stream-value.ts';
import { readValue, type Value } from './value.ts';
import { dumpVersion, FOOTER_BYTES } from './versions.ts';

/** Makes a DUMP payload, as latin1: type, value, RDB version, checksum (`createDumpPayload`). */
export function dumpOf(type: number, value: Uint8Array, version: number): string {
  const body = value.length + 3;
  const bytes = Buffer.allocUnsafe(body + 8);
  bytes[0] = type;
  bytes.set(value, 1);
  bytes.writeUInt16LE(version, body - 2);
  bytes.set(crc64Bytes(crc64(CRC64_START, bytes.subarray(0, body))), body);
  return bytes.toString('latin1');
}

/** The bytes of the value in a DUMP payload, as latin1. */
export function valueBytes(dump: string): string {
  return dump.slice(1, -FOOTER_BYTES);
}

/** Types of hashes whose fields may expire. */
const HASHES: ReadonlySet<number> = new Set([RDB_TYPE.hash2, RDB_TYPE.hashTtl, RDB_TYPE.hashListpackTtl]);
const STREAMS: ReadonlySet<number> = new Set([
  RDB_TYPE.stream,
  RDB_TYPE.stream2,
  RDB_TYPE.stream3,
  RDB_TYPE.stream4,
]);

/** True for the DUMP payload of a stream. */
export function isStreamDump(dump: string): boolean {
  return STREAMS.has(dump.charCodeAt(0));
}

/** Reads the value in a DUMP payload. Returns undefined for the values of modules and for types that are not known. */
export function readDump(dump: string): Value | undefined {
  const bytes = new RdbBytes();
  bytes.add(Buffer.from(valueBytes(dump), 'latin1'));
  const value = readValue(bytes, dump.charCodeAt(0), dumpVersion(dump) >= FIRST_OF_VALKEY);
  if (value !== undefined && bytes.available > 0) throw bytes.fault('bytes after the value');
  return value;
}

/** True for a hash of which all fields have expired by `now`: clients do not see it, and servers delete it when they come to it. */
export function isExpiredHash(dump: string, now: number): boolean {
  if (!HASHES.has(dump.charCodeAt(0))) return false;
  try {
    const value = readDump(dump);
    return value?.kind === 'hash' && value.fields.every(({ expiresAt = Infinity }) => expiresAt <= now);
  } catch (error) {
    if (error instanceof RdbFault || error instanceof Shortage) return false;
    throw error;
  }
}

/** How two values differ; `unknown` if the bytes do, and what they mean is not known: values of modules, and damaged ones. */
export type ValueDifference = 'type' | 'value' | 'unknown';

/**
 * True if two DUMP payloads hold the same value, whatever the order of members, the encoding and the RDB version. Of streams,
 * what only one of the versions writes is not compared, and of hashes no fields that have expired by `now`, in milliseconds
 * since 1970.
 */
export function sameValue(one: string, other: string, now: number = Date.now()): boolean {
  return valueDifference(one, other, now) === undefined;
}

/** The same as what differs; undefined if the values are the same. */
export function valueDifference(
  one: string,
  other: string,
  now: number = Date.now(),
): ValueDifference | undefined {
  if (one === other || one.slice(0, -FOOTER_BYTES) === other.slice(0, -FOOTER_BYTES)) return undefined;
  try {
    const [mine, theirs] = [readDump(one), readDump(other)];
    if (!mine && !theirs) return 'unknown';
    if (mine?.kind !== theirs?.kind) return 'type';
    return mine && theirs && sameContent(mine, theirs, now) ? undefined : 'value';
  } catch (error) {
    if (error instanceof RdbFault || error instanceof Shortage) return 'unknown';
    throw error;
  }
}

function sameContent(one: Value, other: Value, now: number): boolean {
  if (one.kind === 'stream' && other.kind === 'stream') {
    const version = Math.min(one.version, other.version);
    return (
      writeStream(one, version) === writeStream(other, version) ||
      streamContent(one, version) === streamContent(other, version)
    );
  }
  return plain(one, now) === plain(other, now);
}

/** The value as text, its members in an order of their own. */
function plain(value: Value, now: number): string {
  switch (value.kind) {
    case 'set':
      return JSON.stringify([value.kind, value.members.toSorted()]);
    case 'zset':
      return JSON.stringify([
        value.kind,
        value.members.map(({ member, score }) => [member, score] as const).sort(byFirst),
      ]);
    case 'hash':
      return JSON.stringify([
        value.kind,
        value.fields
          .filter(({ expiresAt = Infinity }) => expiresAt > now)
          .map(({ field, value, expiresAt }) => [field, value, expiresAt ?? 0] as const)
          .sort(byFirst),
      ]);
    default:
      return JSON.stringify(value);
  }
}

function byFirst([one]: readonly [string, ...unknown[]], [other]: readonly [string, ...unknown[]]): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
