import type { RebalanceOptions } from '../../index.ts';
import type { Command } from '../command.ts';
import { changeFlags, type FlagValues, listFlag, moveFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { given } from '../move-options.ts';
import { operated } from '../outcome.ts';

const KINDS = ['slots', 'keys', 'memory', 'cpu', 'network'] as const;

export const rebalance: Command = {
  name: 'rebalance',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Move slots between the masters until each has its share',
  details:
    'Nothing moves where no master is off its share by more than the threshold. A weight of 0 empties a master.\n' +
    'NODE is a node id, the beginning of one, or an address.',
  example: '127.0.0.1:7000 --weight 127.0.0.1:7001=2 --by keys',
  asks: true,
  flags: {
    ...changeFlags,
    ...moveFlags,
    weight: {
      type: 'string',
      multiple: true,
      value: 'NODE=W',
      help: 'Share of a master relative to the others (1), repeatable',
    },
    'use-empty-masters': { type: 'boolean', help: 'Give slots to masters without any' },
    threshold: { type: 'string', value: 'PCT', help: 'Per cent a master may be off its share (2)' },
    by: { type: 'string', value: 'WHAT', help: 'Share out slots, keys, memory, cpu or network (slots)' },
  },
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const wanted = given({ weights: weightsOf(values), threshold: thresholdOf(values), by: kindOf(values) });
    const useEmptyMasters = values['use-empty-masters'] === true;
    const { rebalance } = await import('../../operations/rebalance.ts');
    const result = await rebalance(cluster, { ...options, ...wanted, useEmptyMasters });
    if (result.plan.steps.length > 0) return operated(result, `Rebalanced ${cluster}`);
    const { threshold = 2, by = 'slots' } = wanted;
    return { ...operated(result, ''), text: nothingToDo(threshold, by) };
  },
};

function nothingToDo(threshold: number, by: RebalanceOptions['by']): string {
  const why =
    by === 'slots' || by === undefined
      ? `every master is within ${threshold}% of its share`
      : `no slot that could move would bring the masters nearer to their shares of ${by}, within ${threshold}%`;
  return `No rebalancing needed: ${why}`;
}

function weightsOf(values: FlagValues): Record<string, number> | undefined {
  const weights = new Map<string, number>();
  for (const text of listFlag(values, 'weight')) {
    const [, name = '', number] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(text) ?? [];
    if (number === undefined) {
      throw new UsageError(`Not a weight: "${text}" (expected NODE=W, W a number from 0 up)`);
    }
    if (weights.has(name)) throw new UsageError(`Two weights for one node: "${name}"`);
    weights.set(name, Number(number));
  }
  return weights.size > 0 ? Object.fromEntries(weights) : undefined;
}

function thresholdOf({ threshold }: FlagValues): number | undefined {
  if (threshold === undefined) return undefined;
  if (typeof threshold === 'string' && /^\d+(\.\d+)?$/.test(threshold)) return Number(threshold);
  throw new UsageError(`Not a number from 0 up for --threshold: "${threshold}"`);
}

function kindOf({ by }: FlagValues): RebalanceOptions['by'] {
  if (by === undefined) return undefined;
  const kind = KINDS.find((name) => name === by);
  if (kind) return kind;
  throw new UsageError(`Not something to share out: "${by}" (expected ${KINDS.join(', ')})`);
}
