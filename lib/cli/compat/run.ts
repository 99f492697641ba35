import { isAbort } from '../../errors.ts';
import { type Io, isUsage, UsageError } from '../io.ts';
import { ProgressView } from '../progress.ts';
import { type CompatArguments, readArguments } from './arguments.ts';
import { runBackup } from './commands/backup.ts';
import { runCreate } from './commands/create.ts';
import { runFix } from './commands/fix.ts';
import { runImport } from './commands/import.ts';
import { runCall, runCheck, runInfo, runSetTimeout } from './commands/look.ts';
import { runAddNode, runDelNode } from './commands/nodes.ts';
import { runRebalance } from './commands/rebalance.ts';
import { runReshard } from './commands/reshard.ts';
import { compatOptionsOf, isYes } from './connection.ts';
import { compatHelp } from './help.ts';
import { nativeWords } from './native.ts';
import { compatArity, compatOptions } from './options.ts';
import type { Scene } from './scene.ts';

// For completion: see there.
export { compatArity, compatOptions };

/** Each resolves to false if it ran but found a problem. */
const runs: Readonly<Record<string, (scene: Scene) => Promise<boolean>>> = {
  create: runCreate,
  check: runCheck,
  info: runInfo,
  call: runCall,
  'set-timeout': runSetTimeout,
  fix: runFix,
  reshard: runReshard,
  rebalance: runRebalance,
  'add-node': runAddNode,
  import: runImport,
  backup: runBackup,
  'del-node': runDelNode,
};

/** Runs a command line in redis-cli's syntax. Resolves to the exit code; throws a UsageError for wrong usage. */
export async function runCompat(argv: readonly string[], io: Io): Promise<number> {
  const read = await withoutUrlsIn(readArguments(argv));
  if (read.command === 'help') {
    io.stdout(`${compatHelp()}\n`);
    return 0;
  }
  const run = runs[read.command];
  if (!run)
    throw new UsageError(
      `--cluster ${read.command} is not there yet in this spelling: see redis-trib --help`,
    );
  const options = await compatOptionsOf(read, io);
  return runScene(run, { read, io, options, yes: isYes(read, io), progress: new ProgressView(io) });
}

// Loaded only for a line that has a URL.
async function withoutUrlsIn(read: CompatArguments): Promise<CompatArguments> {
  const { command, words, values } = read;
  const nodes = command === 'call' ? 1 : words.length;
  const isPlain = [...words.slice(0, nodes), ...Object.values(values).flat()].every(
    (text) => text === true || !text.includes('://'),
  );
  if (isPlain) return read;
  const { withoutUrls } = await import('../settle-line.ts');
  const source = command === 'import';
  const { positionals, ...rest } = withoutUrls({ positionals: words, values }, { words: nodes, source });
  return { ...read, ...rest, words: positionals };
}

async function runScene(run: (scene: Scene) => Promise<boolean>, scene: Scene): Promise<number> {
  const { read, io, options, progress } = scene;
  try {
    const isWell = await run(scene);
    progress.clear();
    return isWell ? 0 : 1;
  } catch (error) {
    progress.clear();
    if (isUsage(error)) throw new UsageError(error.message);
    progress.tellHeld();
    const interrupted = isAbort(error, io.signal);
    const { describeError } = await import('../error-view.ts');
    const typed = { dialect: 'cluster' as const, values: read.values, native: () => nativeWords(read) };
    const { stopped } = progress;
    io.stderr(describeError(error, { interrupted, password: options.password, typed, stopped }));
    return interrupted ? 130 : 1;
  }
}
