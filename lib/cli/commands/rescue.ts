import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const rescueCommand: Command<'rescue'> = {
  name: 'rescue',
  usage: 'CLUSTER NEW',
  arity: [2, 2],
  summary: 'Give the slots of failed masters to a new node; their keys are lost',
  details:
    'A master that is only slow, or that has a living replica, is left alone. Does nothing if every slot is served.',
  example: '127.0.0.1:7000 127.0.0.1:7005',
  flags: {
    ...changeFlags,
    force: {
      type: 'boolean',
      help: 'Treat masters that do not answer as failed; ignore other operators',
    },
  },
  run: async ({ positionals: [cluster = '', node = ''], elsewhere, options }) => {
    const { rescueCluster } = await import('../../operations/rescue-cluster.ts');
    const result = await rescueCluster(cluster, node, { ...options, elsewhere });
    const nothing = result.plan.steps.length === 0;
    return operated(result, nothing ? 'No slot is missing' : `${node} has taken the lost slots`);
  },
};
