import { checked } from '../check-view.ts';
import type { Command } from '../command.ts';
import { fromFlag, slotMapFlag } from '../flags.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

export const checkCommand: Command<'check'> = {
  name: 'check',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Ask every node and report what is wrong',
  details:
    'Exit code 1 for errors (slots that are unserved or open, nodes that disagree), 0 for warnings.\nWhat a finding means: redis-trib help findings KIND.',
  example: '127.0.0.1:7000',
  reads: 'from',
  flags: {
    from: fromFlag,
    zone: zoneFlag,
    'slot-map': slotMapFlag,
  },
  run: async ({ positionals: [node = ''], elsewhere, bundled, options, values }) => {
    const zones = zonesOf(values);
    const { check } = await import('../../operations/check.ts');
    return checked(await check(bundled?.cluster ?? node, { ...options, zones, elsewhere }), values);
  },
};
