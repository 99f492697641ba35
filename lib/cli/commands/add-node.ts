import type { Command } from '../command.ts';
import { changeFlags, newcomerFlags, newcomerOptions } from '../flags.ts';
import { UsageError } from '../io.ts';
import { operated } from '../outcome.ts';

export const addNodeCommand: Command<'add_node'> = {
  name: 'add_node',
  usage: 'NEW CLUSTER',
  arity: [2, 2],
  summary: 'Add a node as a master without slots, or as a replica',
  details:
    'The new node comes first, as with redis-cli. A new master gets the functions that the cluster has.\n' +
    'MASTER is a node id, the beginning of one, or an address. The default is the master with the fewest replicas.',
  example: '127.0.0.1:7003 127.0.0.1:7000 --replica',
  flags: {
    replica: { type: 'boolean', help: 'Add it as a replica' },
    of: { type: 'string', value: 'MASTER', help: 'The master to replicate, with --replica' },
    ...newcomerFlags,
    ...changeFlags,
  },
  run: async ({ positionals: [node = '', cluster = ''], options, values }) => {
    const isReplica = values.replica === true;
    if (values.of !== undefined && !isReplica) throw new UsageError('--of needs --replica');
    const { addNode } = await import('../../operations/add-node.ts');
    const replicaOf = isReplica ? String(values.of ?? '') || true : false;
    const result = await addNode(cluster, node, { ...options, ...newcomerOptions(values), replicaOf });
    const { before, expect } = result.plan;
    const [followed] = expect?.replicas ?? [];
    const master = before.find(({ id }) => id === followed?.masterId)?.address;
    const as = followed ? `a replica of ${master}` : 'a master without slots';
    return operated(result, `Added ${node} as ${as}`, `${node} is already ${as}`);
  },
};
