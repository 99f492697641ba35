import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const shutdownCommand: Command<'shutdown'> = {
  name: 'shutdown',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'End a cluster of one node without keys',
  details: 'The server keeps running. It is reset, and belongs to no cluster afterwards.',
  example: '127.0.0.1:7000',
  flags: {
    ...changeFlags,
    'ignore-failed': { type: 'boolean', help: 'Ignore failed nodes' },
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const { shutdownCluster } = await import('../../operations/shutdown-cluster.ts');
    const result = await shutdownCluster(node, {
      ...options,
      ignoreFailed: values['ignore-failed'] === true,
    });
    return operated(
      result,
      `The cluster of ${node} has ended`,
      `${node} is in no cluster: nothing was changed`,
    );
  },
};
