import { Buffer } from 'node:buffer';
import { type Bytes, toBytes } from './bytes.ts';
import type { Argument, Command, Encoding } from './types.ts';

/**
 * An encoded command: a binary string (one char per byte, to be written as `'latin1'`) or, if it has long byte arrays as
 * arguments, a list that alternates between such strings and the arrays. A string is cheaper to build than a Buffer, and
 * many of them join into one write.
 */
export type Encoded = string | readonly (string | Uint8Array)[];

/** Byte arrays up to this length are cheaper to copy into the string than to write separately. */
const INLINE_BYTES = 2048;

/** V8 knows which strings have no char above 0xff and answers for them without scanning. */
const WIDE = /[\u0100-\uffff]/;

/** The end of the previous line and the length of an argument: joining fewer strings gives most of the speed. */
const LENGTH_LINES: readonly string[] = Array.from({ length: 256 }, (_, length) => `\r\n$${length}\r\n`);

function lengthLine(length: number): string {
  return LENGTH_LINES[length] ?? `\r\n$${length}\r\n`;
}

/** Encodes one command. Throws a TypeError for a command that cannot be sent. Long byte arrays are not copied. */
export function encodeCommand(command: Command, encoding: Encoding = 'utf8'): Encoded {
  if (command.length === 0) throw new TypeError('Cannot encode a command: it is empty');
  let text = `*${command.length}`;
  let pieces: (string | Uint8Array)[] | undefined;
  for (let index = 0; index < command.length; index++) {
    const argument = command[index] as Argument;
    if (typeof argument === 'string') {
      if (encoding === 'latin1' || Buffer.byteLength(argument) === argument.length) {
        text += lengthLine(argument.length) + argument;
        continue;
      }
    } else if (typeof argument === 'number' || typeof argument === 'bigint') {
      const digits = `${argument}`;
      text += lengthLine(digits.length) + digits;
      continue;
    }
    const bytes = bytesOf(argument, index);
    text += lengthLine(bytes.length);
    if (bytes.length <= INLINE_BYTES) {
      text += bytes.latin1Slice(0, bytes.length);
    } else {
      pieces ??= [];
      pieces.push(checked(text, encoding), bytes);
      text = '';
    }
  }
  text = checked(`${text}\r\n`, encoding);
  if (pieces === undefined) return text;
  pieces.push(text);
  return pieces;
}

/** Encodes many commands into as few pieces as possible. Throws as `encodeCommand()` does. */
export function encodeCommands(commands: readonly Command[], encoding: Encoding = 'utf8'): Encoded {
  let text = '';
  let pieces: (string | Uint8Array)[] | undefined;
  for (const command of commands) {
    const encoded = encodeCommand(command, encoding);
    if (typeof encoded === 'string') {
      text += encoded;
      continue;
    }
    pieces ??= [];
    pieces.push(text + encoded[0], ...encoded.slice(1, -1));
    text = encoded.at(-1) as string;
  }
  if (pieces === undefined) return text;
  pieces.push(text);
  return pieces;
}

/** Commands encoded by `prepareCommands()`. */
export interface PreparedCommands {
  readonly commands: readonly Command[];
  readonly bytes: Uint8Array;
}

/**
 * Encodes commands in advance, so that sending them takes no encoding time. Byte arrays are copied. Throws as
 * `encodeCommand()` does.
 */
export function prepareCommands(commands: readonly Command[], encoding: Encoding = 'utf8'): PreparedCommands {
  const encoded = encodeCommands(commands, encoding);
  if (typeof encoded === 'string') return { commands, bytes: Buffer.from(encoded, 'latin1') };
  const pieces = encoded.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece));
  return { commands, bytes: Buffer.concat(pieces) };
}

function checked(text: string, encoding: Encoding): string {
  if (encoding === 'latin1' && WIDE.test(text)) {
    throw new TypeError('Cannot encode a command as latin1: an argument has a char above 0xff');
  }
  return text;
}

function bytesOf(argument: Argument, index: number): Bytes {
  if (typeof argument === 'string') return Buffer.from(argument) as Bytes;
  if (argument instanceof Uint8Array) return toBytes(argument);
  const type = argument === null ? 'null' : typeof argument;
  throw new TypeError(
    `Cannot encode argument ${index} of a command: it is ${type}, not a string, number or bytes`,
  );
}
