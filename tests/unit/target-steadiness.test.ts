import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { lossesSince, type TargetState } from '../../lib/copy/target-steadiness.ts';
import { agreedView, idOf, type Line, portOf } from '../helpers/views.ts';

const NONE = '0'.repeat(40);
const [MASTER, OTHER, REPLICA] = [1, 2, 3];

const layout: readonly Line[] = [
  { node: MASTER, slots: '0-8191', epoch: 1 },
  { node: OTHER, slots: '8192-16383', epoch: 2 },
  { node: REPLICA, flags: 'slave', master: MASTER, epoch: 1 },
];

interface Says {
  readonly run?: string;
  readonly stream?: string;
  readonly former?: string;
  readonly evicted?: number;
}

function standing(lines: readonly Line[], says: Readonly<Record<number, Says>> = {}): TargetState {
  const infos = lines
    .filter(({ flags = 'master' }) => flags === 'master')
    .map(({ node }): [string, Map<string, string>] => {
      const { run = `run ${node}`, stream = `stream ${node}`, former = NONE, evicted = 5 } = says[node] ?? {};
      const fields = {
        run_id: run,
        master_replid: stream,
        master_replid2: former,
        evicted_keys: `${evicted}`,
      };
      return [idOf(node), new Map(Object.entries(fields))];
    });
  return { view: agreedView(lines), infos: new Map(infos), silent: [] };
}

const promoted: readonly Line[] = [
  { node: MASTER, flags: 'slave', master: REPLICA, epoch: 1 },
  { node: OTHER, slots: '8192-16383', epoch: 2 },
  { node: REPLICA, slots: '0-8191', epoch: 3 },
];
const moved: readonly Line[] = [
  { node: MASTER, flags: 'slave', master: OTHER, epoch: 1 },
  { node: OTHER, slots: '0-16383', epoch: 4 },
  { node: REPLICA, flags: 'slave', master: OTHER, epoch: 1 },
];

const rows: readonly [title: string, now: TargetState, says: string | undefined][] = [
  ['nothing has happened', standing(layout), undefined],
  ['its replica has taken its place', standing(promoted), 'was replaced by its replica'],
  [
    'its replica has, and it does not know yet',
    standing([{ node: MASTER, slots: '0-8191', epoch: 1 }, ...promoted.slice(1)]),
    'was replaced by its replica',
  ],
  [
    'it has taken its place back',
    standing(layout, { [MASTER]: { stream: 'third', former: 'second' } }),
    'was replaced by its replica for a while',
  ],
  ['it was restarted', standing(layout, { [MASTER]: { run: 'another' } }), 'was restarted'],
  ['it had no replica for an hour', standing(layout, { [MASTER]: { stream: 'another' } }), undefined],
  ['it has evicted keys', standing(layout, { [MASTER]: { evicted: 7 } }), 'has evicted 2 keys'],
  ['its statistics were reset', standing(layout, { [MASTER]: { evicted: 0 } }), undefined],
  ['its slots have moved to another master', standing(moved), undefined],
];

describe('lossesSince()', () => {
  for (const [title, now, says] of rows) {
    test(`of a master, where ${title}: ${says ?? 'none'}`, () => {
      const found = lossesSince(standing(layout), now);
      const loss = { node: `127.0.0.1:${portOf(MASTER)}`, says, isEviction: says?.includes('evicted') };
      assert.deepEqual(found, says === undefined ? [] : [loss]);
    });
  }
});
