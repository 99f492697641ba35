import { type Command, MANY } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags, numberFlag } from '../flags.ts';
import { given } from '../move-options.ts';
import { operated } from '../outcome.ts';
import { zoneFlag, zonesOf } from '../zones.ts';
import { maxSlots } from './start.ts';

export const createCommand: Command<'create'> = {
  name: 'create',
  usage: 'NODE...',
  arity: [1, MANY],
  summary: 'Make a cluster of masters that share the slots, and their replicas',
  details:
    'Replicas are placed in other zones and on other hosts than their master and each other, if possible.',
  example: '127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002 --yes',
  asks: true,
  flags: {
    replicas: { type: 'string', value: 'N', help: 'Replicas of each master (0)' },
    zone: zoneFlag,
    ...changeFlags,
    ...maxSlots,
  },
  run: async ({ positionals, options, values }) => {
    const { createCluster } = await import('../../operations/create-cluster.ts');
    const own = given({
      replicas: numberFlag(values, 'replicas', 0),
      maxSlots: numberFlag(values, 'max-slots'),
    });
    const result = await createCluster(positionals, { ...options, ...own, zones: zonesOf(values) });
    const masters = result.plan.masters.length;
    const replicas = result.plan.before.length - masters;
    const also = replicas > 0 ? ` and ${count(replicas, 'replica')}` : '';
    const cluster = `a cluster of ${count(masters, 'master')}${also}`;
    return operated(result, `Created ${cluster}`, `These nodes are already ${cluster}`);
  },
};
