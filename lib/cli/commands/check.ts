import { checked } from '../check-view.ts';
import type { Command } from '../command.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

export const check: Command = {
  name: 'check',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Ask every node and tell what is wrong',
  details:
    'Exit code 1 for errors, not for warnings: slots that are not served or not settled, nodes that do not agree.',
  example: '127.0.0.1:7000',
  flags: {
    zone: zoneFlag,
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const zones = zonesOf(values);
    const { check } = await import('../../operations/check.ts');
    return checked(await check(node, { ...options, zones }));
  },
};
