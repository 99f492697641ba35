import type { Command } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const pruneCommand: Command<'prune'> = {
  name: 'prune',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Forget every dead node without slots, on all nodes',
  details: 'Only nodes that all others consider failed and that do not answer at any known address.',
  example: '127.0.0.1:7000',
  flags: changeFlags,
  run: async ({ positionals: [cluster = ''], options }) => {
    const { prune } = await import('../../operations/prune.ts');
    const result = await prune(cluster, options);
    const { length } = result.plan.steps;
    return operated(
      result,
      length === 0 ? 'No dead node without slots' : `Forgot ${count(length, 'dead node')}`,
    );
  },
};
