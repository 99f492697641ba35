import { CRC64_START, crc64, crc64Bytes } from './crc64.ts';
import { RdbBytes } from './rdb-bytes.ts';
import { cutMembers, FIRST_OF_VALKEY } from './rdb-values.ts';

/** The form of DUMP, bytes as latin1: type, value, version of the format, checksum (`createDumpPayload`). */
export function dumpOf(type: number, value: Uint8Array, version: number): string {
  const body = value.length + 3;
  const bytes = Buffer.allocUnsafe(body + 8);
  bytes[0] = type;
  bytes.set(value, 1);
  bytes.writeUInt16LE(version, body - 2);
  bytes.set(crc64Bytes(crc64(CRC64_START, bytes.subarray(0, body))), body);
  return bytes.toString('latin1');
}

/** The version of the format and a checksum, which end every DUMP. */
const FOOTER_BYTES = 10;

/** True if two values in the form of DUMP are the same, whatever version wrote them and in whatever order members come. */
export function sameValue(one: string, other: string): boolean {
  return one.slice(0, -FOOTER_BYTES) === other.slice(0, -FOOTER_BYTES) || hasSameMembers(one, other);
}

/** True if two values in the form of DUMP are sets, or hashes, of the same members: each server has its own order. */
export function hasSameMembers(one: string, other: string): boolean {
  if (one.length !== other.length || one[0] !== other[0]) return false;
  const [mine, theirs] = [membersOf(one), membersOf(other)];
  return (
    mine !== undefined && theirs !== undefined && mine.every((member, index) => member === theirs[index])
  );
}

// Each member as it is encoded, sorted; undefined for what cannot be read, or is neither.
function membersOf(dump: string): string[] | undefined {
  const isValkey = dump.charCodeAt(dump.length - FOOTER_BYTES) >= FIRST_OF_VALKEY;
  const bytes = new RdbBytes();
  bytes.add(Buffer.from(dump.slice(1, -FOOTER_BYTES), 'latin1'));
  try {
    const members = cutMembers(bytes, dump.charCodeAt(0), isValkey);
    return members?.map((member) => Buffer.from(member).toString('latin1')).sort();
  } catch {
    return undefined;
  }
}
