import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const fix: Command = {
  name: 'fix',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Close open slots: finish the moves that were begun',
  details: 'What cannot be decided without guessing is left as it is and told, with exit code 1.',
  example: '127.0.0.1:7000',
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [node = ''], options }) => {
    const { fixMigrating } = await import('../../index.ts');
    const result = await fixMigrating(node, options);
    return operated(result, result.plan.steps.length === 0 ? 'No slot is open' : 'Every slot is closed');
  },
};
