import type { RdbBytes } from './rdb-bytes.ts';

/** Valkey numbers its own versions of the format from here on. */
export const FIRST_OF_VALKEY = 80;

/** Types of values (rdb.h). 22 is another in Valkey's files, and 26 is of Redis 8.6. */
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

/** Values of modules say what each of their parts is. */
const MODULE_PARTS = { end: 0, int: 1, uint: 2, float: 3, double: 4, string: 5 } as const;

const STREAM_ID_BYTES = 16;

type Skip = (bytes: RdbBytes, isValkey: boolean) => void;

const skipOne: Skip = (bytes) => bytes.skipString();

/** So many, by a length before them. */
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

/** A member of a set or a hash, of the types in which each stands by itself and in no order. */
const MEMBERS: Readonly<Record<number, Skip>> = {
  [RDB_TYPE.set]: skipOne,
  [RDB_TYPE.hash]: skipPair,
  // Each field with its time to live: before it in Redis 7.4 before its release, after its value in Valkey.
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

/** Cuts a set or a hash into its members, and what stands before them all; undefined for other types. Throws as `skipValue()`. */
export function cutMembers(bytes: RdbBytes, type: number, isValkey: boolean): Uint8Array[] | undefined {
  const skip = MEMBERS[type];
  if (!skip) return undefined;
  const from = bytes.at;
  if (type === RDB_TYPE.hashTtl) bytes.skip(8);
  let left = bytes.length();
  const members = [bytes.slice(from, bytes.at)];
  for (; left > 0; left--) {
    const start = bytes.at;
    skip(bytes, isValkey);
    members.push(bytes.slice(start, bytes.at));
  }
  return members;
}

/** What a value of each type is made of (rdbLoadObject). Listpacks, ziplists and intsets are strings here. */
const SKIPS: Readonly<Record<number, Skip>> = {
  [RDB_TYPE.string]: skipOne,
  [RDB_TYPE.list]: many(skipOne),
  [RDB_TYPE.set]: many(skipOne),
  [RDB_TYPE.zset]: many((bytes) => {
    bytes.skipString();
    // A score as text after its length; no text for infinities and what is no number.
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

/** Goes past a value. Throws a RdbFault for a type that is not known, and a Shortage where it is not whole. */
export function skipValue(bytes: RdbBytes, type: number, isValkey: boolean): void {
  const skip = SKIPS[type];
  if (!skip) throw bytes.fault(`a value of type ${type}, which is not known`);
  skip(bytes, isValkey);
}

/** Goes past the parts of a module's value, or of what a module saves beside values, and their end. */
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
  // How many entries, and the last id; since then also the first, the largest deleted, and how many were ever added.
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
  if (version < 4) return;
  // What producers have sent lately, so that they may send it again.
  numbers(2);
  repeat(bytes.length(), () => {
    bytes.skipString();
    repeat(bytes.length(), () => {
      bytes.skipString();
      numbers(2);
    });
  });
  numbers(2);
}
