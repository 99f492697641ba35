import type { OperationResult, RebalanceOptions } from '../../index.ts';
import { shorten } from '../../model/lists.ts';
import { DEFAULTS } from '../../settings.ts';
import type { Command } from '../command.ts';
import { changeFlags, type FlagValues, listFlag, moveFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { given } from '../move-options.ts';
import { operated } from '../outcome.ts';

const KINDS = ['slots', 'keys', 'memory', 'cpu', 'network'] as const;

export const rebalanceCommand: Command<'rebalance'> = {
  name: 'rebalance',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Move slots between the masters until each has its share',
  details:
    'Nothing moves if every master is within the threshold of its share. A weight of 0 empties a master.\n' +
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
    threshold: { type: 'string', value: 'PCT', help: 'Percentage that a master may be off its share (2)' },
    by: {
      type: 'string',
      value: 'WHAT',
      choices: KINDS,
      help: 'What to share out: slots, keys, memory, cpu or network (slots)',
    },
  },
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const wanted = given({ weights: weightsOf(values), threshold: thresholdOf(values), by: kindOf(values) });
    const useEmptyMasters = values['use-empty-masters'] === true;
    const { rebalance } = await import('../../operations/rebalance.ts');
    const result = await rebalance(cluster, { ...options, ...wanted, useEmptyMasters });
    const left = leftOut(result, wanted.weights);
    if (result.plan.steps.length > 0) {
      const outcome = operated(result, `Rebalanced ${cluster}`);
      return { ...outcome, text: `${outcome.text}${left}` };
    }
    const { threshold = DEFAULTS.rebalance.threshold, by = DEFAULTS.rebalance.by } = wanted;
    return { ...operated(result, ''), text: `${nothingToDo(threshold, by)}${left}` };
  },
};

function nothingToDo(threshold: number, by: RebalanceOptions['by']): string {
  const why =
    by === 'slots' || by === undefined
      ? `every master is within ${threshold}% of its share`
      : `no slot that could move would bring the masters nearer to their shares of ${by}, within ${threshold}%`;
  return `No rebalancing needed: ${why}`;
}

/** A line about the masters that have no slots and get none. */
function leftOut(
  { plan: { before, steps } }: OperationResult,
  weights: Readonly<Record<string, number>> = {},
): string {
  const names = before
    .filter(({ role, slots }) => role === 'master' && slots.length === 0)
    .filter(({ id }) => !steps.some((step) => step.type === 'move-slots' && step.target.id === id))
    .filter(
      ({ id, address }) => !Object.keys(weights).some((name) => address === name || id.startsWith(name)),
    )
    .map(({ address }) => address);
  if (names.length === 0) return '';
  const [have, gets] = names.length === 1 ? ['has', 'it gets'] : ['have', 'they get'];
  const shown = shorten(names, MOST_NAMED, 'master').join(', ');
  return `\nLeft out: ${shown}, which ${have} no slots. With --use-empty-masters ${gets} some`;
}

const MOST_NAMED = 8;

function weightsOf(values: FlagValues): Record<string, number> | undefined {
  const weights = new Map<string, number>();
  for (const text of listFlag(values, 'weight')) {
    const [, name = '', number] = /^(.+)=((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)$/i.exec(text) ?? [];
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
