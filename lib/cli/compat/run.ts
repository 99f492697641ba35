import { AGAIN_FOR_THE_REST } from '../commands/reshard.ts';
import { type Io, UsageError } from '../io.ts';
import { ProgressView } from '../progress.ts';
import { readArguments } from './arguments.ts';
import { backup } from './commands/backup.ts';
import { create } from './commands/create.ts';
import { fix } from './commands/fix.ts';
import { importFrom } from './commands/import.ts';
import { call, check, info, setTimeout } from './commands/look.ts';
import { addNode, delNode } from './commands/nodes.ts';
import { rebalance } from './commands/rebalance.ts';
import { reshard } from './commands/reshard.ts';
import { compatOptionsOf, isYes } from './connection.ts';
import { compatHelp } from './help.ts';
import type { Scene } from './scene.ts';

/** Each resolves to false where it ran and what it found is not well. */
const runs: Readonly<Record<string, (scene: Scene) => Promise<boolean>>> = {
  create,
  check,
  info,
  call,
  'set-timeout': setTimeout,
  fix,
  reshard,
  rebalance,
  'add-node': addNode,
  import: importFrom,
  backup,
  'del-node': delNode,
};

/** Runs a command line in the spelling of redis-cli. Resolves to the exit code; throws a UsageError for wrong usage. */
export async function runCompat(argv: readonly string[], io: Io): Promise<number> {
  const read = readArguments(argv);
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

async function runScene(run: (scene: Scene) => Promise<boolean>, scene: Scene): Promise<number> {
  const { read, io, options, progress } = scene;
  try {
    const isWell = await run(scene);
    progress.clear();
    return isWell ? 0 : 1;
  } catch (error) {
    progress.clear();
    if (error instanceof UsageError) throw error;
    const interrupted = io.signal.aborted && error === io.signal.reason;
    const { describeError } = await import('../error-view.ts');
    const { moved } = progress;
    const again = moved.done > 0 && read.command === 'reshard' ? AGAIN_FOR_THE_REST : undefined;
    io.stderr(describeError(error, { interrupted, password: options.password, again, moved }));
    return interrupted ? 130 : 1;
  }
}
