import { formatAddress, parseAddress } from '../../model/address.ts';
import { LARGEST_INT } from '../../model/numbers.ts';
import { UsageError } from '../io.ts';
import { compatArity, compatOptions } from './options.ts';

/** A parsed command line in redis-cli's syntax. */
export interface CompatArguments {
  readonly command: string;
  readonly words: readonly string[];
  readonly values: Readonly<Record<string, string | true | readonly string[]>>;
}

/**
 * Parses a command line as redis-cli does: options in any order before and after `--cluster COMMAND`, and the words of the
 * command among them. Throws a UsageError, which never contains the value of an option: it may be a password.
 */
export function readArguments(argv: readonly string[]): CompatArguments {
  let command: string | undefined;
  const words: string[] = [];
  const values: Record<string, string | true | string[]> = {};
  for (let index = 0; index < argv.length; index++) {
    const text = argv[index] ?? '';
    if (text === '--cluster') {
      const name = argv[++index];
      if (command !== undefined) throw new UsageError('--cluster is given twice');
      if (name === undefined) throw new UsageError('--cluster needs a command');
      if (!Object.hasOwn(compatArity, name)) {
        const names = Object.keys(compatArity);
        throw new UsageError(`Unknown --cluster subcommand: "${name}"`, undefined, { word: name, names });
      }
      command = name;
      continue;
    }
    if (!text.startsWith('-') || text === '-') {
      if (command === undefined)
        throw new UsageError(`A word before --cluster${text.includes('@') ? '' : `: "${text}"`}`);
      words.push(text);
      continue;
    }
    const option = Object.hasOwn(compatOptions, text) ? compatOptions[text] : undefined;
    if (!option) {
      const [word, names] = [nameOf(text), Object.keys(compatOptions)];
      throw new UsageError(`Unrecognized option or bad number of args for: '${word}'`, undefined, {
        word,
        names,
      });
    }
    if (option.form === 'flag') {
      values[option.as] = true;
    } else if (option.form === 'word') {
      const value = argv[++index];
      if (value === undefined)
        throw new UsageError(`Unrecognized option or bad number of args for: '${text}'`);
      values[option.as] = value;
    } else {
      if (values[option.as]) throw new UsageError(`${text} is given twice: write all pairs after one`);
      const pairs: string[] = [];
      while (argv[index + 1]?.includes('=') && !argv[index + 1]?.startsWith('--'))
        pairs.push(argv[++index] ?? '');
      if (pairs.length === 0) throw new UsageError(`${text} needs NODE=WEIGHT`);
      values[option.as] = pairs;
    }
  }
  if (command === undefined) throw new UsageError('--cluster needs a command');
  return requireWords({ command, words, values });
}

// The option without its value, since that may be a password.
function nameOf(text: string): string {
  return text.startsWith('--') ? (text.split('=')[0] ?? '') : text.slice(0, 2);
}

function requireWords(read: CompatArguments): CompatArguments {
  const { command, values } = read;
  const { words: count = 0, orMore = false, takesNode = false } = compatArity[command] ?? { words: 0 };
  const isNamedByOptions = takesNode && read.words.length === 0 && (values.host ?? values.port) !== undefined;
  const words = isNamedByOptions ? [`${values.host ?? '127.0.0.1'}:${values.port ?? '6379'}`] : read.words;
  if (words.length === count || (orMore && words.length > count)) return { ...read, words };
  throw new UsageError(
    `[ERR] Wrong number of arguments for --cluster ${command}: expected ${count}${orMore ? ' or more' : ''}`,
  );
}

/** The address of the node that a command was given, as one word or two. Throws a UsageError for anything else. */
export function nodeIn(words: readonly string[]): string {
  const [first = '', second, ...more] = words;
  if (second === undefined) return readAddress(first);
  if (more.length === 0 && /^\d+$/.test(second)) return readAddress(`${first}:${second}`);
  throw invalid(words.join(' '));
}

/** Parses `host:port`, `host:port@bus`, or an IPv6 address without brackets, which is split at the last colon. */
export function readAddress(text: string): string {
  try {
    const { busPort, ...address } = parseAddress(text);
    return `${formatAddress(address)}${busPort === undefined ? '' : `@${busPort}`}`;
  } catch {
    throw invalid(text);
  }
}

// What stands before an @ may be a password.
function invalid(text: string): UsageError {
  const given = text.includes('@') ? '' : ` Not an address: "${text}"`;
  return new UsageError(
    `[ERR] Invalid arguments: a valid address is needed (as 127.0.0.1:7000), or host and port with a space between (127.0.0.1 7000).${given}`,
  );
}

/** The text of an option, or undefined. */
export function textOf({ values }: CompatArguments, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** A whole number from `least` up. Throws a UsageError for anything else. */
export function wholeOf(read: CompatArguments, name: string, least: number): number | undefined {
  const text = textOf(read, name);
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= LARGEST_INT) return Number(text);
  throw new UsageError(`Not a whole number from ${least} to ${LARGEST_INT} for --cluster-${name}: "${text}"`);
}
