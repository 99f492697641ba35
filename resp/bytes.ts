import { Buffer, constants } from 'node:buffer';
import { createReplyError } from './errors.ts';
import type { Reply } from './types.ts';

/** Up to this length, building a string from char codes is faster than a call into C++. */
const TINY = 4;

/** The slice primitives under `toString()`: half the cost, and available in Node, Bun and Deno. */
export interface Bytes extends Buffer {
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
}

type BufferConstructor = new (memory: ArrayBufferLike, offset: number, length: number) => Buffer;

export const FastBuffer: BufferConstructor = (Buffer as unknown as { [Symbol.species]: BufferConstructor })[
  Symbol.species
];

/** The same memory as a Buffer. */
export function toBytes(array: Uint8Array): Bytes {
  if (Buffer.isBuffer(array)) return array as Bytes;
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength) as Bytes;
}

/** `subarray()` without its species lookup. */
export function view(bytes: Bytes, start: number, stop: number): Buffer {
  return new FastBuffer(bytes.buffer, bytes.byteOffset + start, stop - start);
}

/** Decodes a range of bytes as a string. A range too long for a string gives a STRINGTOOLONG error as the value. */
export function read(bytes: Bytes, start: number, stop: number, latin1: boolean): Reply {
  const length = stop - start;
  if (length <= TINY) {
    let text = '';
    for (; start < stop; start++) {
      const byte = bytes[start] as number;
      if (byte > 127) break;
      text += String.fromCharCode(byte);
    }
    if (start === stop) return text;
    start = stop - length;
  }
  if (length > constants.MAX_STRING_LENGTH) return readHuge(bytes, start, stop, latin1);
  return latin1 ? bytes.latin1Slice(start, stop) : bytes.utf8Slice(start, stop);
}

/** A value too long for a string fails only the command that asked for it. */
function readHuge(bytes: Bytes, start: number, stop: number, latin1: boolean): Reply {
  try {
    return latin1 ? bytes.latin1Slice(start, stop) : bytes.utf8Slice(start, stop);
  } catch {
    return createReplyError(
      `STRINGTOOLONG A bulk string of ${stop - start} bytes does not fit in a JavaScript string: read it as a Buffer`,
    );
  }
}
