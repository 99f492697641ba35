import type { Command } from '../command.ts';
import { listed } from '../list-view.ts';

export const list: Command = {
  name: 'list',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'List the nodes that a node knows, each master with its replicas',
  example: '127.0.0.1:7000',
  run: async ({ positionals: [node = ''], options }) => {
    const { listNodes } = await import('../../operations/list-nodes.ts');
    return listed(await listNodes(node, options));
  },
};
