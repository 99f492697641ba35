import { Buffer } from 'node:buffer';
import { type Bytes, toBytes } from './bytes.ts';
import type { Argument, Command, Encoding } from './types.ts';

/**
 * A command as it goes on the wire: a binary string (one char per byte, to be written as `'latin1'`) or,
 * where long byte arrays are among the arguments, such strings and those arrays in turn. A string costs
 * less to build than a Buffer, and many of them join into one write.
 */
export type Encoded = string | readonly (string | Uint8Array)[];

/** Byte arrays up to this length are cheaper copied into the string than written as a piece of their own. */
const INLINE_BYTES = 2048;

/** V8 knows which strings hold no char above 0xff and answers for those without looking at them. */
const WIDE = /[\u0100-\uffff]/;

/** The end of the line before and the length of an argument: joining fewer pieces is most of the speed. */
const LENGTH_LINES: readonly string[] = Array.from({ length: 256 }, (_, length) => `\r\n$${length}\r\n`);

function lengthLine(length: number): string {
  return LENGTH_LINES[length] ?? `\r\n$${length}\r\n`;
}

/** Encodes one command. Throws a TypeError for what cannot be sent; byte arrays are not copied. */
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

/** Encodes many commands into as few pieces as there can be. */
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
