import type { Command } from '../command.ts';
import { fromFlag, slotMapFlag } from '../flags.ts';
import { informed } from '../info-view.ts';

export const infoCommand: Command<'info'> = {
  name: 'info',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Show keys, slots, replicas and memory of each master',
  details: 'Exit code 1 if a master does not answer.',
  example: '127.0.0.1:7000',
  reads: 'from',
  flags: { from: fromFlag, 'slot-map': slotMapFlag },
  run: async ({ positionals: [node = ''], bundled, options }) => {
    const { clusterInfo } = await import('../../operations/cluster-info.ts');
    return informed(await clusterInfo(bundled?.cluster ?? node, options));
  },
};
