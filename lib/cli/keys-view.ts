import type { KeyGroup, TimeToLive } from '../copy/survey/key-tally.ts';
import type { PrefixFigures } from '../copy/survey/prefix-tally.ts';
import { formatBytes, formatKey } from '../model/bytes.ts';
import type { KeySurvey, SurveyedSource } from '../operations/survey-keys.ts';
import { columnLines } from './columns.ts';
import { count, roughly, seconds } from './figures.ts';
import { type JsonKey, jsonKey } from './key-list.ts';
import type { Outcome } from './outcome.ts';

/** The data of `keys`. */
export interface KeysData extends Omit<KeySurvey, 'prefixes' | 'biggest'> {
  readonly prefixes: readonly SurveyedPrefix[];
  readonly biggest: readonly (Omit<KeySurvey['biggest'][number], 'key'> & { readonly key: JsonKey })[];
}

interface SurveyedPrefix extends Omit<PrefixFigures, 'prefix' | 'largest'> {
  /** Null for keys without one. */
  readonly prefix: JsonKey | null;
  readonly largest: JsonKey;
}

/** Outcome of `keys`: done if all was read. */
export function surveyed(survey: KeySurvey): Outcome<KeysData> {
  return {
    ok: survey.complete,
    data: {
      ...survey,
      prefixes: survey.prefixes.map((figures) => ({
        ...figures,
        prefix: figures.prefix === null ? null : jsonKey(figures.prefix),
        largest: jsonKey(figures.largest),
      })),
      biggest: survey.biggest.map((key) => ({ ...key, key: jsonKey(key.key) })),
      elapsedMs: Math.round(survey.elapsedMs),
    },
    text: [
      headOf(survey),
      ...survey.sources.filter(({ error }) => error !== null).map(faultLine),
      ...(survey.movedSlots > 0
        ? [`${count(survey.movedSlots, 'slot')} moved or were open: some of their keys may not be counted`]
        : []),
      ...(survey.keys > 0 ? tables(survey) : []),
    ].join('\n'),
  };
}

function headOf({ keys, bytes, bytesAre, sampled, read, sources, expired, elapsedMs }: KeySurvey): string {
  const size = {
    memory: `, ${formatBytes(bytes)} of memory`,
    file: `, ${formatBytes(bytes)} in the files`,
    unknown: '',
  };
  const about = sampled ? `About ${count(keys, 'key')}` : count(keys, 'key');
  const replicas = sources.filter(({ kind }) => kind === 'replica').length;
  const of = sources.length;
  const from =
    sources[0]?.kind === 'file'
      ? count(of, 'file')
      : `${count(of, 'shard')}, ${replicas === 0 ? 'read from masters' : replicas === of ? 'read from replicas' : `${replicas} read from replicas`}`;
  const notes = [
    from,
    ...(sampled ? [`by a sample of ${read}`] : []),
    ...(expired > 0 ? [`${expired} expired`] : []),
    ...(bytesAre === 'unknown' ? ['sizes are not known: the user may not run MEMORY USAGE'] : []),
    seconds(elapsedMs),
  ];
  return `${about}${size[bytesAre]} (${notes.join('; ')})`;
}

function faultLine({ name, kind, master, error }: SurveyedSource): string {
  const of = kind === 'replica' ? `, a replica of ${master},` : '';
  return `Not read to its end: ${name}${of}: ${error}`;
}

const TIMES: Readonly<Record<TimeToLive, string>> = {
  minute: 'within a minute',
  hour: 'within an hour',
  day: 'within a day',
  week: 'within a week',
  month: 'within 30 days',
  longer: 'later',
  never: 'never',
};

function tables(survey: KeySurvey): string[] {
  const { prefixes, others, types, timesToLive, bytesAre } = survey;
  const size = ({ bytes }: KeyGroup): string => (bytesAre === 'unknown' ? '' : formatBytes(bytes));
  const sizeName = bytesAre === 'file' ? 'in file' : bytesAre === 'memory' ? 'memory' : '';
  const isRight = new Set([1, 2, 3]);
  const group = (name: string, sums: KeyGroup): string[] => [name, `${sums.keys}`, size(sums)];
  return [
    '',
    ...columnLines(
      [
        ['Prefix', 'keys', sizeName, 'expire', 'largest'],
        ...prefixes.map((figures) => [
          figures.prefix === null ? '(none)' : formatKey(figures.prefix),
          `${figures.exact ? '' : '≥ '}${figures.keys}`,
          size(figures),
          share(figures),
          `${formatKey(figures.largest)} ${size({ keys: 1, bytes: figures.largestBytes })}`.trimEnd(),
        ]),
        ...(others.keys > 0 ? [group('(others)', others)] : []),
      ],
      isRight,
    ),
    '',
    ...columnLines([['Type', 'keys', sizeName], ...types.map((one) => group(one.type, one))], isRight),
    '',
    ...columnLines(
      [['Expires', 'keys', sizeName], ...timesToLive.map((one) => group(TIMES[one.within], one))],
      isRight,
    ),
    ...(bytesAre === 'unknown' ? [] : ['', ...columnLines(biggestRows(survey, sizeName), new Set([1]))]),
  ];
}

function share({ expiring, keys }: PrefixFigures): string {
  return `${keys === 0 ? 0 : Math.round((100 * expiring) / keys)} %`;
}

function biggestRows({ biggest, sources }: KeySurvey, sizeName: string): string[][] {
  // The name of a file has an id in it, and is longer than a line.
  const nodes = new Map(sources.map(({ name, kind, master }) => [name, kind === 'file' ? master : name]));
  return [
    ['Biggest keys', sizeName, 'type', 'expires', 'on'],
    ...biggest.map(({ key, bytes, type, ttlMs, on, db }) => [
      `${formatKey(key)}${db === 0 ? '' : ` (database ${db})`}`,
      formatBytes(bytes),
      type,
      ttlMs === null ? 'never' : `in ${roughly(ttlMs)}`,
      nodes.get(on) ?? on,
    ]),
  ];
}
