import type { StrayKeys } from '../../events.ts';
import type { Next } from '../../model/next.ts';
import type { OperationResult } from '../../operations/carry-out.ts';
import type { Plan } from '../../plan/plan.ts';
import type { Command } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags, moveFlags, strayAnswer } from '../flags.ts';
import { operated } from '../outcome.ts';

/** True if a plan gives slots to a new owner, other than by finishing a move that was begun. */
export function givesSlots({ steps }: Pick<Plan, 'steps'>): boolean {
  return steps.some((step) => step.type === 'take-slots' && !step.isBegun);
}

/** What to do instead of giving away slots that no node owns, if a plan does that. */
export function insteadOf({ steps, masters: [first] }: Pick<Plan, 'steps' | 'masters'>): Next[] {
  const takesUnowned = steps.some(
    (step) => step.type === 'take-slots' && step.from.length === 0 && !step.isBegun,
  );
  if (!takesUnowned || !first) return [];
  return [{ do: 'rejoin', nodes: [first.address], when: 'forgotten' }];
}

/** True if a plan changes who owns a slot. */
function changesOwners({ steps }: Pick<Plan, 'steps'>): boolean {
  return steps.some(({ type }) => type === 'take-slots' || type === 'move-slots');
}

/** The data of `fix`. */
export interface FixData extends OperationResult {
  /** Keys on nodes that did not own their slot, which were deleted there. */
  readonly strayKeysDropped: number;
  /** Those that went to the owner. */
  readonly strayKeysBrought: number;
}

export const fixCommand: Command<'fix'> = {
  name: 'fix',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Repair slots: finish moves, reassign unserved slots, drop stray copies',
  details:
    'Asks before a slot changes hands, also to finish a move. What would be a guess stays as it is and is reported, with ' +
    'exit code 1. So do the slots of failed masters, which may come back with their keys. How it decides: redis-trib help fix',
  example: '127.0.0.1:7000',
  asks: changesOwners,
  instead: insteadOf,
  flags: {
    ...changeFlags,
    ...moveFlags,
    'with-unreachable-masters': {
      type: 'boolean',
      help: 'Also reassign slots of failed masters without a living replica; their keys are lost',
    },
    'stray-keys': {
      type: 'string',
      value: 'ANSWER',
      choices: ['keep', 'bring', 'drop'],
      help: 'Stray keys that differ from the owner: keep, bring what it lacks, or drop (keep)',
    },
    list: {
      type: 'string',
      value: 'FILE',
      help: 'Write stray keys that stay to FILE, a JSON line each',
    },
    force: {
      type: 'boolean',
      help: 'Treat masters that do not answer as failed; ignore other operators',
    },
  },
  run: async ({ positionals: [node = ''], elsewhere, options, values }) => {
    const withUnreachableMasters = values['with-unreachable-masters'] === true;
    const answer = strayAnswer(values);
    const list =
      values.list === undefined
        ? undefined
        : new (await import('../key-list.ts')).KeyList(String(values.list));
    const settled: StrayKeys[] = [];
    const { fixMigrating } = await import('../../operations/fix-migrating.ts');
    const result = await fixMigrating(node, {
      ...options,
      elsewhere,
      withUnreachableMasters,
      ...(answer ? { strayKeys: answer } : {}),
      onEvent: (event) => {
        if (event.type === 'stray-keys') settled.push(event);
        options.onEvent?.(event);
      },
    }).finally(() => list?.write(settled));
    const dropped = settled.reduce((sum, one) => sum + one.dropped, 0);
    const brought = settled.reduce((sum, one) => sum + one.brought, 0);
    const keys = [
      ...(dropped > 0 ? [`${count(dropped, 'stray key')} dropped`] : []),
      ...(brought > 0 ? [`${count(brought, 'stray key')} brought to their owners`] : []),
    ];
    const done = result.plan.steps.length === 0 ? 'Nothing to repair' : 'Every slot is served and closed';
    const outcome = operated(result, [done, ...keys].join(', '));
    return { ...outcome, data: { ...outcome.data, strayKeysDropped: dropped, strayKeysBrought: brought } };
  },
};
