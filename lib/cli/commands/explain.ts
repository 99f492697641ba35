import type { Explained } from '../../operations/explain.ts';
import type { Command } from '../command.ts';
import { type FlagValues, fromFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

export const explainCommand: Command<'explain'> = {
  name: 'explain',
  usage: 'CLUSTER KEY_SLOT_OR_NODE',
  arity: [2, 2],
  summary: 'Show where a key, a slot or a node is, and what is wrong with it',
  details:
    'A node is named by its address or id, a slot by its number; anything else is a key, of database 0.\n' +
    'What a finding means: redis-trib help findings KIND.',
  example: '127.0.0.1:7000 user:{42}:cart',
  reads: 'from',
  flags: {
    from: fromFlag,
    as: {
      type: 'string',
      value: 'KIND',
      choices: ['key', 'slot', 'node'],
      help: 'What it is, if it looks like something else: key, slot or node',
    },
  },
  run: async ({ positionals: [cluster = '', word = ''], elsewhere, bundled, options, values }) => {
    const what = meant(word, values.as);
    const { explain } = await import('../../operations/explain.ts');
    const explanation = await explain(bundled?.cluster ?? cluster, what, { ...options, elsewhere });
    const { explained } = await import('../explain-view.ts');
    return explained(explanation, values);
  },
};

function meant(word: string, kind: FlagValues[string]): Explained {
  if (kind === undefined) return { word };
  if (kind === 'key') return { key: word };
  if (kind === 'node') return { node: word };
  if (kind !== 'slot')
    throw new UsageError(`Not something to explain: "${kind}" (expected key, slot or node)`);
  return { slot: /^\d+$/.test(word) ? Number(word) : Number.NaN };
}
