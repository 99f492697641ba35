import { UsageError } from '../io.ts';
import { compatArity, compatOptions } from './options.ts';

/** A command line in the spelling of redis-cli, read. */
export interface CompatArguments {
  readonly command: string;
  readonly words: readonly string[];
  readonly values: Readonly<Record<string, string | true | readonly string[]>>;
}

/**
 * Reads a command line as redis-cli reads it: options in any order before and after `--cluster COMMAND`, the words of the
 * command between them. Throws a UsageError, which names no value: it may be a password.
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
      if (!Object.hasOwn(compatArity, name)) throw new UsageError(`Unknown --cluster subcommand: "${name}"`);
      command = name;
      continue;
    }
    if (!text.startsWith('-') || text === '-') {
      if (command === undefined) throw new UsageError(`A word before --cluster: "${text}"`);
      words.push(text);
      continue;
    }
    const option = Object.hasOwn(compatOptions, text) ? compatOptions[text] : undefined;
    if (!option) throw new UsageError(`Unrecognized option or bad number of args for: '${nameOf(text)}'`);
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
      while (argv[index + 1]?.includes('=') && !argv[index + 1]?.startsWith('-'))
        pairs.push(argv[++index] ?? '');
      if (pairs.length === 0) throw new UsageError(`${text} needs NODE=WEIGHT`);
      values[option.as] = pairs;
    }
  }
  if (command === undefined) throw new UsageError('--cluster needs a command');
  return requireWords({ command, words, values });
}

// The option without its value, which may be a password.
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

/** The address of the node that a command is given, in one word or in two. Throws a UsageError for anything else. */
export function nodeIn(words: readonly string[]): string {
  const [first = '', second, ...more] = words;
  if (second === undefined) return readAddress(first);
  if (more.length === 0 && /^\d+$/.test(second)) return readAddress(`${first}:${second}`);
  throw invalid();
}

/** Reads `host:port`, `host:port@bus` or, cut at the last colon, an IPv6 address without brackets. */
export function readAddress(text: string): string {
  const [, host = '', port = '', bus = ''] = /^(.+):(\d{1,5})(@\d{1,5})?$/.exec(text) ?? [];
  const isPort = Number(port) >= 1 && Number(port) <= 65535;
  if (!isPort || /[\s@,/]/.test(host)) throw invalid();
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return `${bare.includes(':') ? `[${bare}]` : bare}:${port}${bus}`;
}

function invalid(): UsageError {
  return new UsageError(
    '[ERR] Invalid arguments: a valid address is needed (as 127.0.0.1:7000), or host and port with a space between (127.0.0.1 7000)',
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
  if (/^\d+$/.test(text) && Number(text) >= least && Number(text) <= 0x7fffffff) return Number(text);
  throw new UsageError(`Not a number from ${least} up for --cluster-${name}: "${text}"`);
}
