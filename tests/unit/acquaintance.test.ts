import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { acquaint, isForgotten, type Stranger } from '../../lib/model/acquaintance.ts';
import type { NodeReport } from '../../lib/model/view.ts';
import { fc } from '../helpers/properties.ts';
import { idOf, reportOf } from '../helpers/views.ts';

/** Reports by what each node lists, besides itself. */
function reportsOf(lists: Readonly<Record<number, readonly number[]>>): Map<string, NodeReport> {
  return new Map(
    Object.entries(lists).map(([name, others]) => {
      const node = Number(name);
      return [idOf(node), reportOf(node, { lines: [node, ...others].map((one) => ({ node: one })) })];
    }),
  );
}

function told(lists: Readonly<Record<number, readonly number[]>>, named: readonly number[]) {
  const { members, strangers } = acquaint(reportsOf(lists), new Set(named.map(idOf)));
  return {
    members: [...members].map((id) => Number.parseInt(id, 16)).sort((a, b) => a - b),
    strangers: strangers.map(({ id, why }): [number, Stranger['why']] => [Number.parseInt(id, 16), why]),
  };
}

const all = { 1: [2, 3], 2: [1, 3], 3: [1, 2] };
const rows: readonly (readonly [
  name: string,
  lists: Readonly<Record<number, readonly number[]>>,
  named: readonly number[],
  members: readonly number[],
  strangers: readonly (readonly [number, Stranger['why']])[],
])[] = [
  ['takes nodes that list one another', all, [1, 2, 3], [1, 2, 3], []],
  ['takes nodes that were not named', all, [1], [1, 2, 3], []],
  ['takes one alone', { 1: [2, 3] }, [1], [1], []],
  [
    'refuses a named node of another cluster',
    { ...all, 7: [8, 9] },
    [1, 2, 3, 7],
    [1, 2, 3],
    [[7, 'unrelated']],
  ],
  [
    'counts the cluster with most named nodes',
    { ...all, 7: [8], 8: [7] },
    [7, 1, 2],
    [1, 2, 3],
    [[7, 'unrelated']],
  ],
  ['takes one that some forgot', { ...all, 1: [2, 3, 4], 4: [1, 2, 3] }, [1, 4], [1, 2, 3, 4], []],
  ['takes one that all forgot and that is named', { ...all, 4: [1, 2, 3] }, [4, 1], [1, 2, 3, 4], []],
  ['takes it even if it alone is named', { ...all, 4: [1, 2, 3] }, [4], [1, 2, 3, 4], []],
  ['refuses one that lists too few of them', { ...all, 4: [1, 8, 9] }, [4, 1], [1, 2, 3], [[4, 'unknown']]],
  [
    'takes one that was reset and kept its id, named or not',
    { 1: [2, 3, 4], 2: [1, 3, 4], 3: [], 4: [] },
    [1, 3],
    [1, 2, 3, 4],
    [],
  ],
  ['takes it in a cluster of two', { 1: [2], 2: [] }, [1, 2], [1, 2], []],
  [
    'refuses one that went over to another cluster, which it does not follow there',
    { 1: [2, 3], 2: [1, 3], 3: [7, 8], 7: [3, 8], 8: [3, 7] },
    [1, 2],
    [1, 2],
    [[3, 'reset']],
  ],
  [
    'refuses two clusters that a node of each has begun to merge',
    { 1: [2, 3, 7], 2: [1, 3], 3: [1, 2], 7: [8, 9, 1], 8: [7, 9], 9: [7, 8] },
    [1, 7],
    [1, 7],
    [2, 3, 8, 9].map((node) => [node, 'between'] as const),
  ],
];

describe('acquaint()', () => {
  for (const [name, lists, named, members, strangers] of rows) {
    test(name, () =>
      assert.deepEqual(told(lists, named), { members: [...members], strangers: [...strangers] }),
    );
  }

  test('refuses one that was reset and owns slots by now', () => {
    const reports = reportsOf({ 1: [2, 3], 2: [1, 3] });
    reports.set(idOf(3), reportOf(3, { lines: [{ node: 3, slots: '7' }] }));
    const { members, strangers } = acquaint(reports, new Set([idOf(1)]));
    assert.equal(members.has(idOf(3)), false);
    assert.deepEqual(
      strangers.map(({ why }) => why),
      ['reset'],
    );
  });

  test('never takes nodes of two clusters that list none of each other', () => {
    const sizes = fc.record({ one: fc.integer({ min: 1, max: 6 }), two: fc.integer({ min: 1, max: 6 }) });
    const holes = fc.array(fc.tuple(fc.nat(11), fc.nat(11)), { maxLength: 8 });
    const names = fc.subarray(Array.from({ length: 12 }, (_, index) => index + 1));
    fc.assert(
      fc.property(sizes, holes, names, ({ one, two }, forgotten, named) => {
        const isIn = (node: number) => (node <= one ? 'one' : 'two');
        const nodes = Array.from({ length: one + two }, (_, index) => index + 1);
        const lists = Object.fromEntries(
          nodes.map((node) => [
            node,
            nodes.filter(
              (other) =>
                other !== node &&
                isIn(other) === isIn(node) &&
                !forgotten.some(([by, of]) => by + 1 === node && of + 1 === other),
            ),
          ]),
        );
        const { members, strangers } = told(lists, named);
        assert.ok(new Set(members.map(isIn)).size <= 1, 'all members are of one cluster');
        for (const node of named.filter((id) => id <= one + two)) {
          assert.ok(members.includes(node) || strangers.some(([id]) => id === node), `${node} is told`);
        }
      }),
    );
  });
});

describe('isForgotten()', () => {
  const line = (node: number, slots = '') => ({ node, slots });
  const members = [1, 2].map((node) => reportOf(node, { lines: [line(1, '0-5000'), line(2, '5001-10000')] }));
  const asked = (lines: readonly ReturnType<typeof line>[]) => isForgotten(reportOf(3, { lines }), members);

  test('is a master with slots of nobody that lists the members', () => {
    assert.ok(asked([line(1, '0-5000'), line(2, '5001-10000'), line(3, '10001-16383')]));
    assert.ok(asked([line(1), line(2), line(3, '5000-10001')]));
  });

  test('is a master that lists nobody, if all its slots are of nobody', () => {
    assert.ok(asked([line(3, '10001-16383')]));
    assert.ok(!asked([line(3, '10000-16383')]), 'another owns one of them');
    assert.ok(!asked([line(3)]));
    const [reports, alone] = [new Map(members.map((one) => [one.myself.id, one])), idOf(3)];
    for (const [slots, isMember] of [
      ['10001-16383', true],
      ['0-16383', false],
      ['', false],
    ] as const) {
      const all = new Map([...reports, [alone, reportOf(3, { lines: [line(3, slots)] })]]);
      assert.equal(acquaint(all, new Set([idOf(1), alone])).members.has(alone), isMember, slots);
      assert.ok(!acquaint(all, new Set([idOf(1)])).members.has(alone), 'it was not named');
    }
  });

  test('is no node that was taken out, and none of another cluster', () => {
    assert.ok(!asked([line(1), line(2), line(3)]));
    assert.ok(!asked([line(1), line(2), line(3, '0-5000')]), 'others own what it claims');
    assert.ok(!asked([line(1), line(3, '10001-16383')]), 'it lists only half of them');
    assert.ok(!asked([line(4), line(3, '0-16383')]));
  });
});
