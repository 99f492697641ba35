import type { Plan } from '../../plan/plan.ts';
import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

/** True of a plan that gives slots to somebody; the end of a move that was begun does not count. */
export function givesSlots({ steps }: Pick<Plan, 'steps'>): boolean {
  return steps.some((step) => step.type === 'take-slots' && !step.isBegun);
}

export const fix: Command = {
  name: 'fix',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Mend slots: finish moves, give away what nobody serves, bring stray keys home',
  details:
    'Asks only before it gives slots to somebody. What cannot be decided without guessing is left as it is and told,\n' +
    'with exit code 1: the slots of failed masters too, which may come back with their keys.',
  example: '127.0.0.1:7000',
  asks: givesSlots,
  flags: {
    ...changeFlags,
    ...moveFlags,
    'with-unreachable-masters': {
      type: 'boolean',
      help: 'Give away slots of failed masters without a living replica: their keys are lost',
    },
    force: {
      type: 'boolean',
      help: 'Count masters as failed that give no answer; mind no other operator',
    },
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const withUnreachableMasters = values['with-unreachable-masters'] === true;
    const { fixMigrating } = await import('../../operations/fix-migrating.ts');
    const result = await fixMigrating(node, { ...options, withUnreachableMasters });
    return operated(
      result,
      result.plan.steps.length === 0 ? 'Nothing to mend' : 'Every slot is served and closed',
    );
  },
};
