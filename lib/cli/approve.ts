import { ClusterError } from '../errors.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { Command } from './command.ts';
import type { FlagValues } from './flags.ts';
import { type Io, UsageError } from './io.ts';
import { planLines } from './plan-view.ts';
import type { ProgressView } from './progress.ts';

/**
 * Shows the plan of a command that asks, and asks. Undefined where nothing is to be asked.
 * Throws a UsageError where an answer cannot come.
 */
export function approver(
  command: Command,
  values: FlagValues,
  io: Io,
  progress: ProgressView,
): OperationOptions['approve'] {
  const { asks, name } = command;
  if (!asks || values.yes || values['dry-run']) return undefined;
  if (asks === true && !io.canAsk()) {
    throw new UsageError(noTerminal(name));
  }
  return async (plan: Plan): Promise<boolean> => {
    if (asks !== true && !asks(plan)) return true;
    const lines = ['To do, in this order:', ...planLines(plan), ''].join('\n');
    if (!io.canAsk()) {
      throw new ClusterError(
        'NOT_APPROVED',
        `${name} would change who owns slots, and there is no terminal to ask at`,
        {
          hint: `Nothing was changed. See the plan with --dry-run, and have it done with --yes`,
        },
      );
    }
    progress.clear();
    // With --json stdout is for the document alone.
    (values.json || values['json-stream'] ? io.stderr : io.stdout)(lines);
    return saysYes(io);
  };
}

/** Asks whether to do what was shown. The end of the input is a no. */
export async function saysYes(io: Io): Promise<boolean> {
  return ['yes', 'y'].includes(((await io.ask('Do it? (yes/no): ')) ?? '').trim().toLowerCase());
}

/**
 * Shows what a command would do that writes keys, and asks, unless it is told not to. Throws a UsageError where an answer cannot
 * come, and ClusterError `NOT_APPROVED` where it is a no.
 */
export async function confirmKeys(
  name: string,
  values: FlagValues,
  io: Io,
  describe: () => Promise<string>,
): Promise<void> {
  if (values.yes || values['dry-run']) return;
  if (!io.canAsk()) throw new UsageError(noTerminal(name));
  const text = await describe();
  (values.json || values['json-stream'] ? io.stderr : io.stdout)(`${text}\n`);
  if (await saysYes(io)) return;
  throw new ClusterError('NOT_APPROVED', `The ${name} was not approved`, { hint: 'Nothing was changed' });
}

function noTerminal(name: string): string {
  return `${name} asks before it changes anything, and there is no terminal: add --yes, or --dry-run`;
}
