import type { Io } from './io.ts';

// Control characters that a terminal acts on, and those that change the direction of text. Not tabs and line ends.
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it must find
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Makes text from nodes, such as addresses and error replies, safe for a terminal: control characters are shown as `\x1b`.
 */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNPRINTABLE, escapeCharacter);
}

/** The same for a JSON document, in which JSON.stringify does not escape DEL and above. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => `\\u${hex(character, 4)}`);
}

/** Colours of redis-cli, by the mark at the beginning of a line. */
const COLOURS: Readonly<Record<string, number>> = { '[OK]': 32, '[ERR]': 31, '[WARNING]': 33, '>>>': 29 };

function painted(text: string): string {
  return text.replace(
    /^(\[OK\]|\[ERR\]|\[WARNING\]|>>>).*/gm,
    (line, mark) => `\u001b[${COLOURS[mark]};1m${line}\u001b[0m`,
  );
}

/**
 * Passes all output through `printable`, and paints it on a terminal that shows colours. Only the progress view writes to the terminal
 * directly.
 */
export function printableIo(io: Io): Io {
  const isColoured = io.coloured?.() !== undefined;
  return {
    ...io,
    stdout: (text) => io.stdout(isColoured ? painted(printable(text)) : printable(text)),
    stderr: (text) => io.stderr(printable(text)),
    ask: (question) => io.ask(printable(question)),
  };
}

function escapeCharacter(character: string): string {
  return character < '\u0100' ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`;
}

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, '0');
}
