import { parseArgs } from 'node:util';
import { messageOf } from '../errors.ts';
import type { OnEvent } from '../events.ts';
import { formatAddress, parseAddress, unmapAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { VERSION } from '../version.ts';
import { approver } from './approve.ts';
import type { Command } from './command.ts';
import { commands, findCommand } from './commands.ts';
import {
  changeFlags,
  connectionFlags,
  connectionOptions,
  type FlagValues,
  numberFlag,
  outputFlags,
} from './flags.ts';
import { asksForVersion, EXIT, type Io, UsageError } from './io.ts';
import { moveOptions } from './move-options.ts';
import type { Outcome } from './outcome.ts';
import { printableIo, printableJson } from './printable.ts';
import { ProgressView } from './progress.ts';

/** The form of JSON documents; raised when a field changes its meaning or goes. */
const JSON_VERSION = 1;

/** Runs a command line, `argv` without the program's name, and resolves to the exit code. */
export async function main(argv: readonly string[], terminal: Io): Promise<number> {
  const io = printableIo(terminal);
  try {
    return await dispatch(argv, io, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message, command, unknown } = error;
    if (isCompat(argv)) {
      io.stderr(`${message}\nSee: redis-trib --cluster help\n`);
      return EXIT.usage;
    }
    const meant = unknown && (await import('./nearest.ts')).nearest(unknown.word, unknown.names);
    const hint = `${meant ? `Did you mean ${meant}? ` : ''}See: redis-trib ${command ? `${command} ` : ''}--help`;
    if (argv.includes('--json') || argv.includes('--json-stream')) {
      const data = { error: { code: 'USAGE', message, hint, openSlots: [], resumable: false } };
      io.stdout(document(command, { ok: false, data }));
    }
    io.stderr(`${message}\n${hint}\n`);
    return EXIT.usage;
  }
}

// The spelling of redis-cli: `--cluster` stands among options, where a command would come first.
function isCompat(argv: readonly string[]): boolean {
  return (argv[0] ?? '').startsWith('-') && argv.includes('--cluster');
}

async function dispatch(argv: readonly string[], io: Io, terminal: Io): Promise<number> {
  const [word, ...rest] = argv;
  if (isCompat(argv)) return (await import('./compat/run.ts')).runCompat(argv, io);
  if (asksForVersion(argv)) {
    io.stdout(`${VERSION}\n`);
    return EXIT.done;
  }
  if (word === undefined || word === '--help' || word === '-h' || word === 'help') {
    const { commandHelp, generalHelp } = await import('./help.ts');
    const asked = rest[0] === undefined ? undefined : findCommand(rest[0]);
    if (rest[0] !== undefined && !asked) throw unknownCommand(rest[0]);
    (word === undefined ? io.stderr : io.stdout)(`${asked ? commandHelp(asked) : generalHelp()}\n`);
    return word === undefined ? EXIT.usage : EXIT.done;
  }
  const command = findCommand(word);
  if (!command) {
    throw word.startsWith('-')
      ? new UsageError(`The command comes before its options: "${optionName(word)}"`)
      : unknownCommand(word);
  }
  const { positionals, values } = parse(command, rest);
  if (values.help) {
    const { commandHelp } = await import('./help.ts');
    io.stdout(`${commandHelp(command)}\n`);
    return EXIT.done;
  }
  requireArguments(command, positionals);
  return runCommand(command, positionals, values, io, new ProgressView(terminal));
}

function unknownCommand(word: string): UsageError {
  const names = commands.map(({ name }) => name);
  return new UsageError(`Unknown command: "${word}"`, undefined, { word, names });
}

// The option without its value, which may be a password.
function optionName(word: string): string {
  return word.startsWith('--') ? (word.split('=')[0] ?? '') : word.slice(0, 2);
}

function parse(command: Command, args: readonly string[]): { positionals: string[]; values: FlagValues } {
  // --yes is accepted everywhere, so that a script may say it to all commands alike.
  const options = { ...connectionFlags, ...outputFlags, yes: changeFlags.yes, ...command.flags } as Record<
    string,
    { type: 'string' | 'boolean'; multiple?: boolean }
  >;
  const own = command.takesCommand ? endOfOwn(args, options) : args.length;
  try {
    const { positionals, values } = parseArgs({
      args: args.slice(0, own),
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

// The message of node:util says what is wrong, then gives advice on "--" that helps with one error only.
function explainParseError(error: unknown): string {
  const message = messageOf(error);
  const what = message.split(/\. |\.?\n/)[0] ?? '';
  const form = /use '(--[^=]+)=-XYZ'/.exec(message)?.[1];
  return form ? `${what}: for a value that starts with a dash write ${form}=VALUE` : what;
}

// Where somebody else's command begins: at the second positional, or after "--".
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

function requireArguments(
  { name, usage, arity: [least, most] }: Command,
  positionals: readonly string[],
): void {
  if (positionals.length >= least && positionals.length <= most) return;
  const few = positionals.length < least;
  const wanted = usage === '' ? 'none' : usage;
  throw new UsageError(`${few ? 'Too few' : 'Too many'} arguments for ${name}: expected ${wanted}`, name);
}

async function runCommand(
  command: Command,
  positionals: readonly string[],
  values: FlagValues,
  io: Io,
  progress: ProgressView,
): Promise<number> {
  requireAddresses(command, positionals);
  const json = values.json === true || values['json-stream'] === true;
  let password: string | undefined;
  try {
    const saver =
      values.plan === undefined
        ? undefined
        : new (await import('./plan-file.ts')).PlanSaver(command.name, values);
    const asking = approver(command, values, io, progress);
    const approve = saver ? saver.approving(asking) : asking;
    const options = { ...(await operationOptions(values, io, progress)), ...(approve ? { approve } : {}) };
    password = options.password;
    const outcome = await command.run({
      positionals: await nameNodes(command, positionals, options),
      values,
      options,
      commands,
      io,
    });
    progress.clear();
    const saved = saver?.save(outcome.data.plan as Plan | undefined);
    const text = saved === undefined ? outcome.text : `${outcome.text}\nThe plan is in ${saved}`;
    io.stdout(json ? document(command.name, outcome) : `${text}\n`);
    return outcome.ok ? EXIT.done : EXIT.failed;
  } catch (error) {
    progress.clear();
    if (error instanceof UsageError) throw new UsageError(error.message, command.name);
    const interrupted = io.signal.aborted && error === io.signal.reason;
    const { describeError, errorData } = await import('./error-view.ts');
    const { moved } = progress;
    const again = moved.done > 0 ? command.again?.(values) : undefined;
    const context = { interrupted, password, again, moved };
    const data = errorData(error, context);
    if (json) io.stdout(document(command.name, { ok: false, data: { error: data } }));
    io.stderr(describeError(error, context));
    return interrupted ? EXIT.interrupted : EXIT.failed;
  }
}

/** Words of usage that stand for a node. */
const NODE_WORD = /^(NODE|CLUSTER|NEW|MASTER|REPLICA|SOURCE|TARGET)/;

// Every leading argument that stands for a node has to read as an address before anything is asked.
function requireAddresses({ usage, name }: Command, positionals: readonly string[]): void {
  const words = usage.split(' ');
  for (const [index, given] of positionals.entries()) {
    const word = words[index] ?? words.at(-1) ?? '';
    if (!NODE_WORD.test(word)) return;
    for (const text of word === 'CLUSTER' ? given.split(',') : [given]) requireAddress(text, name);
  }
}

function requireAddress(text: string, name: string): void {
  const urlError = new UsageError('Not an address: write host:port, no URL', name);
  if (text.includes('://')) throw urlError;
  try {
    parseAddress(text);
  } catch (error) {
    // What stands before an @ may be a password, so it is not repeated.
    throw text.includes('@') ? urlError : new UsageError(messageOf(error), name);
  }
}

// Of several nodes of a cluster the first that answers; and a node by the address that it announces, where it was named by
// the one at which it is reached.
async function nameNodes(
  { usage }: Command,
  positionals: readonly string[],
  options: OperationOptions,
): Promise<readonly string[]> {
  const words = usage.split(' ');
  const named: string[] = [];
  for (const [index, text] of positionals.entries()) {
    const word = words[index] ?? words.at(-1) ?? '';
    if (!NODE_WORD.test(word)) return [...named, ...positionals.slice(index)];
    const nodes = (word === 'CLUSTER' ? text.split(',') : [text]).map((node) =>
      formatAddress(unmapAddress(options.addressMap, parseAddress(node))),
    );
    if (nodes.length === 1) named.push(nodes[0] ?? '');
    else named.push(await (await import('../operations/find-seed.ts')).findSeed(nodes, options));
  }
  return named;
}

async function operationOptions(
  values: FlagValues,
  io: Io,
  progress: ProgressView,
): Promise<OperationOptions> {
  const agreeTimeout = numberFlag(values, 'agree-timeout');
  return {
    // Before anything is asked for: a password, for one.
    ...moveOptions(values),
    ...(await connectionOptions(values, io)),
    ...(agreeTimeout === undefined ? {} : { agreeTimeout }),
    dryRun: values['dry-run'] === true,
    force: values.force === true,
    onEvent: values['json-stream'] === true ? streaming(io, progress.onEvent) : progress.onEvent,
    signal: io.signal,
  };
}

function streaming(io: Io, show: OnEvent): OnEvent {
  return (event) => {
    io.stdout(`${printableJson(JSON.stringify({ version: JSON_VERSION, event }))}\n`);
    show(event);
  };
}

function document(command: string | undefined, { ok, data }: Pick<Outcome, 'ok' | 'data'>): string {
  return `${printableJson(JSON.stringify({ version: JSON_VERSION, command: command ?? null, ok, ...data }))}\n`;
}
