import { withAdvice } from '../check-view.ts';
import type { Command } from '../command.ts';
import { MANY } from '../command.ts';
import { verdictOutcome } from '../stop-view.ts';

export const okToStopCommand: Command<'ok_to_stop'> = {
  name: 'ok_to_stop',
  usage: 'CLUSTER HOST_OR_NODE...',
  arity: [2, MANY],
  summary: 'Say whether nodes may stop now, together',
  details:
    'They may if every slot keeps its master or has a replica in sync that would be elected, enough masters stay to ' +
    'vote, and none would refuse writes for want of replicas. Else it says why not, and which may stop together.\n' +
    'Exit code 0 for yes, 1 for no.',
  example: '127.0.0.1:7000 127.0.0.1:7004 10.0.0.2',
  run: async ({ positionals: [cluster = '', ...targets], options, values }) => {
    const { okToStop } = await import('../../operations/ok-to-stop.ts');
    const result = await okToStop(cluster, targets, options);
    return verdictOutcome({ ...result, reasons: await withAdvice(result.reasons, values) });
  },
};
