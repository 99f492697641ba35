import { type Command, MANY } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const rejoinCommand: Command<'rejoin'> = {
  name: 'rejoin',
  usage: 'NODE...',
  arity: [1, MANY],
  summary: 'Introduce members to one another again, at the addresses where they are now',
  details:
    'After addresses have changed or were swapped, or some members have forgotten another. Name the nodes that the others ' +
    'do not find; with all addresses new, all of them. Replicas get the new address of their master. No slot changes its ' +
    'owner, and a node of another cluster is refused. Done when all members find one another and serve.',
  example: '127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002',
  flags: {
    ...changeFlags,
    'keep-timeout': {
      type: 'boolean',
      help: 'Do not set cluster-node-timeout to 2 s until the cluster serves (then up to 40 s)',
    },
    force: {
      type: 'boolean',
      help: 'Leave out members that are not found; ignore other operators',
    },
  },
  run: async ({ positionals, options, values }) => {
    const { rejoinCluster } = await import('../../operations/rejoin-cluster.ts');
    const result = await rejoinCluster(positionals, {
      ...options,
      keepTimeout: values['keep-timeout'] === true,
    });
    const members = count(result.plan.expect?.members.length ?? 0, 'member');
    return operated(result, `All ${members} find one another`);
  },
};
