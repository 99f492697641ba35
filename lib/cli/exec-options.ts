import type { OperationOptions } from '../options.ts';
import type { FlagValues } from './flags.ts';
import type { Io } from './io.ts';

/** How servers are restarted: by the command of --exec. Without it, somebody does. Throws a UsageError for a command that is none. */
export async function execOptions(
  values: FlagValues,
  io: Io,
): Promise<Pick<OperationOptions, 'restartServer'>> {
  if (typeof values.exec !== 'string') return {};
  const { runner } = await import('./exec.ts');
  return { restartServer: runner(values.exec, io.stderr, values.verbose === true) };
}
