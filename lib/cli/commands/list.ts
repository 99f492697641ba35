import type { Command } from '../command.ts';
import { fromFlag, slotMapFlag } from '../flags.ts';
import { listed } from '../list-view.ts';

export const listCommand: Command<'list'> = {
  name: 'list',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'List the nodes that a node knows, each master with its replicas',
  example: '127.0.0.1:7000',
  reads: 'from',
  flags: {
    from: fromFlag,
    slots: { type: 'boolean', help: 'Show the slots of each master as ranges' },
    'slot-map': slotMapFlag,
  },
  run: async ({ positionals: [node = ''], bundled, options, values }) => {
    const { listNodes } = await import('../../operations/list-nodes.ts');
    return listed(await listNodes(bundled?.cluster ?? node, options), values);
  },
};
