import type { EnsureResult } from '../../operations/ensure-cluster.ts';
import { type Command, MANY } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags, moveFlags, newcomerFlags, newcomerOptions, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';
import { type Outcome, operated } from '../outcome.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

export const ensureCommand: Command<'ensure'> = {
  name: 'ensure',
  usage: 'NODE...',
  arity: [1, MANY],
  summary: 'Create or grow the cluster that is declared, finish it, or do nothing',
  details:
    'Ends with 0 when the nodes are one healthy cluster of N masters with so many replicas each, so it can be repeated: in a ' +
    'Job, for example. Nodes that are not needed become further replicas. It takes no master out, joins no two clusters and ' +
    'touches no unhealthy one. NODE may also be a host name with several addresses.',
  example: 'redis-headless:6379 --masters 3 --replicas 1',
  flags: {
    masters: { type: 'string', value: 'N', help: 'How many masters share the slots' },
    replicas: { type: 'string', value: 'N', help: 'Replicas of each master, at least (0)' },
    zone: zoneFlag,
    ...newcomerFlags,
    ...changeFlags,
    ...moveFlags,
  },
  run: async ({ positionals, options, values }) => {
    const masters = numberFlag(values, 'masters');
    if (masters === undefined) throw new UsageError('Say how many masters: --masters N');
    const { ensureCluster } = await import('../../operations/ensure-cluster.ts');
    const result = await ensureCluster(positionals, {
      ...options,
      ...newcomerOptions(values),
      masters,
      replicas: numberFlag(values, 'replicas', 0) ?? 0,
      zones: zonesOf(values),
    });
    return ensured(result);
  },
};

function ensured(result: EnsureResult): Outcome<EnsureResult> {
  const { did, addedMasters, addedReplicas, masters, replicas } = result;
  const now = shape(masters, replicas);
  const added = shape(addedMasters, addedReplicas);
  const texts = {
    created: `Created a cluster of ${now}`,
    changed: added === '' ? `Finished the cluster of ${now}` : `Added ${added}, now ${now}`,
    nothing: `Already a cluster of ${now}`,
  };
  const outcome = operated(result, texts[did]);
  return { ...outcome, data: { ...outcome.data, did, addedMasters, addedReplicas, masters, replicas } };
}

/** Masters and replicas as far as there are any. */
function shape(masters: number, replicas: number): string {
  const parts = [
    ...(masters > 0 ? [count(masters, 'master')] : []),
    ...(replicas > 0 ? [count(replicas, 'replica')] : []),
  ];
  return parts.join(' and ');
}
