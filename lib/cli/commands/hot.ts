import type { Command } from '../command.ts';
import { type FlagValues, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';

export const hotCommand: Command<'hot'> = {
  name: 'hot',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Find the hottest slots and keys, and say whether moving slots helps',
  details:
    'By what each master can say: CLUSTER SLOT-STATS (Valkey 8.0, Redis 8.2), HOTKEYS (Redis 8.6), and OBJECT FREQ ' +
    'with an LFU policy. A slot or key that makes most of the work cannot be helped by moving slots: then it says so.\n' +
    'Exit code 1 if a master could not be measured. A HOTKEYS session that it begins has ended when it ends.',
  example: '127.0.0.1:7000 --for 10s --enable-stats',
  flags: {
    for: { type: 'string', value: 'TIME', help: 'How long to measure, such as 30s or 2m (10s)' },
    top: { type: 'string', value: 'N', help: 'Slots and keys to list (10)' },
    'enable-stats': {
      type: 'boolean',
      help: 'Let masters count the load of slots while this measures (cluster-slot-stats-enabled)',
    },
    monitor: {
      type: 'string',
      value: 'N',
      help: 'Read N commands of each master with MONITOR, which slows busy ones down',
    },
  },
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const [forMs, top, monitor] = [timeOf(values), numberFlag(values, 'top'), numberFlag(values, 'monitor')];
    const { findHotSpots } = await import('../../operations/find-hot-spots.ts');
    const found = await findHotSpots(cluster, {
      ...options,
      ...(forMs === undefined ? {} : { forMs }),
      ...(top === undefined ? {} : { top }),
      ...(monitor === undefined ? {} : { monitor }),
      enableStats: values['enable-stats'] === true,
    });
    const { foundHot } = await import('../hot-view.ts');
    return foundHot(found, values);
  },
};

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
/** The servers count no longer than a million seconds. */
const LONGEST_MS = 24 * 3_600_000;

/** Milliseconds of `10s`, `2m`, `500ms`, or of a number of seconds. */
function timeOf({ for: text }: FlagValues): number | undefined {
  if (text === undefined) return undefined;
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(`${text}`) ?? [];
  const ms = Number(number) * (UNITS[unit] ?? Number.NaN);
  if (ms >= 1 && ms <= LONGEST_MS) return ms;
  throw new UsageError(`Not a time for --for: "${text}" (expected one such as 10s, 2m or 500ms, up to 24h)`);
}
