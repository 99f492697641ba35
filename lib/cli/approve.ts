import { notApproved } from '../errors.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { Command } from './command.ts';
import type { FlagValues } from './flags.ts';
import { type Io, UsageError } from './io.ts';
import { planLines } from './plan-view.ts';
import type { ProgressView } from './progress.ts';

/**
 * Returns a function that shows the plan and asks for approval, or undefined if there is nothing to ask.
 * Throws a UsageError if the command must ask and there is no terminal.
 */
export function approver(
  command: Command,
  values: FlagValues,
  io: Io,
  progress: ProgressView,
): OperationOptions['approve'] {
  const { asks, name, instead } = command;
  if (!asks || values.yes || values['dry-run']) return undefined;
  if (asks === true && !io.canAsk()) {
    throw new UsageError(noTerminal(name));
  }
  return async (plan: Plan): Promise<boolean> => {
    if (asks !== true && !asks(plan)) return true;
    const next = instead?.(plan) ?? [];
    if (!io.canAsk()) {
      throw notApproved(
        `${name} would change who owns slots, and there is no terminal to ask at`,
        'Nothing was changed. Show the plan with --dry-run, or apply it with --yes',
        next,
      );
    }
    // Loaded only if there is such advice.
    const advice =
      next.length === 0
        ? []
        : (await import('./hints.ts')).adviceLines({ next }, { dialect: 'native', values });
    const lines = ['To do, in this order:', ...planLines(plan), ...advice, ''].join('\n');
    progress.clear();
    // With --json, stdout holds only the document.
    (values.json || values['json-stream'] ? io.stderr : io.stdout)(lines);
    return saysYes(io);
  };
}

/** Asks for a yes. Throws ClusterError `NOT_APPROVED` if the input ends without an answer. */
async function saysYes(io: Io): Promise<boolean> {
  const answer = await io.ask('Do it? (yes/no): ');
  if (answer !== undefined) return ['yes', 'y'].includes(answer.trim().toLowerCase());
  // The answer would have ended the line.
  io.stderr('\n');
  throw notApproved('The input ended before the question was answered');
}

/**
 * Shows what a command that writes keys would do and asks for approval, unless --yes or --dry-run is given. Throws a
 * UsageError if there is no terminal, and ClusterError `NOT_APPROVED` if the answer is no.
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
  throw notApproved(`The ${name} was not approved`);
}

function noTerminal(name: string): string {
  return `${name} asks before it changes anything, and there is no terminal: add --yes, or --dry-run`;
}
