import type { OperationResult } from '../../operations/carry-out.ts';
import { type Command, type Invocation, MANY } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags, type Flags, numberFlag } from '../flags.ts';
import { type Outcome, operated } from '../outcome.ts';

export const maxSlots: Flags = {
  'max-slots': { type: 'string', value: 'N', help: 'Most slots in one ADDSLOTS (16384)' },
};

async function startCluster({ positionals, options, values }: Invocation): Promise<Outcome<OperationResult>> {
  const { startClusterOnMulti } = await import('../../operations/start-cluster.ts');
  const limit = numberFlag(values, 'max-slots');
  const result = await startClusterOnMulti(positionals, {
    ...options,
    ...(limit === undefined ? {} : { maxSlots: limit }),
  });
  const cluster = `a cluster of ${count(result.plan.masters.length, 'master')}`;
  return operated(
    result,
    `Started ${cluster}`,
    `${positionals.length === 1 ? 'This node is' : 'These nodes are'} already ${cluster}`,
  );
}

export const startCommand: Command<'start'> = {
  name: 'start',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'Make a cluster of one node, which gets all slots',
  example: '127.0.0.1:7000',
  flags: { ...changeFlags, ...maxSlots },
  run: startCluster,
};

export const startMultiCommand: Command<'start_multi'> = {
  name: 'start_multi',
  usage: 'NODE...',
  arity: [1, MANY],
  summary: 'Make a cluster of several masters that share the slots',
  details: 'Slots are shared in the order given; the first node gets the remainder.',
  example: '127.0.0.1:7000 127.0.0.1:7001 127.0.0.1:7002',
  flags: { ...changeFlags, ...maxSlots },
  run: startCluster,
};
