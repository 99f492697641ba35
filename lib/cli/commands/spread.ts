import type { SpreadResult } from '../../operations/spread.ts';
import type { Command } from '../command.ts';
import { count } from '../figures.ts';
import { changeFlags } from '../flags.ts';
import { UsageError } from '../io.ts';
import { type Outcome, operated } from '../outcome.ts';
import { zoneFlag, zonesOf } from '../zones.ts';

export const spreadCommand: Command<'spread'> = {
  name: 'spread',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Spread masters over hosts and zones, and replicas apart from their masters',
  details:
    'By as few failovers as possible, gracefully and one by one, to replicas that are in sync. A replica that shares a host ' +
    'or zone with its master gets another master, but none is left without a replica in sync. Valkey tells its zone.',
  example: '10.0.0.1:7000 --dry-run',
  flags: {
    zone: { ...zoneFlag, help: 'What fails together, such as a rack (what servers tell); repeatable' },
    'to-zone': {
      type: 'string',
      value: 'ZONE',
      help: 'Bring all masters to this zone; rollback of a saved plan brings them back',
    },
    ...changeFlags,
  },
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const zones = zonesOf(values);
    const toZone = values['to-zone'];
    if (toZone === '') throw new UsageError('Not a zone for --to-zone: it is empty');
    const { spread } = await import('../../operations/spread.ts');
    const result = await spread(cluster, {
      ...options,
      zones,
      ...(typeof toZone === 'string' ? { toZone } : {}),
    });
    return spreadOutcome(result);
  },
};

function spreadOutcome(result: SpreadResult): Outcome<SpreadResult> {
  const { failovers, moved, masters, plan, applied } = result;
  const did = `${count(failovers, 'failover')}, ${count(moved, 'replica')} moved to another master`;
  const outcome = operated(result, plan.steps.length === 0 ? 'Nothing to do' : `Spread: ${did}`);
  const lines = (['host', 'zone'] as const).flatMap((place) => {
    const here = masters.filter((one) => one.place === place);
    if (here.length === 0 || (!applied && plan.steps.length === 0)) return [];
    const shown = here.map(({ name, before, after }) =>
      before === after ? `${name} ${after}` : `${name} ${before} → ${after}`,
    );
    return [`Masters per ${place}: ${shown.join(', ')}`];
  });
  return {
    ...outcome,
    text: [outcome.text, ...lines].join('\n'),
    data: { ...outcome.data, failovers, moved, masters },
  };
}
