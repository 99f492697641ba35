import type { RestartResult } from '../../operations/restart.ts';
import type { Command } from '../command.ts';
import { count, duration } from '../figures.ts';
import { changeFlags, execFlags, listFlag, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';
import { type Outcome, operated } from '../outcome.ts';

export const restartCommand: Command<'restart'> = {
  name: 'restart',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Restart servers one after the other: replicas first, masters once replaced',
  details:
    'Each is stopped only when it owns no slots and may stop, and must be in sync before the next. Without --exec it ' +
    'says which server to restart, and waits for that. A saved plan goes on with the servers that are left: see apply.',
  example: "127.0.0.1:7000 --exec 'ssh {host} systemctl restart redis@{port}'",
  flags: {
    ...execFlags,
    only: {
      type: 'string',
      multiple: true,
      value: 'WHICH,...',
      help: 'Only these nodes, hosts or versions, such as 8.0 or <8.2; repeatable (all)',
    },
    batch: { type: 'boolean', help: 'Restart servers of different shards together, as many as may stop' },
    home: { type: 'boolean', help: 'Bring each master back after its restart' },
    timeout: {
      type: 'string',
      value: 'MS',
      help: 'Time for a server to be back and in sync (300000)',
    },
    ...changeFlags,
  },
  run: async ({ positionals: [cluster = ''], options, values, io }) => {
    const only = listFlag(values, 'only').flatMap((text) => text.split(','));
    if (only.includes(''))
      throw new UsageError('Not nodes for --only: nothing stands before or after a comma');
    const restartTimeout = numberFlag(values, 'timeout');
    const { execOptions } = await import('../exec-options.ts');
    const exec = await execOptions(values, io);
    const { restart } = await import('../../operations/restart.ts');
    // The time of --timeout is not that of MIGRATE here.
    const { migrateTimeout: _, ...others } = options;
    const result = await restart(cluster, {
      ...others,
      ...exec,
      ...(restartTimeout === undefined ? {} : { restartTimeout }),
      ...(only.length === 0 ? {} : { only }),
      batch: values.batch === true,
      home: values.home === true,
    });
    return restartOutcome(result);
  },
};

function restartOutcome(result: RestartResult): Outcome<RestartResult> {
  const { restarted, failovers, withoutMasterMs, plan } = result;
  const what = `${count(restarted, 'server')} restarted, ${count(failovers, 'failover')}`;
  const felt = failovers > 0 ? `; a slot had no master for ${duration(withoutMasterMs)} at most` : '';
  const outcome = operated(result, plan.steps.length === 0 ? 'No server to restart' : `${what}${felt}`);
  const data = { ...outcome.data, restarted, failovers, withoutMasterMs: Math.round(withoutMasterMs) };
  return { ...outcome, data };
}
