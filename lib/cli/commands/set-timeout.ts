import { LARGEST_INT } from '../../model/numbers.ts';
import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { timeoutSet } from '../set-timeout-view.ts';

export const setTimeoutCommand: Command<'set_timeout'> = {
  name: 'set_timeout',
  usage: 'CLUSTER MS',
  arity: [2, 2],
  summary: 'Set cluster-node-timeout on every node, and in its configuration file',
  details:
    'MS is 100 or more. Exit code 1 if a node was not set. A node without a configuration file is only a warning.',
  example: '127.0.0.1:7000 5000',
  flags: {
    'dry-run': changeFlags['dry-run'],
    wait: changeFlags.wait,
    force: changeFlags.force,
    yes: changeFlags.yes,
  } as NonNullable<Command['flags']>,
  run: async ({ positionals: [node = '', text = ''], options }) => {
    const timeout = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(timeout >= 100 && timeout <= LARGEST_INT)) {
      throw new UsageError(`Not a node timeout in ms from 100 up: "${text}"`);
    }
    const { setNodeTimeout } = await import('../../operations/set-node-timeout.ts');
    return timeoutSet(await setNodeTimeout(node, timeout, options));
  },
};
