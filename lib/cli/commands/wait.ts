import type { WaitCondition } from '../../operations/wait-for.ts';
import type { Command } from '../command.ts';
import { seconds } from '../figures.ts';
import { listFlag, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

const CONDITIONS = ['listening', 'serving', 'in-sync', 'agreed'] as const;

export const waitCommand: Command<'wait'> = {
  name: 'wait',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Wait until a cluster is as wanted',
  details:
    'nodes=N: at least so many nodes answer. listening: so does every node named, and every member. serving: every slot ' +
    'is served. in-sync: every replica has what its master has. agreed: every node knows all others for what they are.\n' +
    'CLUSTER may also be several nodes with commas between, or a host name with several addresses.',
  example: '127.0.0.1:7000 --for nodes=6,serving --timeout 120000',
  takesList: true,
  flags: {
    for: {
      type: 'string',
      multiple: true,
      value: 'WHAT,...',
      choices: ['nodes=', 'listening', 'serving', 'in-sync', 'agreed'],
      help: 'nodes=N, listening, serving, in-sync, agreed; repeatable (serving,agreed)',
    },
    timeout: { type: 'string', value: 'MS', help: 'Time after which it fails (60000)' },
  },
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const conditions = listFlag(values, 'for')
      .flatMap((text) => text.split(','))
      .map(readCondition);
    const timeout = numberFlag(values, 'timeout');
    const { waitFor } = await import('../../operations/wait-for.ts');
    const { elapsedMs, ...data } = await waitFor(cluster.split(','), {
      ...options,
      ...(conditions.length === 0 ? {} : { conditions }),
      ...(timeout === undefined ? {} : { timeout }),
    });
    const what = data.conditions
      .map((one) => (typeof one === 'string' ? one : `nodes=${one.nodes}`))
      .join(', ');
    return {
      ok: true,
      text: `${what} (${seconds(elapsedMs)})`,
      data: { ...data, elapsedMs: Math.round(elapsedMs) },
    };
  },
};

function readCondition(text: string): WaitCondition {
  const known = CONDITIONS.find((one) => one === text.replaceAll('_', '-'));
  if (known) return known;
  const nodes = /^nodes=([1-9]\d{0,5})$/.exec(text)?.[1];
  if (nodes) return { nodes: Number(nodes) };
  throw new UsageError(`Not something to wait for: "${text}" (expected nodes=N, ${CONDITIONS.join(', ')})`);
}
