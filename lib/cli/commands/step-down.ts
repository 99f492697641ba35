import type { Command } from '../command.ts';
import { changeFlags, numberFlag } from '../flags.ts';
import { operated } from '../outcome.ts';

export const stepDownCommand: Command<'step_down'> = {
  name: 'step_down',
  usage: 'NODE',
  arity: [1, 1],
  summary: 'Make a node fit to be stopped: a replica takes its place',
  details:
    'For a preStop hook, or ExecStop of systemd. A replica, or a master without slots, ends at once. Exit code 0 only when ' +
    'all nodes agree that a replica has taken over; always within the time given.',
  example: '127.0.0.1:7000 --within 20000',
  flags: {
    within: { type: 'string', value: 'MS', help: 'Time after which it ends in any case (25000)' },
    ...changeFlags,
  },
  run: async ({ positionals: [node = ''], options, values }) => {
    const within = numberFlag(values, 'within');
    const { stepDown } = await import('../../operations/step-down.ts');
    const result = await stepDown(node, { ...options, ...(within === undefined ? {} : { within }) });
    const [step] = result.plan.steps;
    if (step?.type === 'failover')
      return operated(result, `${step.replica.address} has taken the place of ${node}`);
    return operated(result, `${node} owns no slots: it may stop`);
  },
};
