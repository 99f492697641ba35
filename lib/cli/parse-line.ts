import { parseArgs } from 'node:util';
import { messageOf } from '../errors.ts';
import type { Command } from './command.ts';
import { changeFlags, connectionFlags, type FlagValues, outputFlags } from './flags.ts';
import { UsageError } from './io.ts';
import type { Line } from './settle-line.ts';

/** The option without its value, since that may be a password. */
export function optionName(word: string): string {
  return word.startsWith('--') ? (word.split('=')[0] ?? '') : word.slice(0, 2);
}

/** Splits the arguments of a command into those of its usage and its options. */
export function parseLine(
  command: Command,
  args: readonly string[],
): { positionals: string[]; values: FlagValues } {
  // Every command accepts --yes, so that a script can pass it to all of them.
  const options = { ...connectionFlags, ...outputFlags, yes: changeFlags.yes, ...command.flags } as Record<
    string,
    { type: 'string' | 'boolean'; multiple?: boolean }
  >;
  const own = command.takesCommand ? endOfOwn(args, options) : args.length;
  const bare = command.flags?.[/^--(.+)$/.exec(args.at(-1) ?? '')?.[1] ?? '']?.bare;
  try {
    const { positionals, values } = parseArgs({
      args: [...args.slice(0, own), ...(bare === undefined ? [] : [bare])],
      options,
      allowPositionals: true,
      strict: true,
    });
    return { positionals: [...positionals, ...args.slice(own)], values: values as FlagValues };
  } catch (error) {
    const message = explainParseError(error);
    const [, word] = /^Unknown option '(--[^']+)'/.exec(message) ?? [];
    const names = Object.keys(options).map((name) => `--${name}`);
    throw new UsageError(message, command.name, word === undefined ? undefined : { word, names });
  }
}

// The message of node:util says what is wrong, then gives advice about "--" that fits only one kind of error.
function explainParseError(error: unknown): string {
  const message = messageOf(error);
  const what = message.split(/\. |\.?\n/)[0] ?? '';
  const form = /use '(--[^=]+)=-XYZ'/.exec(message)?.[1];
  return form ? `${what}: for a value that starts with a dash write ${form}=VALUE` : what;
}

// Index at which the command for the server begins: the second positional.
function endOfOwn(
  args: readonly string[],
  options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean }>,
): number {
  const { tokens } = parseArgs({
    args: [...args],
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const positionals = tokens.filter(({ kind }) => kind === 'positional');
  return positionals[1]?.index ?? args.length;
}

/** The file or directory that is read in place of CLUSTER, if the options name one. */
export function fileRead({ reads }: Command, values: FlagValues): string | undefined {
  const path = reads && values[reads];
  return typeof path === 'string' ? path : undefined;
}

/** Throws a UsageError if there are fewer or more arguments than the command takes. */
export function requireArguments(command: Command, { positionals, values }: Line): void {
  const {
    name,
    usage,
    arity: [least, most],
  } = command;
  if (positionals.length >= least && positionals.length <= most) return;
  const few = positionals.length < least;
  const taken = fileRead(command, values) === undefined ? usage : usage.replace(/^CLUSTER ?/, '');
  const wanted = taken === '' ? 'none' : taken;
  throw new UsageError(`${few ? 'Too few' : 'Too many'} arguments for ${name}: expected ${wanted}`, name);
}
