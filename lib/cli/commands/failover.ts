import type { Command } from '../command.ts';
import { changeFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { operated } from '../outcome.ts';

const MODES = ['graceful', 'force', 'takeover'] as const;

export const failoverCommand: Command<'failover'> = {
  name: 'failover',
  usage: 'REPLICA',
  arity: [1, 1],
  summary: 'Let a replica take the place of its master',
  details:
    'graceful: the master hands over and no write is lost. force: the master does not answer.\n' +
    'takeover: too few masters are left to vote.',
  example: '127.0.0.1:7004',
  flags: {
    mode: {
      type: 'string',
      value: 'MODE',
      choices: ['graceful', 'force', 'takeover'],
      help: 'graceful, force or takeover (graceful)',
    },
    ...changeFlags,
    force: {
      type: 'boolean',
      help: 'With force and takeover, replace a master that runs; ignore other operators',
    },
  },
  run: async ({ positionals: [replica = ''], options, values }) => {
    const mode = MODES.find((one) => one === (values.mode ?? 'graceful'));
    if (!mode) throw new UsageError(`Not a mode: "${values.mode}" (expected ${MODES.join(', ')})`);
    const library = await import('../../operations/failover.ts');
    const result = await library.failover(replica, { ...options, mode });
    const nothing = result.plan.steps.length === 0;
    return operated(result, nothing ? `${replica} is a master already` : `${replica} is the master now`);
  },
};
