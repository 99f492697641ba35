import type { Buffer } from 'node:buffer';
import type { ReplyError } from './errors.ts';

/** One argument of a command. Numbers travel as their decimal text, byte arrays as they are. */
export type Argument = string | number | bigint | Uint8Array;

/** A command and its arguments: `['CLUSTER', 'SETSLOT', 42, 'NODE', id]`. */
export type Command = readonly Argument[];

/**
 * How string arguments are written and string replies are read: `'utf8'` for text, `'latin1'` for binary
 * strings, which hold one byte of any value per char and survive a round trip unchanged.
 */
export type Encoding = 'utf8' | 'latin1';

/** Whether bulk and simple strings come back as JavaScript strings or as Buffers. */
export type ReplyForm = 'string' | 'buffer';

/**
 * A decoded reply. Integers are numbers where exact and bigints beyond 2^53; nil is null; an error inside an
 * array is a value like any other.
 */
export type Reply = string | Buffer | number | bigint | null | ReplyError | readonly Reply[];

/** What a peer may ask of us before it is taken for broken or hostile. */
export interface Limits {
  /** Longest bulk string, in bytes. @default 536870912 */
  maxBulkLength?: number | undefined;
  /** Most elements in one array. @default 4294967295 */
  maxArrayLength?: number | undefined;
  /** Most elements in all arrays of one reply together: what they take is not in proportion to what is sent. @default 16777216 */
  maxElements?: number | undefined;
  /** Longest reply, in bytes as they are sent; a few chunks more may be taken in. @default 1073741824 */
  maxReplyLength?: number | undefined;
  /** Deepest nesting of arrays. @default 128 */
  maxDepth?: number | undefined;
  /** Longest simple string or error line, in bytes. @default 65536 */
  maxLineLength?: number | undefined;
}
