import { CRC64_START, type Crc64, crc64, crc64Bytes } from './crc64.ts';
import { RdbBytes, RdbFault, Shortage } from './rdb-bytes.ts';
import { FIRST_OF_VALKEY, skipModuleParts, skipValue } from './rdb-values.ts';

/** A key in an RDB file. */
export interface RdbKey {
  readonly kind: 'key';
  readonly db: number;
  /** As latin1: one char per byte. */
  readonly key: string;
  /** Milliseconds since 1970; undefined if the key does not expire. */
  readonly expiresAt: number | undefined;
  readonly type: number;
  /** The value as stored in the file, without type and key. Valid until the next `push()`. */
  readonly value: Uint8Array;
}

/** A function library in an RDB file. */
export interface RdbFunctions {
  readonly kind: 'functions';
  readonly code: string;
}

export type RdbItem = RdbKey | RdbFunctions;

/** Opcodes, given in place of a type (rdb.h). */
const OPCODE = {
  slotImportOrKeyMeta: 243,
  slotInfo: 244,
  functions: 245,
  functionsPreRelease: 246,
  moduleAux: 247,
  idle: 248,
  frequency: 249,
  aux: 250,
  resizeDb: 251,
  expireMs: 252,
  expireSeconds: 253,
  selectDb: 254,
  end: 255,
} as const;

const MAGIC_BYTES = 9;
const CHECKSUM_BYTES = 8;
/** Files end with a checksum since this version. It is 0 if `rdbchecksum` is off. */
const FIRST_WITH_CHECKSUM = 5;
/** Most bytes to wait for before trying again to read a long value. */
const MOST_WAITED_BYTES = 64 * 1024 * 1024;

/**
 * Reads an RDB file in chunks of any size. Finds keys with their values, which stay encoded, and function libraries.
 * Throws a RdbFault, with the position in the file, for anything it cannot read.
 */
export class RdbWalker {
  readonly #bytes = new RdbBytes();
  readonly #isChecked: boolean;
  #checksum: Crc64 = CRC64_START;
  #wanted = 0;
  #version = 0;
  #db = 0;
  #isWhole = false;

  /** `isChecked`: whether to verify the checksum at the end of the file. */
  constructor(isChecked = true) {
    this.#isChecked = isChecked;
  }

  /** RDB version; 0 until the start of the file has been read. */
  get version(): number {
    return this.#version;
  }

  /** Adds the next bytes and returns the items that they complete. */
  push(chunk: Uint8Array): RdbItem[] {
    this.#bytes.add(chunk);
    return this.#read();
  }

  /** Returns the items that are left. Throws a RdbFault if the file is incomplete. */
  end(): RdbItem[] {
    this.#wanted = 0;
    const items = this.#read();
    if (!this.#isWhole) throw this.#bytes.fault('the end of the file before its end is due');
    return items;
  }

  #read(): RdbItem[] {
    const bytes = this.#bytes;
    const items: RdbItem[] = [];
    while (bytes.available > 0 && bytes.available >= this.#wanted) {
      const from = bytes.at;
      try {
        const item = this.#next();
        if (item) items.push(item);
        this.#wanted = 0;
      } catch (error) {
        if (!(error instanceof Shortage)) throw error;
        bytes.at = from;
        // The item is read again from its start: wait until the bytes have doubled, to keep the total work linear.
        const more = Math.min(bytes.available, MOST_WAITED_BYTES);
        this.#wanted = Math.max(error.wanted - from, bytes.available + more);
        break;
      }
      if (this.#isChecked && !this.#isWhole)
        this.#checksum = crc64(this.#checksum, bytes.slice(from, bytes.at));
    }
    return items;
  }

  #next(): RdbItem | undefined {
    const bytes = this.#bytes;
    if (this.#version === 0) return this.#readMagic();
    if (this.#isWhole) throw bytes.fault('bytes after the end');
    let expiresAt: number | undefined;
    for (;;) {
      const type = bytes.byte();
      switch (type) {
        // Attributes of the key that follows.
        case OPCODE.expireMs:
          expiresAt = bytes.time();
          continue;
        case OPCODE.expireSeconds:
          expiresAt = 1000 * bytes.seconds();
          continue;
        case OPCODE.idle:
          bytes.length();
          continue;
        case OPCODE.frequency:
          bytes.byte();
          continue;
      }
      if (type >= OPCODE.slotImportOrKeyMeta) return this.#readOpcode(type);
      return this.#readKey(type, expiresAt);
    }
  }

  #readMagic(): undefined {
    const text = String.fromCharCode(...this.#bytes.take(MAGIC_BYTES));
    const [, digits] =
      /^(?:REDIS(\d{4})|VALKEY(\d{3}))$/.exec(text)?.filter((part) => part !== undefined) ?? [];
    this.#version = Number(digits ?? 0);
    if (this.#version === 0) throw this.#bytes.fault('no RDB file');
  }

  #readKey(type: number, expiresAt: number | undefined): RdbKey {
    const bytes = this.#bytes;
    const key = bytes.string();
    const from = bytes.at;
    try {
      skipValue(bytes, type, this.#version >= FIRST_OF_VALKEY);
    } catch (error) {
      if (!(error instanceof RdbFault)) throw error;
      throw new RdbFault(
        `${error.message}, of key ${JSON.stringify(Buffer.from(key, 'latin1').toString())}`,
        error.offset,
      );
    }
    return { kind: 'key', db: this.#db, key, expiresAt, type, value: bytes.slice(from, bytes.at) };
  }

  #readOpcode(opcode: number): RdbFunctions | undefined {
    const bytes = this.#bytes;
    switch (opcode) {
      case OPCODE.end:
        return this.#readEnd();
      case OPCODE.selectDb:
        this.#db = bytes.length();
        return undefined;
      case OPCODE.aux:
        bytes.skipString();
        bytes.skipString();
        return undefined;
      case OPCODE.resizeDb:
        bytes.length();
        bytes.length();
        return undefined;
      case OPCODE.slotInfo:
        for (let part = 0; part < 3; part++) bytes.length();
        return undefined;
      case OPCODE.moduleAux:
        bytes.length();
        skipModuleParts(bytes);
        return undefined;
      case OPCODE.functions:
        return { kind: 'functions', code: bytes.string() };
      case OPCODE.slotImportOrKeyMeta:
        if (this.#version >= FIRST_OF_VALKEY) return this.#skipSlotImport();
    }
    throw bytes.fault(`opcode ${opcode}, which is not known`);
  }

  #skipSlotImport(): undefined {
    this.#bytes.skipString();
    for (let left = 2 * this.#bytes.length(); left > 0; left--) this.#bytes.length();
  }

  #readEnd(): undefined {
    const bytes = this.#bytes;
    if (this.#version >= FIRST_WITH_CHECKSUM) {
      const at = bytes.at;
      const found = bytes.take(CHECKSUM_BYTES);
      const wanted = crc64Bytes(crc64(this.#checksum, bytes.slice(at - 1, at)));
      const isThere = found.some((byte) => byte !== 0);
      if (this.#isChecked && isThere && found.some((byte, index) => byte !== wanted[index])) {
        throw bytes.fault("a checksum that is not the file's");
      }
    }
    this.#isWhole = true;
  }
}
