import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const shutdown: Command = {
  name: 'shutdown',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'End a cluster that is down to one node without keys',
  details: 'The server goes on running; it is reset and belongs to no cluster after.',
  example: '127.0.0.1:7000',
  flags: {
    ...changeFlags,
    'ignore-failed': { type: 'boolean', help: 'Leave failed nodes out of account' },
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const { shutdownCluster } = await import('../../operations/shutdown-cluster.ts');
    const result = await shutdownCluster(node, {
      ...options,
      ignoreFailed: values['ignore-failed'] === true,
    });
    return operated(result, `The cluster of ${node} has ended`);
  },
};
