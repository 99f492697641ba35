import type { Command } from '../command.ts';
import { changeFlags, moveFlags, newcomerFlags, newcomerOptions } from '../flags.ts';
import { operated } from '../outcome.ts';

export const joinCommand: Command<'join'> = {
  name: 'join',
  usage: 'CLUSTER NEW',
  arity: [2, 2],
  summary: 'Add a node as a master and move its share of the slots to it',
  example: '127.0.0.1:7000 127.0.0.1:7003',
  flags: { ...newcomerFlags, ...changeFlags, ...moveFlags },
  run: async ({ positionals: [cluster = '', node = ''], options: given, values }) => {
    const options = { ...given, ...newcomerOptions(values) };
    const { joinCluster } = await import('../../operations/join-cluster.ts');
    return operated(
      await joinCluster(cluster, node, options),
      `Joined ${node} to the cluster`,
      `${node} is already a member with its share of the slots: nothing to move`,
    );
  },
};

export const joinNoLoadCommand: Command<'join_no_load'> = {
  name: 'join_no_load',
  usage: 'CLUSTER NEW',
  arity: [2, 2],
  summary: 'Add a node as a master without slots',
  example: '127.0.0.1:7000 127.0.0.1:7003',
  flags: { ...newcomerFlags, ...changeFlags },
  run: async ({ positionals: [cluster = '', node = ''], options: given, values }) => {
    const options = { ...given, ...newcomerOptions(values) };
    const { joinNoLoad } = await import('../../operations/join-cluster.ts');
    return operated(
      await joinNoLoad(cluster, node, options),
      `Joined ${node} to the cluster, without slots`,
      `${node} is already a member without slots`,
    );
  },
};
