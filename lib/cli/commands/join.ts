import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const join: Command = {
  name: 'join',
  usage: 'CLUSTER NEW',
  arity: [2, 2],
  summary: 'Add a node as a master and move slots to it until all have their share',
  example: '127.0.0.1:7000 127.0.0.1:7003',
  flags: { ...changeFlags, ...moveFlags },
  run: async ({ positionals: [cluster = '', node = ''], options }) => {
    const { joinCluster } = await import('../../operations/join-cluster.ts');
    return operated(await joinCluster(cluster, node, options), `Joined ${node} to the cluster`);
  },
};

export const joinNoLoad: Command = {
  name: 'join_no_load',
  usage: 'CLUSTER NEW',
  arity: [2, 2],
  summary: 'Add a node as a master without slots',
  example: '127.0.0.1:7000 127.0.0.1:7003',
  flags: changeFlags,
  run: async ({ positionals: [cluster = '', node = ''], options }) => {
    const { joinNoLoad } = await import('../../operations/join-cluster.ts');
    return operated(await joinNoLoad(cluster, node, options), `Joined ${node} to the cluster, without slots`);
  },
};
