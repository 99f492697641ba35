import type { Command } from '../../resp/index.ts';

/** Most commands of one write that have a line each, and most arguments of one that are shown. */
const MOST_COMMANDS = 20;
const MOST_ARGUMENTS = 16;
const LONGEST_ARGUMENT = 48;
const HIDDEN = '***';

/** Commands that were sent to a node in one write, a line each for --trace: when, where, what. No secret is in them. */
export function sentLines(
  ms: number,
  node: string,
  commands: readonly Command[],
  password?: string,
): string[] {
  const head = `+${(ms / 1000).toFixed(4)} s  ${node}  `;
  const shown = commands.slice(0, MOST_COMMANDS).map((command) => head + commandText(command, password));
  const more = commands.length - shown.length;
  return more > 0 ? [...shown, `${head}and ${more} more`] : shown;
}

function commandText(command: Command, password: string | undefined): string {
  const words = hidden(command.map(text)).map((word) => (password && word === password ? HIDDEN : word));
  const more = words.length - MOST_ARGUMENTS;
  return [...words.slice(0, MOST_ARGUMENTS).map(shown), ...(more > 0 ? [`(${more} more)`] : [])].join(' ');
}

function text(argument: Command[number]): string {
  return argument instanceof Uint8Array ? Buffer.from(argument).toString('utf8') : String(argument);
}

function shown(word: string): string {
  const whole = word.length > LONGEST_ARGUMENT ? `${word.slice(0, LONGEST_ARGUMENT)}…` : word;
  return /^[\w@%+=:,./*…-]+$/.test(whole) ? whole : JSON.stringify(whole);
}

/** The words of a command without what may be a password. */
function hidden(words: readonly string[]): string[] {
  const [name = '', second = ''] = words.map((word) => word.toUpperCase());
  if (name === 'AUTH') return hideFrom(words, 1);
  if (name === 'ACL' && second === 'SETUSER') return hideFrom(words, 3);
  if (name === 'CONFIG' && second === 'SET') {
    return words.map((word, index) =>
      index >= 3 && index % 2 === 1 && /pass|auth/i.test(words[index - 1] ?? '') ? HIDDEN : word,
    );
  }
  // MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 user password] [KEYS key ...], HELLO 2 AUTH user password.
  const options = name === 'MIGRATE' ? 6 : name === 'HELLO' ? 1 : words.length;
  const keys = words.findIndex((word, index) => index >= options && word.toUpperCase() === 'KEYS');
  const at = words.findIndex((word, index) => index >= options && /^AUTH2?$/i.test(word));
  if (at < 0 || (keys >= 0 && keys < at)) return [...words];
  const secrets = name === 'HELLO' || words[at]?.toUpperCase() === 'AUTH2' ? 2 : 1;
  return words.map((word, index) => (index > at && index <= at + secrets ? HIDDEN : word));
}

function hideFrom(words: readonly string[], first: number): string[] {
  return words.map((word, index) => (index >= first ? HIDDEN : word));
}
