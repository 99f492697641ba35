import type { CompareOptions, CompareResult } from '../../index.ts';
import { formatKey } from '../../model/bytes.ts';
import type { KeyDifference, KeyState } from '../../model/key-difference.ts';
import { andMore } from '../../model/lists.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { numberFlag } from '../flags.ts';
import type { JsonKey } from '../key-list.ts';
import type { Outcome } from '../outcome.ts';
import { databaseOptions, sideFlags, sideOptions } from '../side-flags.ts';

export const compareCommand: Command<'compare'> = {
  name: 'compare',
  usage: 'CLUSTER TO',
  arity: [2, 2],
  summary: 'Compare the keys of two clusters or servers',
  details:
    'Each side is any node of a cluster, or a standalone server. Exit code 1 if they are not the same.\n' +
    'A key that differs is looked at again: it may be being written. Changes nothing.\n' +
    "The password of TO is read from REDISCLI_TO_AUTH; none of the first side's options is used for it.",
  example: '127.0.0.1:7000 127.0.0.1:8000',
  flags: {
    'agree-timeout': {
      type: 'string',
      value: 'MS',
      help: 'Time for nodes to agree, and to serve a key (60000)',
    },
    rounds: { type: 'string', value: 'N', help: 'Look at a key that differs N times before it counts (3)' },
    list: { type: 'string', value: 'FILE', help: 'Write each difference to a file, a JSON line each' },
    db: {
      type: 'string',
      multiple: true,
      value: 'N',
      help: 'Database to compare, repeatable (all that have keys)',
    },
    'max-keys-per-second': { type: 'string', value: 'N', help: 'Keys to look at per second at most' },
    ...sideFlags('to', 'second side'),
  } as NonNullable<Command['flags']>,
  second: ([, other = '']) => ({ address: other, prefix: 'to' }),
  run: async ({ positionals: [one = '', other = ''], options, values, io }) => {
    const rounds = numberFlag(values, 'rounds');
    const keysPerSecond = numberFlag(values, 'max-keys-per-second');
    const wanted: CompareOptions = {
      ...options,
      other: await sideOptions('to', values, io),
      ...databaseOptions(values),
      ...(rounds === undefined ? {} : { rounds }),
      ...(keysPerSecond === undefined ? {} : { limits: { keysPerSecond } }),
    };
    const { DifferenceList } = await import('../difference-list.ts');
    const list = typeof values.list === 'string' ? new DifferenceList(values.list) : undefined;
    const { compareKeys } = await import('../../operations/compare-keys.ts');
    try {
      const onDifference = list ? { onDifference: list.add } : {};
      return await compared(await compareKeys(one, other, { ...wanted, ...onDifference }), values.list);
    } finally {
      list?.close();
    }
  },
};

/** Most keys that the text names for each kind of difference. */
const SHOWN = 5;

const DIFFERS: Readonly<Partial<Record<KeyState, string>>> = {
  type: 'type',
  value: 'value',
  expiry: 'time to live',
};

/** The data of `compare`. */
export interface CompareData extends Omit<CompareResult, 'differences'> {
  /** The keys that differ, at most a thousand. */
  readonly differences: readonly (Omit<KeyDifference, 'key'> & { readonly key: JsonKey })[];
}

/** Outcome of `compare`. */
export async function compared(result: CompareResult, list?: unknown): Promise<Outcome<CompareData>> {
  const { equal, sides, keys, same, settled, differences, functions, elapsedMs } = result;
  const [one, other] = sides;
  const { jsonKey } = await import('../key-list.ts');
  const data = {
    ...result,
    differences: differences.map(({ db, key, state }) => ({ db, key: jsonKey(key), state })),
    elapsedMs: Math.round(elapsedMs),
  };
  const later = settled > 0 ? `; ${settled} differed at first, and were being written` : '';
  const head = equal
    ? `${count(keys, 'key')}, all the same on ${one} and ${other}${later} (${seconds(elapsedMs)})`
    : `${count(keys, 'key')} on ${one}, ${same} the same on ${other}${later} (${seconds(elapsedMs)})`;
  const lines = keyLines(result);
  const isCut = list === undefined && lines.some((line) => line.endsWith(' more'));
  const more = functions.map(({ name, state }) => {
    const what =
      state === 'differs' ? 'differs' : state === 'missing' ? `missing on ${other}` : `only on ${other}`;
    return `  Function library ${formatKey(name)}: ${what}`;
  });
  return {
    ok: equal,
    data,
    text: [head, ...lines, ...more, ...(isCut ? ['  All of them: --list FILE'] : [])].join('\n'),
  };
}

function keyLines({
  differ,
  missing,
  surplus,
  unknown,
  differences,
  sides: [, other],
}: CompareResult): string[] {
  const line = (number: number, what: string, states: readonly KeyState[]): string[] => {
    if (number === 0) return [];
    const named = differences.filter(({ state }) => states.includes(state)).slice(0, SHOWN);
    const names = named.map(({ db, key, state }) => {
      const notes = [DIFFERS[state], ...(db === 0 ? [] : [`database ${db}`])].filter(
        (note) => note !== undefined,
      );
      return `${formatKey(key)}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`;
    });
    const rest = number - names.length;
    return [`  ${number} ${what}: ${names.join(', ')}${rest > 0 ? ` ${andMore(rest)}` : ''}`];
  };
  return [
    ...line(differ, differ === 1 ? 'differs' : 'differ', ['type', 'value', 'expiry']),
    ...line(missing, `missing on ${other}`, ['missing']),
    ...line(surplus, `only on ${other}`, ['surplus']),
    ...line(unknown, 'of modules, with other bytes, which cannot be compared', ['unknown']),
  ];
}
