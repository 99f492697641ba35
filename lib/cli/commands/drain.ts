import type { OperationResult } from '../../operations/carry-out.ts';
import type { Command } from '../command.ts';
import { changeFlags, moveFlags } from '../flags.ts';
import { operated } from '../outcome.ts';

export const drainCommand: Command<'drain'> = {
  name: 'drain',
  usage: 'CLUSTER HOST_OR_NODE',
  arity: [2, 2],
  summary: 'Prepare a node, or all nodes of a host, for a restart',
  details:
    'Replicas elsewhere take the place of the masters there, gracefully and one by one. A master without such a replica ' +
    'is refused. The nodes stay members. A node is named by its address, its id, or the beginning of its id.',
  example: '127.0.0.1:7000 10.0.0.2',
  flags: {
    ...changeFlags,
    ...moveFlags,
    'move-slots': {
      type: 'boolean',
      help: 'Move the slots of masters without a replica elsewhere to the other masters',
    },
  },
  run: async ({ positionals: [cluster = '', target = ''], options, values }) => {
    const library = await import('../../operations/drain.ts');
    const moveSlots = values['move-slots'] === true;
    const result = await library.drain(cluster, target, { ...options, moveSlots });
    if (!result.applied) return operated(result, '');
    if (result.plan.steps.length === 0) return operated(result, `No master with slots is on ${target}`);
    const outcome = operated(result, `No master with slots is left on ${target}`);
    return { ...outcome, text: [outcome.text, ...homeLines(cluster, result)].join('\n') };
  },
};

function homeLines(cluster: string, { plan }: OperationResult): string[] {
  const failovers = plan.steps.flatMap((step) => (step.type === 'failover' ? [step.master.address] : []));
  return [
    ...(failovers.length > 0 ? ['To bring the masters back after the restart:'] : []),
    ...failovers.map((address) => `  redis-trib failover ${address}`),
    ...(plan.steps.some(({ type }) => type === 'move-slots')
      ? [`To bring slots back after the restart: redis-trib rebalance ${cluster} --use-empty-masters`]
      : []),
  ];
}
