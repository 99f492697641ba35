import type { Buffer } from 'node:buffer';
import type { ReplyError } from './errors.ts';

/** One argument of a command. Numbers are sent as decimal text, byte arrays as they are. */
export type Argument = string | number | bigint | Uint8Array;

/** A command and its arguments: `['CLUSTER', 'SETSLOT', 42, 'NODE', id]`. */
export type Command = readonly Argument[];

/**
 * How string arguments are written and string replies are read: `'utf8'` for text, `'latin1'` for binary strings, which
 * hold one byte per char and survive a round trip unchanged.
 */
export type Encoding = 'utf8' | 'latin1';

/** Form of bulk and simple strings in a reply: JavaScript strings or Buffers. */
export type ReplyForm = 'string' | 'buffer';

/**
 * A decoded reply. Integers are numbers, or bigints beyond 2^53; nil is null; an error inside an array is a value like
 * any other.
 */
export type Reply = string | Buffer | number | bigint | null | ReplyError | readonly Reply[];

/** Limits on what a peer may send. A peer that exceeds one is treated as broken or hostile. */
export interface Limits {
  /** Longest bulk string, in bytes. @default 536870912 */
  maxBulkLength?: number | undefined;
  /** Most elements in one array. @default 4294967295 */
  maxArrayLength?: number | undefined;
  /** Most elements in all arrays of one reply together: an element takes more memory than the bytes sent for it. @default 16777216 */
  maxElements?: number | undefined;
  /** Longest reply, in bytes as sent. Checked per chunk, so a few chunks more may be read. @default 1073741824 */
  maxReplyLength?: number | undefined;
  /** Deepest nesting of arrays. @default 128 */
  maxDepth?: number | undefined;
  /** Longest simple string or error line, in bytes. @default 65536 */
  maxLineLength?: number | undefined;
}
