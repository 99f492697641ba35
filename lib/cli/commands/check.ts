import { checked } from '../check-view.ts';
import type { Command } from '../command.ts';
import { listFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

export const check: Command = {
  name: 'check',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'Ask every node and tell what is wrong',
  details:
    'Exit code 1 for errors, not for warnings: slots that are not served or not settled, nodes that do not agree.',
  example: '127.0.0.1:7000',
  flags: {
    zone: {
      type: 'string',
      value: 'NODE=ZONE',
      multiple: true,
      help: 'The zone of a node (address, host or id); may be repeated',
    },
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const zones = Object.fromEntries(listFlag(values, 'zone').map(readZone));
    const { check } = await import('../../index.ts');
    return checked(await check(node, { ...options, zones }));
  },
};

function readZone(text: string): [string, string] {
  const equals = text.lastIndexOf('=');
  const [node, zone] = [text.slice(0, equals), text.slice(equals + 1)];
  if (equals < 1 || zone === '') throw new UsageError(`Not a zone: "${text}" (expected NODE=ZONE)`);
  return [node, zone];
}
