/** A length as an RDB file stores it, as latin1 (rdbSaveLen). */
export function lengthOf(length: number): string {
  if (length < 2 ** 6) return String.fromCharCode(length);
  if (length < 2 ** 14) return String.fromCharCode(0x40 | (length >> 8), length & 0xff);
  const bytes = Buffer.alloc(length < 2 ** 32 ? 5 : 9);
  bytes[0] = length < 2 ** 32 ? 0x80 : 0x81;
  if (length < 2 ** 32) bytes.writeUInt32BE(length, 1);
  else bytes.writeBigUInt64BE(BigInt(length), 1);
  return bytes.toString('latin1');
}

/** A string as an RDB file stores it, neither as a number nor compressed (rdbSaveRawString). */
export function stringOf(text: string): string {
  return lengthOf(text.length) + text;
}

/** A time in milliseconds since 1970, in 8 bytes; -1 for none. */
export function timeOf(ms: number): string {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64LE(BigInt(ms));
  return bytes.toString('latin1');
}
