import { Buffer } from 'node:buffer';
import { type Bytes, FastBuffer, read, toBytes, view } from './bytes.ts';
import { createReplyError } from './errors.ts';
import { badNumber, badTerminator, checkNumber, longInteger, overLimit, unknownType } from './faults.ts';
import type { Encoding, Limits, Reply, ReplyForm } from './types.ts';

const LF = 10;
const CR = 13;
const PLUS = 43;
const MINUS = 45;
/** A line cut off by the end of a chunk is read again from its start with each chunk, up to this length. */
const SHORT_LINE = 64;
/** Size of the memory shared by short bulk strings that the end of a chunk cut in two. */
const SLAB = 64 * 1024;

export interface DecoderOptions extends Limits {
  /** Called synchronously with each reply, in order. Must not throw or call `write()`. */
  onReply: (reply: Reply) => void;
  /** How strings are read. @default 'utf8' */
  encoding?: Encoding | undefined;
  /** Form of bulk and simple strings. @default 'string' */
  as?: ReplyForm | undefined;
}

/**
 * Decodes RESP2 replies from chunks of any size. It reads each byte once, except in a short line cut off by the end of a
 * chunk. It never recurses. A declared length alone allocates memory only for a bulk string, which is filled in place.
 *
 * `write()` throws a {@link ProtocolError} on anything that is not strictly RESP2 or exceeds a limit, and so does every
 * later `write()`: after a fault the start of the next reply is unknown.
 *
 * A Buffer in a reply is a view of the chunk it came in, or of memory as large. Copy it to keep a few bytes for long.
 */
export class Decoder {
  /** Form of the replies that begin from now on. A reply that has begun keeps its form. */
  as: ReplyForm;

  readonly #onReply: (reply: Reply) => void;
  readonly #latin1: boolean;
  readonly #maxBulkLength: number;
  readonly #maxArrayLength: number;
  readonly #maxElements: number;
  readonly #maxReplyLength: number;
  readonly #maxDepth: number;
  readonly #maxLineLength: number;

  // The array being filled, and the arrays around it by depth.
  #depth = 0;
  #list: Reply[] = [];
  #index = 0;
  #size = 0;
  readonly #lists: Reply[][] = [];
  readonly #indexes: number[] = [];
  readonly #sizes: number[] = [];

  // A bulk string that continues past its chunk, CRLF included.
  #bulk: Bytes | undefined;
  #filled = 0;
  #slab: Bytes | undefined;
  #slabUsed = 0;

  // A line that continues past its chunk, and the stream offset of its start.
  #line: Bytes | undefined;
  #lineLength = 0;
  #lineOffset = 0;

  // Elements declared so far by the arrays of the current reply, and the stream offset of the chunk it began in.
  #elements = 0;
  #begun = 0;

  #asBuffer: boolean;
  #offset = 0;
  /** Stream offset of the first byte that `#decode()` was given. */
  #base = 0;
  #busy = false;
  #failure: unknown;

  constructor({
    onReply,
    encoding = 'utf8',
    as = 'string',
    maxBulkLength = 512 * 1024 * 1024,
    maxArrayLength = 2 ** 32 - 1,
    maxElements = 2 ** 24,
    maxReplyLength = 1024 * 1024 * 1024,
    maxDepth = 128,
    maxLineLength = 64 * 1024,
  }: DecoderOptions) {
    this.#onReply = onReply;
    this.#latin1 = encoding === 'latin1';
    this.as = as;
    this.#asBuffer = as === 'buffer';
    this.#maxBulkLength = maxBulkLength;
    this.#maxArrayLength = maxArrayLength;
    this.#maxElements = maxElements;
    this.#maxReplyLength = maxReplyLength;
    this.#maxDepth = maxDepth;
    this.#maxLineLength = maxLineLength;
  }

  /** True if a reply has begun and not ended. */
  get midReply(): boolean {
    return this.#depth > 0 || this.#bulk !== undefined || this.#line !== undefined;
  }

  /** Bytes received so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Decodes a chunk and calls `onReply` for each reply that it completes. Throws a {@link ProtocolError}. */
  write(chunk: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#busy) throw new Error('Cannot write to a decoder from its onReply callback');
    const bytes = toBytes(chunk);
    this.#busy = true;
    if (!this.midReply) this.#asBuffer = this.as === 'buffer';
    try {
      let position = 0;
      while (position < bytes.length) {
        if (this.#bulk !== undefined) position = this.#fillBulk(this.#bulk, bytes, position);
        else if (this.#line !== undefined) position = this.#joinLine(this.#line, bytes, position);
        else {
          this.#base = this.#offset;
          position = this.#decode(bytes, position, undefined);
        }
      }
      this.#offset += bytes.length;
      if (!this.midReply) this.#begun = this.#offset;
      else if (this.#offset - this.#begun > this.#maxReplyLength)
        throw overLimit(`A reply of more than ${this.#maxReplyLength} bytes`, this.#begun);
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** Decodes from `position` to the end. A `value` is an element decoded before, to be placed first. */
  #decode(bytes: Bytes, position: number, value: Reply | undefined): number {
    // Local, because a bundler turns constants of the module into variables, which costs a third of the speed.
    const LF = 10;
    const CR = 13;
    const PLUS = 43;
    const MINUS = 45;
    const COLON = 58;
    const DOLLAR = 36;
    const STAR = 42;
    const ZERO = 48;
    const NINE = 57;
    /** Numbers with up to this many digits are exact as doubles. */
    const SAFE_DIGITS = 15;
    /** A declared length may be a lie: allocate at most this many elements before they arrive. */
    const MAX_PREALLOCATED = 1024;

    const end = bytes.length;
    const memory = bytes.buffer;
    const origin = bytes.byteOffset;
    const latin1 = this.#latin1;
    const onReply = this.#onReply;
    let asBuffer = this.#asBuffer;
    let depth = this.#depth;
    let list = this.#list;
    let index = this.#index;
    let size = this.#size;
    let start = position;

    decoding: for (;;) {
      if (value === undefined) {
        start = position;
        if (start >= end) break;
        const type = bytes[start] as number;
        if (type === COLON || type === DOLLAR || type === STAR) {
          // A number: at least one digit, no plus sign, no leading zero.
          let byte = 0;
          let number = 0;
          position++;
          const negative = position < end && bytes[position] === MINUS;
          if (negative) position++;
          const first = position;
          while (position < end) {
            byte = bytes[position] as number;
            if (byte < ZERO || byte > NINE) break;
            number = number * 10 + (byte - ZERO);
            position++;
          }
          const digits = position - first;
          if (
            digits === 0 ||
            digits > SAFE_DIGITS ||
            position + 1 >= end ||
            byte !== CR ||
            bytes[position + 1] !== LF ||
            (bytes[first] === ZERO && (digits > 1 || negative))
          ) {
            checkNumber(bytes, start, first, position, this.#base + start);
            if (position + 1 >= end) break;
          }
          position += 2;

          if (type === COLON) {
            if (digits > SAFE_DIGITS) value = longInteger(bytes, start, first + digits, this.#base + start);
            else if (negative) value = -number;
            else value = number;
          } else if (negative) {
            if (number !== 1) throw badNumber(bytes, start, position, this.#base + start);
            value = null;
          } else if (type === DOLLAR) {
            if (number > this.#maxBulkLength)
              throw overLimit(`A bulk string of ${number} bytes`, this.#base + start);
            const stop = position + number;
            if (stop + 2 > end) {
              this.#startBulk(bytes, position, number, asBuffer);
              start = end;
              break;
            }
            if (bytes[stop] !== CR) throw badTerminator('a bulk string', this.#base + stop);
            if (bytes[stop + 1] !== LF) throw badTerminator('a bulk string', this.#base + stop + 1);
            value = asBuffer
              ? new FastBuffer(memory, origin + position, number)
              : read(bytes, position, stop, latin1);
            position = stop + 2;
          } else if (number === 0) {
            value = [];
          } else {
            if (number > this.#maxArrayLength)
              throw overLimit(`An array of ${number} elements`, this.#base + start);
            this.#elements = depth === 0 ? number : this.#elements + number;
            if (this.#elements > this.#maxElements)
              throw overLimit(`A reply of ${this.#elements} elements`, this.#base + start);
            if (depth >= this.#maxDepth) throw overLimit(`An array ${depth + 1} deep`, this.#base + start);
            this.#lists[depth] = list;
            this.#indexes[depth] = index;
            this.#sizes[depth] = size;
            depth++;
            list = new Array<Reply>(Math.min(number, MAX_PREALLOCATED));
            index = 0;
            size = number;
            continue;
          }
        } else if (type === PLUS || type === MINUS) {
          position++;
          // "OK", the most frequent simple string, is not built each time.
          if (
            type === PLUS &&
            !asBuffer &&
            position + 3 < end &&
            bytes[position] === 79 &&
            bytes[position + 1] === 75 &&
            bytes[position + 2] === CR &&
            bytes[position + 3] === LF
          ) {
            value = 'OK';
            position += 4;
          } else {
            const first = position;
            let byte = 0;
            while (position < end) {
              byte = bytes[position] as number;
              if (byte === CR || byte === LF) break;
              position++;
            }
            if (position - first > this.#maxLineLength) throw overLimit('A line', this.#base + start);
            if (position < end && byte === LF) throw badTerminator('a line', this.#base + position);
            if (position + 1 >= end) break;
            if (bytes[position + 1] !== LF) throw badTerminator('a line', this.#base + position + 1);
            if (type === MINUS) value = createReplyError(read(bytes, first, position, latin1) as string);
            else
              value = asBuffer
                ? new FastBuffer(memory, origin + first, position - first)
                : read(bytes, first, position, latin1);
            position += 2;
          }
        } else {
          throw unknownType(bytes, start, this.#base + start);
        }
      }

      while (depth > 0) {
        list[index++] = value;
        if (index < size) {
          value = undefined;
          continue decoding;
        }
        value = list;
        depth--;
        list = this.#lists[depth] as Reply[];
        index = this.#indexes[depth] as number;
        size = this.#sizes[depth] as number;
      }
      onReply(value);
      this.#begun = this.#offset;
      value = undefined;
      asBuffer = this.as === 'buffer';
    }

    this.#asBuffer = asBuffer;
    this.#depth = depth;
    this.#list = list;
    this.#index = index;
    this.#size = size;
    this.#lists.length = depth; // Release the arrays of finished replies
    if (start < end) this.#startLine(bytes, start);
    return end;
  }

  #startLine(bytes: Bytes, start: number): void {
    this.#lineLength = bytes.length - start;
    this.#lineOffset = this.#base + start;
    this.#line = Buffer.allocUnsafe(this.#lineLength + SHORT_LINE) as Bytes;
    bytes.copy(this.#line, 0, start);
  }

  /**
   * Adds to the line up to its LF. A short line is then read again from its start, to report a fault at once. A long line
   * is read again only at its end or at a fault: otherwise a line sent byte by byte would take quadratic time.
   */
  #joinLine(line: Bytes, bytes: Bytes, position: number): number {
    const lf = bytes.indexOf(LF, position);
    const stop = lf === -1 ? bytes.length : lf + 1;
    const before = this.#lineLength;
    const length = before + stop - position;
    if (length > this.#maxLineLength + 3) throw overLimit('A line', this.#lineOffset);
    if (length > line.length) {
      this.#line = Buffer.allocUnsafe(length * 2) as Bytes;
      line.copy(this.#line, 0, 0, before);
      line = this.#line;
    }
    bytes.copy(line, before, position, stop);
    this.#lineLength = length;
    // A CR not followed by LF is a fault: report it without waiting for the end of the line.
    const cr = lf === -1 ? bytes.indexOf(CR, position) : -1;
    // A number is never this long, so any other line is a fault. Reading it again reports the fault.
    const isText = line[0] === PLUS || line[0] === MINUS;
    const isOver = !isText || lf !== -1 || (cr !== -1 && cr < stop - 1) || line[before - 1] === CR;
    if (isOver || length <= SHORT_LINE) {
      this.#line = undefined;
      this.#base = this.#lineOffset;
      this.#decode(line.subarray(0, length) as Bytes, 0, undefined);
    }
    return stop;
  }

  /**
   * Allocates a bulk string that continues past its chunk. A long one gets its own memory, which the system commits as it
   * fills. A short one gets a piece of the slab, which is reused if the value becomes a string.
   */
  #startBulk(bytes: Bytes, position: number, length: number, asBuffer: boolean): void {
    const room = length + 2;
    if (room > SLAB / 4) {
      this.#bulk = Buffer.allocUnsafeSlow(room) as Bytes;
    } else {
      if (this.#slab === undefined || this.#slabUsed + room > SLAB) {
        this.#slab = Buffer.allocUnsafeSlow(SLAB) as Bytes;
        this.#slabUsed = 0;
      }
      this.#bulk = view(this.#slab, this.#slabUsed, this.#slabUsed + room) as Bytes;
      if (asBuffer) this.#slabUsed += room;
    }
    this.#filled = bytes.copy(this.#bulk, 0, position);
    if (this.#filled > length && this.#bulk[length] !== CR)
      throw badTerminator('a bulk string', this.#base + position + length);
  }

  #fillBulk(bulk: Bytes, bytes: Bytes, position: number): number {
    const length = bulk.length - 2;
    const stop = Math.min(bytes.length, position + bulk.length - this.#filled);
    bytes.copy(bulk, this.#filled, position, stop);
    this.#filled += stop - position;
    this.#base = this.#offset + stop - this.#filled;
    if (this.#filled > length && bulk[length] !== CR)
      throw badTerminator('a bulk string', this.#base + length);
    if (this.#filled < bulk.length) return stop;
    if (bulk[length + 1] !== LF) throw badTerminator('a bulk string', this.#base + length + 1);
    this.#bulk = undefined;
    this.#base = this.#offset;
    return this.#decode(
      bytes,
      stop,
      this.#asBuffer ? view(bulk, 0, length) : read(bulk, 0, length, this.#latin1),
    );
  }
}
