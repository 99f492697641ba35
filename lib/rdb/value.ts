import { readIntset, readListpack, readZiplist, readZipmap } from './packed.ts';
import { type RdbBytes, times } from './rdb-bytes.ts';
import { RDB_TYPE } from './rdb-values.ts';
import { readStream, type Stream } from './stream-value.ts';

/** A value of a key, whatever its encoding. All text is latin1: one char per byte. */
export type Value =
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly string[] }
  | { readonly kind: 'set'; readonly members: readonly string[] }
  | { readonly kind: 'zset'; readonly members: readonly ScoredMember[] }
  | { readonly kind: 'hash'; readonly fields: readonly Field[] }
  | Stream;

export interface ScoredMember {
  readonly member: string;
  /** The 8 bytes of the double, little-endian: scores are kept to the bit. */
  readonly score: string;
}

export interface Field {
  readonly field: string;
  readonly value: string;
  /** Milliseconds since 1970; undefined for a field that does not expire. */
  readonly expiresAt: number | undefined;
}

type Read = (bytes: RdbBytes, isValkey: boolean) => Value;

/**
 * Reads a value of this type (rdbLoadObject). Returns undefined for the values of modules and for types that are not known.
 * Throws a RdbFault if the bytes are not such a value, and a Shortage if they end too early.
 */
export function readValue(bytes: RdbBytes, type: number, isValkey: boolean): Value | undefined {
  return READS[type]?.(bytes, isValkey);
}

const READS: Readonly<Record<number, Read>> = {
  [RDB_TYPE.string]: (bytes) => ({ kind: 'string', text: bytes.string() }),
  [RDB_TYPE.list]: (bytes) => list(times(bytes.length(), () => bytes.string())),
  [RDB_TYPE.listZiplist]: (bytes) => list(packed(bytes, readZiplist)),
  [RDB_TYPE.listQuicklist]: (bytes) => list(times(bytes.length(), () => packed(bytes, readZiplist)).flat()),
  [RDB_TYPE.listQuicklist2]: (bytes) =>
    list(
      times(bytes.length(), () => {
        // An element that is too large for a listpack stands alone (QUICKLIST_NODE_CONTAINER_PLAIN).
        const isPlain = bytes.length() === 1;
        return isPlain ? [bytes.string()] : packed(bytes, readListpack);
      }).flat(),
    ),
  [RDB_TYPE.set]: (bytes) => set(times(bytes.length(), () => bytes.string())),
  [RDB_TYPE.setIntset]: (bytes) => set(packed(bytes, readIntset)),
  [RDB_TYPE.setListpack]: (bytes) => set(packed(bytes, readListpack)),
  [RDB_TYPE.zset]: (bytes) =>
    zset(times(bytes.length(), () => ({ member: bytes.string(), score: scoreOf(textScore(bytes)) }))),
  [RDB_TYPE.zset2]: (bytes) =>
    zset(times(bytes.length(), () => ({ member: bytes.string(), score: bytes.raw(8) }))),
  [RDB_TYPE.zsetZiplist]: (bytes) => zset(pairs(bytes, packed(bytes, readZiplist)).map(scored)),
  [RDB_TYPE.zsetListpack]: (bytes) => zset(pairs(bytes, packed(bytes, readListpack)).map(scored)),
  [RDB_TYPE.hash]: (bytes) => hash(times(bytes.length(), () => lasting(bytes.string(), bytes.string()))),
  [RDB_TYPE.hashZipmap]: (bytes) => hash(pairs(bytes, packed(bytes, readZipmap)).map(fieldOf)),
  [RDB_TYPE.hashZiplist]: (bytes) => hash(pairs(bytes, packed(bytes, readZiplist)).map(fieldOf)),
  [RDB_TYPE.hashListpack]: (bytes) => hash(pairs(bytes, packed(bytes, readListpack)).map(fieldOf)),
  [RDB_TYPE.hash2]: (bytes, isValkey) => {
    // The number is that of a pre-release of Redis 7.4, too.
    if (!isValkey) throw bytes.fault(`a value of type ${RDB_TYPE.hash2}, which is not known`);
    return hash(
      times(bytes.length(), () => {
        const [field, value, expiresAt] = [bytes.string(), bytes.string(), bytes.time()];
        return { field, value, expiresAt: expiresAt < 0 ? undefined : expiresAt };
      }),
    );
  },
  [RDB_TYPE.hashTtl]: (bytes) => {
    const first = bytes.time();
    return hash(
      times(bytes.length(), () => {
        // The time from the first expiry on, plus 1; 0 stands for none.
        const after = bytes.length();
        const [field, value] = [bytes.string(), bytes.string()];
        return { field, value, expiresAt: after === 0 ? undefined : first + after - 1 };
      }),
    );
  },
  [RDB_TYPE.hashListpackTtl]: (bytes) => {
    bytes.time();
    const flat = packed(bytes, readListpack);
    if (flat.length % 3 !== 0) throw bytes.fault('a field without its expiry');
    return hash(
      times(flat.length / 3, (index) => {
        const [field = '', value = '', expiresAt = '0'] = flat.slice(3 * index, 3 * index + 3);
        return { field, value, expiresAt: expiresAt === '0' ? undefined : Number(expiresAt) };
      }),
    );
  },
  [RDB_TYPE.stream]: (bytes) => readStream(bytes, 1),
  [RDB_TYPE.stream2]: (bytes) => readStream(bytes, 2),
  [RDB_TYPE.stream3]: (bytes) => readStream(bytes, 3),
  [RDB_TYPE.stream4]: (bytes) => readStream(bytes, 4),
};

const list = (items: readonly string[]): Value => ({ kind: 'list', items });
const set = (members: readonly string[]): Value => ({ kind: 'set', members });
const zset = (members: readonly ScoredMember[]): Value => ({ kind: 'zset', members });
const hash = (fields: readonly Field[]): Value => ({ kind: 'hash', fields });

function packed(bytes: RdbBytes, read: (text: string) => string[] | undefined): string[] {
  const elements = read(bytes.string());
  if (elements === undefined) throw bytes.fault('a compact value that cannot be read');
  return elements;
}

function pairs(bytes: RdbBytes, flat: readonly string[]): (readonly [string, string])[] {
  if (flat.length % 2 !== 0) throw bytes.fault('a compact value with an odd number of elements');
  return times(
    flat.length / 2,
    (index) => [flat[2 * index] as string, flat[2 * index + 1] as string] as const,
  );
}

function lasting(field: string, value: string): Field {
  return { field, value, expiresAt: undefined };
}

function fieldOf([field, value]: readonly [string, string]): Field {
  return lasting(field, value);
}

function scored([member, score]: readonly [string, string]): ScoredMember {
  return { member, score: scoreOf(score) };
}

// The score as text with its length before it, or one of three marks (rdbLoadDoubleValue).
function textScore(bytes: RdbBytes): string {
  const length = bytes.byte();
  return length === 253 ? 'nan' : length === 254 ? 'inf' : length === 255 ? '-inf' : bytes.raw(length);
}

const NAMED: Readonly<Record<string, number>> = { inf: Infinity, '-inf': -Infinity, nan: Number.NaN };

function scoreOf(text: string): string {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(NAMED[text] ?? Number(text));
  return bytes.toString('latin1');
}
