import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stopJudge } from '../../lib/findings/stop-verdict.ts';
import { type Replication, refusedAtRestart } from '../../lib/findings/stopped-replicas.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import { MIN_REPLICAS } from '../../lib/model/refused-writes.ts';
import { nodeById } from '../../lib/model/view.ts';
import { agreedView, detailsOf, idOf, type Line, portOf } from '../helpers/views.ts';

const nameOf = (node: number): string => `127.0.0.1:${portOf(node)}`;

/** Three masters, 1 to 3; then the replicas of the first, from 4. `needed`: by node, what it demands. `copying` have no link yet. */
function worldOf(
  replicas: number,
  needed: Readonly<Record<number, number>>,
  copying: readonly number[] = [],
): Replication {
  const own = Array.from({ length: replicas }, (_, index) => index + 4);
  const lines: Line[] = [
    ...['0-5460', '5461-10922', '10923-16383'].map((slots, index) => ({ node: index + 1, slots })),
    ...own.map((node) => ({ node, flags: 'slave', master: 1, epoch: 1 })),
  ];
  const linked = own.filter((node) => !copying.includes(node));
  const connected = linked.map((node) => ({
    host: '127.0.0.1',
    port: portOf(node),
    offset: 5,
    lagSeconds: 0,
  }));
  const goodOf = (node: number): Partial<NodeDetails> =>
    needed[node] === undefined ? {} : { goodReplicas: node === 1 ? linked.length : 0 };
  const details = new Map(
    lines.map(({ node }) => {
      const status = copying.includes(node) ? 'copying' : 'up';
      const role = node < 4 ? { replicas: node === 1 ? connected : [] } : { link: { status } as const };
      return [idOf(node), detailsOf({ offset: 5, ...role, ...goodOf(node) })];
    }),
  );
  const settings = new Map(
    Object.entries(needed).map(([node, count]) => [
      idOf(Number(node)),
      new Map([[MIN_REPLICAS, `${count}`]]),
    ]),
  );
  return { view: agreedView(lines), details, settings };
}

describe('stopJudge() of nodes that a master needs to take writes', () => {
  const all = (count: number) => ({ 1: count, 4: count, 5: count, 6: count });
  const rows: [what: string, world: Replication, stopped: number[], refuses: number[]][] = [
    ['the only replica', worldOf(1, all(1)), [4], [1]],
    ['the only replica, none needed', worldOf(1, {}), [4], []],
    ['the only replica, of a master that does not say how many it needs', worldOf(1, { 1: 0 }), [4], []],
    ['the master, whose replica would have none', worldOf(1, all(1)), [1], [4]],
    ['the master, whose replica needs none', worldOf(1, { 1: 1 }), [1], []],
    ['one of two', worldOf(2, all(1)), [4], []],
    ['both', worldOf(2, all(1)), [4, 5], [1]],
    ['one of two, and two are needed', worldOf(2, all(2)), [5], [1]],
    ['the master and one of two', worldOf(2, all(1)), [1, 4], [5]],
    ['the master and one of three', worldOf(3, all(1)), [1, 4], []],
    ['another master', worldOf(1, all(1)), [2], []],
    ['the one in sync, while another is copying', worldOf(2, all(1), [5]), [4], [1]],
    ['the one that is copying', worldOf(2, all(1), [5]), [5], []],
  ];
  for (const [what, { view, details, settings }, stopped, refuses] of rows) {
    it(`${what}: ${refuses.length > 0 ? `refused by ${refuses}` : 'none refuses'}`, () => {
      const { reasons } = stopJudge(view, details, settings)(new Set(stopped.map(idOf)));
      const found = reasons.filter(({ kind }) => kind === 'writes-refused');
      assert.deepEqual(
        found.map(({ nodes, next }) => [nodes, next]),
        refuses.map(nameOf).map((master) => [
          [master],
          [
            { do: 'replicate', node: master },
            { do: 'configure', node: master, settings: [MIN_REPLICAS] },
          ],
        ]),
      );
    });
  }
});

describe('refusedAtRestart()', () => {
  const rows: [what: string, world: Replication, node: number, successor: number | undefined, by?: number][] =
    [
      ['the only replica', worldOf(1, { 1: 1 }), 4, undefined, 1],
      ['one of two', worldOf(2, { 1: 1 }), 4, undefined],
      // Once the other has copied its master it may stop.
      ['the one in sync, while another is copying', worldOf(2, { 1: 1 }, [5]), 4, undefined],
      ['the master, as a replica of one that needs another', worldOf(1, { 4: 1 }), 1, 4, 4],
      ['the master, as a replica of one that needs none', worldOf(1, { 1: 1 }), 1, 4],
      ['the master, with two replicas', worldOf(2, { 1: 1, 4: 1 }), 1, 4],
      ['a master without replicas', worldOf(1, { 1: 1 }), 2, undefined],
    ];
  for (const [what, seen, node, successor, by] of rows) {
    it(`${what}: ${by === undefined ? 'none refuses' : `refused by ${by}`}`, () => {
      const record = nodeById(seen.view, idOf(node));
      assert.ok(record);
      const refused = refusedAtRestart(seen, record, successor === undefined ? undefined : idOf(successor));
      assert.equal(refused?.master, by === undefined ? undefined : nameOf(by));
    });
  }
});
