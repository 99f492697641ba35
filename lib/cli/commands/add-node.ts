import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { operated } from '../outcome.ts';

export const addNode: Command = {
  name: 'add_node',
  usage: 'NEW CLUSTER',
  arity: [2, 2],
  summary: 'Add a node as a master without slots, or as a replica',
  details:
    "In the order of redis-cli's words: the new node first. A new master gets the functions that the cluster has.\n" +
    'MASTER is a node id, the beginning of one, or an address; without it a replica goes to the master with fewest.',
  example: '127.0.0.1:7003 127.0.0.1:7000 --replica',
  flags: {
    replica: { type: 'boolean', help: 'Add it as a replica' },
    of: { type: 'string', value: 'MASTER', help: 'The master that it is to copy, with --replica' },
    ...changeFlags,
  },
  run: async ({ positionals: [node = '', cluster = ''], options, values }) => {
    const isReplica = values.replica === true;
    if (values.of !== undefined && !isReplica) throw new UsageError('--of needs --replica');
    const { addNode } = await import('../../operations/add-node.ts');
    const replicaOf = isReplica ? String(values.of ?? '') || true : false;
    const result = await addNode(cluster, node, { ...options, replicaOf });
    const step = result.plan.steps.find(({ type }) => type === 'replicate');
    const as = step?.type === 'replicate' ? `a replica of ${step.master.address}` : 'a master without slots';
    return operated(result, `Added ${node} as ${as}`);
  },
};
