/** CRC-64 of RDB files and DUMP payloads (Jones polynomial, reflected). Two 32-bit halves, which may be negative. */
export interface Crc64 {
  readonly high: number;
  readonly low: number;
}

/** The checksum of no bytes. */
export const CRC64_START: Crc64 = { high: 0, low: 0 };

/** The polynomial ad93d235 94c935a9, bits reversed. */
const POLYNOMIAL: Crc64 = { high: 0x95ac9329, low: 0xac4bc9b5 };
/** Bytes processed at a time. */
const SLICES = 8;

let tables: { readonly high: Int32Array; readonly low: Int32Array } | undefined;

// Made on first use, since most operations do not need them.
function makeTables(): { readonly high: Int32Array; readonly low: Int32Array } {
  const [high, low] = [new Int32Array(256 * SLICES), new Int32Array(256 * SLICES)];
  for (let index = 0; index < 256; index++) {
    let [h, l] = [0, index];
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = l & 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (isOdd) [h, l] = [h ^ POLYNOMIAL.high, l ^ POLYNOMIAL.low];
    }
    [high[index], low[index]] = [h, l];
  }
  for (let index = 256; index < 256 * SLICES; index++) {
    const [h, l] = [high[index - 256] as number, low[index - 256] as number];
    high[index] = (h >>> 8) ^ (high[l & 255] as number);
    low[index] = ((l >>> 8) | (h << 24)) ^ (low[l & 255] as number);
  }
  return { high, low };
}

/** Extends the checksum `before` by these bytes. */
export function crc64(before: Crc64, bytes: Uint8Array): Crc64 {
  tables ??= makeTables();
  const { high, low } = tables;
  let [h, l] = [before.high, before.low];
  let at = 0;
  for (const last = bytes.length - SLICES; at <= last; at += SLICES) {
    l ^= word(bytes, at);
    h ^= word(bytes, at + 4);
    const next = sliced(high, h, l);
    l = sliced(low, h, l);
    h = next;
  }
  for (; at < bytes.length; at++) {
    const index = (l ^ (bytes[at] as number)) & 255;
    l = ((l >>> 8) | (h << 24)) ^ (low[index] as number);
    h = (h >>> 8) ^ (high[index] as number);
  }
  return { high: h, low: l };
}

// The combined table entries of eight bytes, from the lowest of `l` to the highest of `h`, for one half of the checksum.
function sliced(table: Int32Array, h: number, l: number): number {
  return (
    entry(table, 7, l) ^
    entry(table, 6, l >>> 8) ^
    entry(table, 5, l >>> 16) ^
    entry(table, 4, l >>> 24) ^
    entry(table, 3, h) ^
    entry(table, 2, h >>> 8) ^
    entry(table, 1, h >>> 16) ^
    entry(table, 0, h >>> 24)
  );
}

function entry(table: Int32Array, slice: number, byte: number): number {
  return table[slice * 256 + (byte & 255)] as number;
}

function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** The eight bytes of a checksum as stored: lowest first. */
export function crc64Bytes({ high, low }: Crc64): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, low >>> 0, true);
  view.setUint32(4, high >>> 0, true);
  return bytes;
}
