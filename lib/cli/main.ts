import { isAbort, NOTHING_SO_FAR } from '../errors.ts';
import type { OnEvent } from '../events.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { VERSION } from '../version.ts';
import { approver } from './approve.ts';
import type { Command } from './command.ts';
import { commands, findCommand } from './commands.ts';
import type { ErrorData } from './error-view.ts';
import { connectionOptions, type FlagValues, numberFlag } from './flags.ts';
import { asksForVersion, EXIT, type Io, isUsage, JSON_VERSION, UsageError } from './io.ts';
import { moveOptions } from './move-options.ts';
import { nameNodes, requireAddresses } from './node-arguments.ts';
import type { Outcome } from './outcome.ts';
import { fileRead, optionName, parseLine, requireArguments } from './parse-line.ts';
import { printableIo, printableJson } from './printable.ts';
import { type ProgressOptions, ProgressView } from './progress.ts';
import type { Line } from './settle-line.ts';
import type { MoveScreen } from './top/move-screen.ts';

/** Runs a command line (`argv` without the program name) and resolves to the exit code. */
export async function main(argv: readonly string[], terminal: Io): Promise<number> {
  const io = printableIo(terminal);
  try {
    return await dispatch(argv, io, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message, command, unknown } = error;
    const meant = (await import('./nearest.ts')).meant(error, argv);
    if (isCompat(argv)) {
      io.stderr(`${message}\n${meant}See: redis-trib --cluster help\n`);
      return EXIT.usage;
    }
    const page = unknown && (unknown.page ?? (await import('./help.ts')).findTopic(unknown.word));
    const help = page ? `help ${page}` : `${command ? `${command} ` : ''}--help`;
    const hint = `${meant}See: redis-trib ${help}`;
    if (argv.includes('--json') || argv.includes('--json-stream')) {
      const nothing = {
        next: [],
        openSlots: [],
        silent: [],
        moved: NOTHING_SO_FAR,
        failovers: [],
        behind: null,
      };
      const error: ErrorData = { code: 'USAGE', message, hint, ...nothing, resumable: 'no' };
      io.stdout(document(command, { ok: false, data: { error } }));
    }
    io.stderr(`${message}\n${hint}\n`);
    return EXIT.usage;
  }
}

// redis-cli's syntax: the line starts with an option, and `--cluster` is among the options.
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
    const { briefHelp, helpText } = await import('./help.ts');
    if (word === undefined) io.stderr(`${briefHelp(io.columns())}\n`);
    else io.stdout(`${helpText(rest, io.columns())}\n`);
    return word === undefined ? EXIT.usage : EXIT.done;
  }
  const command = findCommand(word);
  if (!command) {
    throw word.startsWith('-')
      ? new UsageError(`The command comes before its options: "${optionName(word)}"`)
      : unknownCommand(word);
  }
  const { positionals, values } = parseLine(command, rest);
  if (values.help) {
    const { commandHelp } = await import('./help.ts');
    io.stdout(`${commandHelp(command, io.columns())}\n`);
    return EXIT.done;
  }
  const line = await settled(command, withFile(command, { positionals, values }), io);
  requireArguments(command, line);
  const { positionals: words, values: given } = line;
  const progress = (to: Io): ProgressView => new ProgressView(to, showing(given));
  const picture = given.top === true ? await pictureFor(given, terminal) : undefined;
  return picture
    ? runCommand(command, words, given, printableIo(picture.io), progress(picture.io), picture)
    : runCommand(command, words, given, io, progress(terminal));
}

/** What shows the cluster while slots move. Loaded only on request. */
async function pictureFor(values: FlagValues, terminal: Io): Promise<MoveScreen> {
  const other = ['json', 'json-stream', 'quiet', 'verbose', 'trace'].find((name) => values[name] === true);
  if (other) throw new UsageError(`--top and --${other} do not go together`);
  const { MoveScreen } = await import('./top/move-screen.ts');
  return new MoveScreen(terminal);
}

/** A line on which CLUSTER is empty if a file is read instead: that of the option or, for some commands, a word that is not an address. */
function withFile({ reads, readsPlan }: Command, line: Line): Line {
  const { positionals, values } = line;
  if (reads === undefined) return line;
  const [word = '', ...rest] = positionals;
  if (values[reads] !== undefined) return { positionals: ['', ...positionals], values };
  if (!readsPlan || word === '' || /[:@]/.test(word)) return line;
  return { positionals: ['', ...rest], values: { ...values, [reads]: word } };
}

// Few lines name their cluster by a URL, a profile or the environment: only these load what reads them.
async function settled(command: Command, line: Line, io: Io): Promise<Line> {
  const { positionals, values } = line;
  const isShort = positionals.length < command.arity[0] && io.env.REDIS_TRIB_CLUSTER !== undefined;
  const isPlain = [...positionals, ...Object.values(values).flat()].every(
    (text) => typeof text !== 'string' || !/:\/\/|^@/.test(text),
  );
  if (isPlain && !isShort && values.profile === undefined) return line;
  const { settleLine } = await import('./settle-line.ts');
  try {
    return settleLine(command, line, io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(error.message, command.name, error.unknown);
  }
}

function showing({ quiet, progress, verbose }: FlagValues): ProgressOptions {
  if (quiet && (progress || verbose))
    throw new UsageError(`--quiet and --${progress ? 'progress' : 'verbose'} do not go together`);
  return { quiet: quiet === true, always: progress === true, verbose: verbose === true };
}

function unknownCommand(word: string): UsageError {
  const names = commands.map(({ name }) => name);
  if (/[:@]/.test(word)) return new UsageError('The command comes before the address');
  return new UsageError(`Unknown command: "${word}"`, undefined, { word, names });
}

async function runCommand(
  command: Command,
  positionals: readonly string[],
  values: FlagValues,
  terminal: Io,
  progress: ProgressView,
  picture?: MoveScreen,
): Promise<number> {
  let isAsking = false;
  const whileAsking = async <Answer>(answer: Promise<Answer>): Promise<Answer> => {
    isAsking = true;
    progress.stop();
    const given = await answer;
    isAsking = false;
    progress.start('Working');
    return given;
  };
  // No text stands on the line of the progress.
  const cleared = (write: Io['stdout']) => (text: string) => {
    progress.clear();
    write(text);
  };
  const io: Io = {
    ...terminal,
    stdout: cleared(terminal.stdout),
    stderr: cleared(terminal.stderr),
    ask: (question) => whileAsking(terminal.ask(question)),
    askSecret: (prompt) => whileAsking(terminal.askSecret(prompt)),
  };
  if (fileRead(command, values) === undefined) requireAddresses(command, positionals);
  const json = values.json === true || values['json-stream'] === true;
  let password: string | undefined;
  try {
    const saver =
      values.plan === undefined
        ? undefined
        : new (await import('./plan-file.ts')).PlanSaver(command.name, values);
    const asking = approver(command, values, io, progress);
    const approve = saver ? saver.approving(asking) : asking;
    const options = {
      ...(await operationOptions(values, io, progress, picture)),
      ...(approve ? { approve } : {}),
    };
    password = options.password;
    const file = fileRead(command, values);
    if (file === undefined && !command.isLocal && !command.isLive) progress.start('Looking at the cluster');
    const running = command.run({
      ...(file === undefined
        ? await nameNodes(command, positionals, options)
        : { positionals, ...(await opened(command, file)) }),
      values,
      options,
      commands,
      io,
    });
    const outcome = await running.finally(() => picture?.close());
    const isShown = !json && (values.quiet !== true || !outcome.ok);
    const map =
      isShown && values['slot-map'] === true
        ? await drawn(outcome, options, io, progress, file === undefined)
        : '';
    progress.stop();
    progress.clear();
    const saved = saver?.save((outcome.data as { readonly plan?: Plan }).plan);
    const text = saved === undefined ? outcome.text : `${outcome.text}\nThe plan is in ${saved}`;
    if (json) io.stdout(document(command.name, outcome));
    else if (text !== '' && isShown) io.stdout(`${text}\n`);
    // Its colours must not be made printable; its text is.
    if (map !== '') (io.coloured?.() ?? io.stdout)(map);
    if (progress.advice.length > 0) {
      const { adviceBelow } = await import('./hints.ts');
      io.stderr(adviceBelow(progress.advice, typedIn(command, positionals, values)));
    }
    return outcome.ok ? EXIT.done : EXIT.failed;
  } catch (error) {
    progress.stop();
    progress.clear();
    if (isUsage(error)) throw new UsageError(error.message, command.name);
    progress.tellHeld();
    const interrupted = isAbort(error, io.signal);
    const { describeError, errorData } = await import('./error-view.ts');
    const typed = typedIn(command, positionals, values);
    const context = { interrupted, password, typed, stopped: progress.stopped, unanswered: isAsking };
    const data = errorData(error, context);
    if (json) io.stdout(document(command.name, { ok: false, data: { error: data } }));
    if (!interrupted || !command.isLive) io.stderr(describeError(error, context));
    return interrupted ? EXIT.interrupted : EXIT.failed;
  }
}

function typedIn(command: Command, positionals: readonly string[], values: FlagValues) {
  return { dialect: 'native' as const, values, second: command.second?.(positionals, values) };
}

async function opened({ reads, readsPlan }: Command, file: string) {
  if (reads !== 'from') return { elsewhere: [] };
  return (await import('./bundle-file.ts')).openFile(file, readsPlan);
}

/** The slot map of an outcome. Loaded only on request. */
async function drawn(
  outcome: Outcome,
  options: OperationOptions,
  io: Io,
  progress: ProgressView,
  isLive: boolean,
): Promise<string> {
  const { fillOf, mapText, slotMapOf } = await import('./slot-map-view.ts');
  progress.start('Counting keys');
  // A bundle has the keys of few slots only.
  // The command is done: what interrupts the picture must not hide that.
  const fill = isLive ? await fillOf(outcome, options).catch(() => undefined) : undefined;
  return mapText(slotMapOf(outcome, io, fill), io.coloured?.() !== undefined);
}

async function operationOptions(
  values: FlagValues,
  io: Io,
  progress: ProgressView,
  picture: MoveScreen | undefined,
): Promise<OperationOptions> {
  const agreeTimeout = numberFlag(values, 'agree-timeout');
  const wait = numberFlag(values, 'wait', 0);
  // First, so that a wrong option is reported before the user is asked for a password.
  const moving = moveOptions(values);
  const reaching = await connectionOptions(values, io);
  const show: OnEvent = (event) => {
    picture?.follow(event, reaching);
    progress.onEvent(event);
  };
  return {
    ...moving,
    ...(picture ? { limits: Object.assign(picture.limits, moving.limits) } : {}),
    ...reaching,
    ...(values.trace === true ? await tracing(reaching, io) : {}),
    ...(agreeTimeout === undefined ? {} : { agreeTimeout }),
    ...(wait === undefined ? {} : { wait }),
    dryRun: values['dry-run'] === true,
    force: values.force === true,
    onEvent: values['json-stream'] === true ? streaming(io, show) : show,
    signal: io.signal,
  };
}

async function tracing({ password }: ConnectionOptions, io: Io): Promise<ConnectionOptions> {
  const { sentLines } = await import('./sent-lines.ts');
  const started = performance.now();
  return {
    onCommands: (commands, node) => {
      const lines = sentLines(performance.now() - started, node, commands, password);
      io.stderr(`${lines.join('\n')}\n`);
    },
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
