import { type Io, UsageError } from '../io.ts';
import { ProgressView } from '../progress.ts';
import { readArguments } from './arguments.ts';
import { compatOptionsOf, isYes } from './connection.ts';
import type { Scene } from './scene.ts';

/** Each resolves to false where it ran and what it found is not well. */
const runs: Readonly<Record<string, () => Promise<(scene: Scene) => Promise<boolean>>>> = {
  create: async () => (await import('./commands/create.ts')).create,
  check: async () => (await import('./commands/look.ts')).check,
  info: async () => (await import('./commands/look.ts')).info,
  call: async () => (await import('./commands/look.ts')).call,
  'set-timeout': async () => (await import('./commands/look.ts')).setTimeout,
  fix: async () => (await import('./commands/fix.ts')).fix,
  reshard: async () => (await import('./commands/reshard.ts')).reshard,
  rebalance: async () => (await import('./commands/rebalance.ts')).rebalance,
  'add-node': async () => (await import('./commands/nodes.ts')).addNode,
  import: async () => (await import('./commands/import.ts')).importFrom,
  backup: async () => (await import('./commands/backup.ts')).backup,
  'del-node': async () => (await import('./commands/nodes.ts')).delNode,
};

/** Runs a command line in the spelling of redis-cli. Resolves to the exit code; throws a UsageError for wrong usage. */
export async function runCompat(argv: readonly string[], io: Io): Promise<number> {
  const read = readArguments(argv);
  if (read.command === 'help') {
    io.stdout(`${(await import('./help.ts')).compatHelp()}\n`);
    return 0;
  }
  const load = runs[read.command];
  if (!load)
    throw new UsageError(
      `--cluster ${read.command} is not there yet in this spelling: see redis-trib --help`,
    );
  const options = await compatOptionsOf(read, io);
  return runScene(await load(), { read, io, options, yes: isYes(read, io), progress: new ProgressView(io) });
}

async function runScene(run: (scene: Scene) => Promise<boolean>, scene: Scene): Promise<number> {
  const { io, options, progress } = scene;
  try {
    const isWell = await run(scene);
    progress.clear();
    return isWell ? 0 : 1;
  } catch (error) {
    progress.clear();
    if (error instanceof UsageError) throw error;
    const interrupted = io.signal.aborted && error === io.signal.reason;
    const { describeError } = await import('../error-view.ts');
    io.stderr(describeError(error, { interrupted, password: options.password }));
    return interrupted ? 130 : 1;
  }
}
