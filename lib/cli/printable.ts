import type { Io } from './io.ts';

// What moves the cursor, changes colours, titles and keyboards, or turns the direction of text. Tabs and line ends stay.
const UNPRINTABLE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text that nodes had a say in, such as their addresses and error replies, with whatever a terminal would take for a command
 * shown as `\x1b`.
 */
export function printable(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(UNPRINTABLE, escapeCharacter);
}

/** The same for a JSON document, whose own escapes leave out DEL and what is above it. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => `\\u${hex(character, 4)}`);
}

/** Everything that is printed goes through `printable`, but for what a view of its own writes to steer the terminal. */
export function printableIo(io: Io): Io {
  return {
    ...io,
    stdout: (text) => io.stdout(printable(text)),
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
