import type { RdbBytes } from './rdb-bytes.ts';

/** Valkey's own RDB versions start here. */
export const FIRST_OF_VALKEY = 80;

/** Types of values (rdb.h). In files of Valkey 22 has another meaning. Redis 8.6 added 26. */
export const RDB_TYPE = {
  string: 0,
  list: 1,
  set: 2,
  zset: 3,
  hash: 4,
  zset2: 5,
  modulePreRelease: 6,
  module2: 7,
  hashZipmap: 9,
  listZiplist: 10,
  setIntset: 11,
  zsetZiplist: 12,
  hashZiplist: 13,
  listQuicklist: 14,
  stream: 15,
  hashListpack: 16,
  zsetListpack: 17,
  listQuicklist2: 18,
  stream2: 19,
  setListpack: 20,
  stream3: 21,
  hash2: 22,
  hashListpackTtlPreRelease: 23,
  hashTtl: 24,
  hashListpackTtl: 25,
  stream4: 26,
} as const;

/** Each part of a module's value starts with its type. */
const MODULE_PARTS = { end: 0, int: 1, uint: 2, float: 3, double: 4, string: 5 } as const;

const STREAM_ID_BYTES = 16;

type Skip = (bytes: RdbBytes, isValkey: boolean) => void;

const skipOne: Skip = (bytes) => bytes.skipString();

/** A list: its length, then the items. */
const many =
  (skip: Skip): Skip =>
  (bytes, isValkey) => {
    for (let left = bytes.length(); left > 0; left--) skip(bytes, isValkey);
  };

const skipPair: Skip = (bytes) => {
  bytes.skipString();
  bytes.skipString();
};

const stream =
  (version: number): Skip =>
  (bytes) =>
    skipStream(bytes, version);

/** The types of sets and hashes that store unordered members one by one: how to skip a member. */
const MEMBERS: Readonly<Record<number, Skip>> = {
  [RDB_TYPE.set]: skipOne,
  [RDB_TYPE.hash]: skipPair,
  // Each field has an expiry: before the field in pre-releases of Redis 7.4, after the value in Valkey.
  [RDB_TYPE.hash2]: (bytes, isValkey) => {
    if (!isValkey) bytes.length();
    skipPair(bytes, isValkey);
    if (isValkey) bytes.skip(8);
  },
  [RDB_TYPE.hashTtl]: (bytes, isValkey) => {
    bytes.length();
    skipPair(bytes, isValkey);
  },
};

/** How to skip a value of each type (rdbLoadObject). Listpacks, ziplists and intsets are stored as strings. */
const SKIPS: Readonly<Record<number, Skip>> = {
  [RDB_TYPE.string]: skipOne,
  [RDB_TYPE.list]: many(skipOne),
  [RDB_TYPE.set]: many(skipOne),
  [RDB_TYPE.zset]: many((bytes) => {
    bytes.skipString();
    // The score as text with its length before it. 253 to 255 stand for NaN and the infinities, without text.
    const length = bytes.byte();
    if (length < 253) bytes.skip(length);
  }),
  [RDB_TYPE.hash]: many(skipPair),
  [RDB_TYPE.zset2]: many((bytes) => {
    bytes.skipString();
    bytes.skip(8);
  }),
  [RDB_TYPE.module2]: (bytes) => {
    bytes.length();
    skipModuleParts(bytes);
  },
  [RDB_TYPE.hashZipmap]: skipOne,
  [RDB_TYPE.listZiplist]: skipOne,
  [RDB_TYPE.setIntset]: skipOne,
  [RDB_TYPE.zsetZiplist]: skipOne,
  [RDB_TYPE.hashZiplist]: skipOne,
  [RDB_TYPE.listQuicklist]: many(skipOne),
  [RDB_TYPE.stream]: stream(1),
  [RDB_TYPE.hashListpack]: skipOne,
  [RDB_TYPE.zsetListpack]: skipOne,
  [RDB_TYPE.listQuicklist2]: many((bytes) => {
    bytes.length();
    bytes.skipString();
  }),
  [RDB_TYPE.stream2]: stream(2),
  [RDB_TYPE.setListpack]: skipOne,
  [RDB_TYPE.stream3]: stream(3),
  [RDB_TYPE.hash2]: many(MEMBERS[RDB_TYPE.hash2] as Skip),
  [RDB_TYPE.hashListpackTtlPreRelease]: skipOne,
  [RDB_TYPE.hashTtl]: (bytes, isValkey) => {
    bytes.skip(8);
    many(MEMBERS[RDB_TYPE.hashTtl] as Skip)(bytes, isValkey);
  },
  [RDB_TYPE.hashListpackTtl]: (bytes) => {
    bytes.skip(8);
    bytes.skipString();
  },
  [RDB_TYPE.stream4]: stream(4),
};

/** Skips a value. Throws a RdbFault for an unknown type, and a Shortage if the value is incomplete. */
export function skipValue(bytes: RdbBytes, type: number, isValkey: boolean): void {
  const skip = SKIPS[type];
  if (!skip) throw bytes.fault(`a value of type ${type}, which is not known`);
  skip(bytes, isValkey);
}

/** Skips the parts of a module's value, or of its auxiliary data, up to and including the end mark. */
export function skipModuleParts(bytes: RdbBytes): void {
  for (;;) {
    switch (bytes.length()) {
      case MODULE_PARTS.end:
        return;
      case MODULE_PARTS.int:
      case MODULE_PARTS.uint:
        bytes.length();
        break;
      case MODULE_PARTS.float:
        bytes.skip(4);
        break;
      case MODULE_PARTS.double:
        bytes.skip(8);
        break;
      case MODULE_PARTS.string:
        bytes.skipString();
        break;
      default:
        throw bytes.fault("a part of a module's value that is not known");
    }
  }
}

function repeat(count: number, work: () => void): void {
  for (let done = 0; done < count; done++) work();
}

function skipStream(bytes: RdbBytes, version: number): void {
  const numbers = (count: number): void => repeat(count, () => bytes.length());
  repeat(bytes.length(), () => skipPair(bytes, false));
  // Number of entries and last id. Version 2 adds the first id, the largest deleted id, and the number of entries ever added.
  numbers(version >= 2 ? 8 : 3);
  repeat(bytes.length(), () => {
    bytes.skipString();
    numbers(version >= 2 ? 3 : 2);
    repeat(bytes.length(), () => {
      bytes.skip(STREAM_ID_BYTES + 8);
      bytes.length();
    });
    repeat(bytes.length(), () => {
      bytes.skipString();
      bytes.skip(version >= 3 ? 16 : 8);
      repeat(bytes.length(), () => bytes.skip(STREAM_ID_BYTES));
    });
  });
  if (version >= 4) skipProducers(bytes);
}

/** For how many seconds, and of how many entries, a stream remembers by whom they were added unless XCFGSET or the server says otherwise. */
export const PRODUCER_LIMIT = 100;

/**
 * Skips the end of a stream of version 4: its two limits, and recent entries of each producer, for detecting duplicates. Returns true if
 * there are producers, or limits of its own.
 */
export function skipProducers(bytes: RdbBytes): boolean {
  const numbers = (count: number): void => repeat(count, () => bytes.length());
  const [seconds, entries, producers] = [bytes.length(), bytes.length(), bytes.length()];
  repeat(producers, () => {
    bytes.skipString();
    repeat(bytes.length(), () => {
      bytes.skipString();
      numbers(2);
    });
  });
  numbers(2);
  return producers > 0 || seconds !== PRODUCER_LIMIT || entries !== PRODUCER_LIMIT;
}
