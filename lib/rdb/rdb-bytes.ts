/** An RDB file that cannot be read or restored. */
export class RdbFault extends Error {
  /** Position of the fault in the file, in bytes. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** Thrown if the bytes end before the item does. The item is read again once `wanted` bytes are there. */
export class Shortage {
  readonly wanted: number;

  constructor(wanted: number) {
    this.wanted = wanted;
  }
}

/** The longest value that RESTORE accepts (proto-max-bulk-len). */
const MOST_BYTES = 512 * 1024 * 1024;

/** Encodings of a string, given in place of its length. */
const INT8 = 0;
const INT16 = 1;
const INT32 = 2;
const LZF = 3;

/** Reads as many items as a file says. Makes room for none before it is read: a number that is wrong ends in a Shortage. */
export function times<Item>(count: number, read: (index: number) => Item): Item[] {
  const items: Item[] = [];
  for (let index = 0; index < count; index++) items.push(read(index));
  return items;
}

/** The unread bytes of an RDB file, and readers of its parts. Every reader throws a Shortage if the bytes end too early. */
export class RdbBytes {
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  /** Bytes of the file before the buffer. */
  #before = 0;
  #end = 0;
  /** Position of the next byte in the buffer. */
  at = 0;

  /** Number of unread bytes. */
  get available(): number {
    return this.#end - this.at;
  }

  /** Position of the next byte in the file. */
  get offset(): number {
    return this.#before + this.at;
  }

  /** Adds bytes and drops those already read. Slices returned before become invalid. */
  add(chunk: Uint8Array): void {
    const left = this.available;
    if (left + chunk.length > this.#bytes.length) {
      const grown = new Uint8Array(
        Math.max(left + chunk.length, Math.min(2 * this.#bytes.length, MOST_BYTES)),
      );
      grown.set(this.#bytes.subarray(this.at, this.#end));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    } else {
      this.#bytes.copyWithin(0, this.at, this.#end);
    }
    this.#before += this.at;
    this.#bytes.set(chunk, left);
    this.at = 0;
    this.#end = left + chunk.length;
  }

  /** Bytes between two positions in the buffer. Valid until the next `add()`. */
  slice(from: number, to: number): Uint8Array {
    return this.#bytes.subarray(from, to);
  }

  byte(): number {
    this.#need(1);
    return this.#bytes[this.at++] as number;
  }

  skip(length: number): void {
    this.#need(length);
    this.at += length;
  }

  take(length: number): Uint8Array {
    this.skip(length);
    return this.slice(this.at - length, this.at);
  }

  /** Bytes as latin1. */
  raw(length: number): string {
    return latin1(this.take(length));
  }

  /** A time: milliseconds since 1970, in 8 bytes. */
  time(): number {
    this.skip(8);
    return Number(this.#view.getBigInt64(this.at - 8, true));
  }

  /** A time: seconds since 1970, in 4 bytes. */
  seconds(): number {
    this.skip(4);
    return this.#view.getUint32(this.at - 4, true);
  }

  /** A length or another unsigned number, inexact above 2^53. Throws a RdbFault if it is a string encoding. */
  length(): number {
    const length = this.#lengthOrEncoding();
    if (length < 0) throw this.fault('no length where one should be');
    return length;
  }

  /** The same, exact. */
  exactLength(): bigint {
    const at = this.at;
    const length = this.length();
    return this.at - at > 8 ? this.#view.getBigUint64(at + 1) : BigInt(length);
  }

  skipString(): void {
    const length = this.#lengthOrEncoding();
    if (length >= 0) this.skip(length);
    else this.skip(this.#encodedBytes(length));
  }

  /** A string as latin1: one char per byte. */
  string(): string {
    const length = this.#lengthOrEncoding();
    if (length >= 0) return latin1(this.take(length));
    const encoding = -1 - length;
    if (encoding === LZF) {
      const [packed, unpacked] = [this.length(), this.length()];
      const bytes = unpackLzf(this.take(packed), unpacked);
      if (bytes === undefined) throw this.fault('a compressed string that cannot be unpacked');
      return latin1(bytes);
    }
    const size = this.#encodedBytes(length);
    this.skip(size);
    const [view, at] = [this.#view, this.at - size];
    return String(
      size === 1 ? view.getInt8(at) : size === 2 ? view.getInt16(at, true) : view.getInt32(at, true),
    );
  }

  fault(message: string): RdbFault {
    return new RdbFault(message, this.offset);
  }

  /** Bytes of an encoded string. */
  #encodedBytes(encoded: number): number {
    const encoding = -1 - encoded;
    if (encoding === INT8 || encoding === INT16 || encoding === INT32) return 2 ** encoding;
    if (encoding !== LZF) throw this.fault(`a string in encoding ${encoding}, which is not known`);
    const packed = this.length();
    this.length();
    return packed;
  }

  // A negative result stands for an encoding (rdbLoadLenByRef).
  #lengthOrEncoding(): number {
    const first = this.byte();
    const low = first & 0x3f;
    switch (first >> 6) {
      case 0:
        return low;
      case 1:
        return (low << 8) | this.byte();
      case 3:
        return -1 - low;
    }
    if (first === 0x80) {
      this.skip(4);
      return this.#view.getUint32(this.at - 4);
    }
    if (first !== 0x81) throw this.fault('an invalid length');
    this.skip(8);
    return Number(this.#view.getBigUint64(this.at - 8));
  }

  #need(length: number): void {
    if (this.at + length <= this.#end) return;
    if (this.at + length > MOST_BYTES) throw this.fault('a value longer than any server takes');
    throw new Shortage(this.at + length);
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Decompresses LZF data (lzf_d.c). Returns undefined if the result does not have this length. */
export function unpackLzf(packed: Uint8Array, length: number): Uint8Array | undefined {
  // No packed byte stands for more than 88 bytes.
  if (length > packed.length * 88) return undefined;
  const bytes = new Uint8Array(length);
  let [from, to] = [0, 0];
  const next = (): number => packed[from++] ?? 0;
  while (from < packed.length) {
    const control = next();
    if (control < 32) {
      const end = from + control + 1;
      if (end > packed.length || to + control + 1 > length) return undefined;
      bytes.set(packed.subarray(from, end), to);
      to += control + 1;
      from = end;
      continue;
    }
    let count = control >> 5;
    if (count === 7) count += next();
    let back = to - ((control & 31) << 8) - next() - 1;
    if (from > packed.length || back < 0 || to + count + 2 > length) return undefined;
    // Byte by byte, since the copy may overlap its own output.
    for (count += 2; count > 0; count--) bytes[to++] = bytes[back++] as number;
  }
  return to === length ? bytes : undefined;
}
