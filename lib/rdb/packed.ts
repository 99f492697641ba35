/**
 * Readers of the compact encodings that an RDB file stores as one string: listpack (listpack.c), ziplist (ziplist.c), intset
 * (intset.c) and zipmap (zipmap.c). Each returns the elements as latin1, numbers as decimal text, and undefined for bytes that
 * are not of that encoding.
 */

const END = 0xff;

/** Positions and reads of one encoded string. Reads past the end give NaN, which no loop below survives. */
class Cursor {
  readonly #bytes: Buffer;
  at: number;

  constructor(text: string, at: number) {
    this.#bytes = Buffer.from(text, 'latin1');
    this.at = at;
  }

  get isAtEnd(): boolean {
    return this.at === this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.at++] ?? Number.NaN;
  }

  /** The next byte, which stays unread. */
  peek(): number {
    return this.#bytes[this.at] ?? Number.NaN;
  }

  text(length: number): string | undefined {
    // Written so that NaN, too, counts as past the end.
    if (!(this.at + length <= this.#bytes.length)) return undefined;
    this.at += length;
    return this.#bytes.toString('latin1', this.at - length, this.at);
  }

  /** A signed little-endian number of up to 8 bytes, as decimal text. */
  int(size: number): string | undefined {
    if (this.at + size > this.#bytes.length) return undefined;
    this.at += size;
    const from = this.at - size;
    return String(size === 8 ? this.#bytes.readBigInt64LE(from) : this.#bytes.readIntLE(from, size));
  }

  /** An unsigned number of 4 bytes. */
  length(isBigEndian = false): number {
    if (this.at + 4 > this.#bytes.length) return Number.NaN;
    this.at += 4;
    return isBigEndian ? this.#bytes.readUInt32BE(this.at - 4) : this.#bytes.readUInt32LE(this.at - 4);
  }

  skip(length: number): void {
    this.at += length;
  }
}

/** Reads elements up to the end mark. */
function elementsOf(cursor: Cursor, next: (cursor: Cursor) => string | undefined): string[] | undefined {
  const elements: string[] = [];
  while (cursor.peek() !== END) {
    const element = next(cursor);
    if (element === undefined) return undefined;
    elements.push(element);
  }
  cursor.skip(1);
  return cursor.isAtEnd ? elements : undefined;
}

const LISTPACK_HEADER_BYTES = 6;

export function readListpack(text: string): string[] | undefined {
  return elementsOf(new Cursor(text, LISTPACK_HEADER_BYTES), (cursor) => {
    const from = cursor.at;
    const element = listpackElement(cursor);
    // Each element is followed by its own length, seven bits a byte, for walking backwards (lpEncodeBacklenBytes).
    const length = cursor.at - from;
    cursor.skip(
      length < 2 ** 7
        ? 1
        : length < 2 ** 14 - 1
          ? 2
          : length < 2 ** 21 - 1
            ? 3
            : length < 2 ** 28 - 1
              ? 4
              : 5,
    );
    return element;
  });
}

function listpackElement(cursor: Cursor): string | undefined {
  const first = cursor.byte();
  if (first < 0x80) return String(first);
  if (first < 0xc0) return cursor.text(first & 0x3f);
  if (first < 0xe0) {
    const value = ((first & 0x1f) << 8) | cursor.byte();
    return String(value < 2 ** 12 ? value : value - 2 ** 13);
  }
  if (first < 0xf0) return cursor.text(((first & 0x0f) << 8) | cursor.byte());
  switch (first) {
    case 0xf0:
      return cursor.text(cursor.length());
    case 0xf1:
      return cursor.int(2);
    case 0xf2:
      return cursor.int(3);
    case 0xf3:
      return cursor.int(4);
    case 0xf4:
      return cursor.int(8);
  }
  return undefined;
}

const ZIPLIST_HEADER_BYTES = 10;

export function readZiplist(text: string): string[] | undefined {
  return elementsOf(new Cursor(text, ZIPLIST_HEADER_BYTES), (cursor) => {
    // The length of the element before, in one byte or in four after a mark.
    if (cursor.byte() === 0xfe) cursor.skip(4);
    return ziplistElement(cursor);
  });
}

function ziplistElement(cursor: Cursor): string | undefined {
  const first = cursor.byte();
  if (first < 0x40) return cursor.text(first);
  if (first < 0x80) return cursor.text(((first & 0x3f) << 8) | cursor.byte());
  switch (first) {
    case 0x80:
      return cursor.text(cursor.length(true));
    case 0xc0:
      return cursor.int(2);
    case 0xd0:
      return cursor.int(4);
    case 0xe0:
      return cursor.int(8);
    case 0xf0:
      return cursor.int(3);
    case 0xfe:
      return cursor.int(1);
  }
  // 0 to 12 in the mark itself.
  return first >= 0xf1 && first <= 0xfd ? String(first - 0xf1) : undefined;
}

export function readIntset(text: string): string[] | undefined {
  const cursor = new Cursor(text, 0);
  const [size, count] = [cursor.length(), cursor.length()];
  if (![2, 4, 8].includes(size) || text.length !== 8 + size * count) return undefined;
  return Array.from({ length: count }, () => cursor.int(size) as string);
}

/** Fields and values, alternating. */
export function readZipmap(text: string): string[] | undefined {
  let isField = true;
  return elementsOf(new Cursor(text, 1), (cursor) => {
    let length = cursor.byte();
    if (length === 0xfe) length = cursor.length();
    // A value may be followed by unused bytes, whose number stands before it.
    const unused = isField ? 0 : cursor.byte();
    isField = !isField;
    const element = cursor.text(length);
    cursor.skip(unused);
    return element;
  });
}
