import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const delNodeCommand: Command<'del_node'> = {
  name: 'del_node',
  usage: 'CLUSTER ID',
  arity: [2, 2],
  summary: 'Take a node out, alive or dead: forget it everywhere, and reset it',
  details:
    'ID is a node id, the beginning of one, or an address. A master with slots is refused unless --drain is given.',
  example: '127.0.0.1:7000 127.0.0.1:7003',
  flags: {
    drain: { type: 'boolean', help: 'Move its slots to the other masters first' },
    ...changeFlags,
    ...moveFlags,
  },
  run: async ({ positionals: [cluster = '', node = ''], options, values }) => {
    const library = await import('../../operations/del-node.ts');
    const result = await library.delNode(cluster, node, { ...options, drain: values.drain === true });
    return operated(result, `${node} has left the cluster`, `${node} had left the cluster already`);
  },
};
