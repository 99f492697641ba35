import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const quitCommand: Command<'quit'> = {
  name: 'quit',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'Take a node out: move its slots to the other masters, forget and reset it',
  details:
    'A master with replicas, or the last master, is refused. The node gets a new id and can join again at once.',
  example: '127.0.0.1:7003',
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [node = ''], options }) => {
    const { quitCluster } = await import('../../operations/quit-cluster.ts');
    const result = await quitCluster(node, options);
    return operated(result, `${node} has left the cluster`, `${node} had left its cluster already`);
  },
};
