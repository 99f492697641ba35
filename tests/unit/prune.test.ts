import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { planPrune, prunable } from '../../lib/plan/prune.ts';
import { fc } from '../helpers/properties.ts';
import { type Answer, agreedView, idOf, type Line, viewOf } from '../helpers/views.ts';

const living: Line[] = [
  { node: 1, slots: '0-5000' },
  { node: 2, slots: '5001-10000' },
  { node: 3, slots: '10001-16383' },
];
const dead = (node: number, fields: Partial<Line> = {}): Line => ({
  node,
  flags: 'slave,fail',
  master: 1,
  link: 'disconnected',
  ...fields,
});
const all = (
  lines: readonly Line[],
  change: (observer: number, line: Line) => Line | undefined = (_, line) => line,
) =>
  Object.fromEntries(
    [1, 2, 3].map((observer): [number, Answer] => [
      observer,
      { lines: lines.flatMap((line) => change(observer, line) ?? []) },
    ]),
  );
const numbersOf = (answers: Readonly<Record<number, Answer>>): number[] =>
  prunable(viewOf(answers)).map(({ id }) => Number.parseInt(id, 16));

describe('prunable() nodes are', () => {
  const lines = [...living, dead(4)];
  const alone = (of: (observer: number, line: Line) => Line | undefined) =>
    numbersOf(all(lines, (observer, line) => (line.node === 4 ? of(observer, line) : line)));
  const table: readonly (readonly [string, number[], number[]])[] = [
    ['none of a healthy cluster', numbersOf(all(living)), []],
    ['a dead replica', numbersOf(all(lines)), [4]],
    [
      'none that a member imports a slot from',
      numbersOf(
        all([...living, { node: 4, flags: 'master,fail', link: 'disconnected' }], (observer, line) =>
          line.node === observer && observer === 2
            ? { ...line, slots: `${line.slots} [5-<-${idOf(4)}]` }
            : line,
        ),
      ),
      [],
    ],
    [
      'none to which a member gives a slot away',
      numbersOf(
        all([...living, { node: 4, flags: 'master,fail', link: 'disconnected' }], (observer, line) =>
          line.node === observer && observer === 2
            ? { ...line, slots: `${line.slots} [5002->-${idOf(4)}]` }
            : line,
        ),
      ),
      [],
    ],
    [
      'a dead master without slots',
      numbersOf(all([...living, { node: 4, flags: 'master,fail', link: 'disconnected' }])),
      [4],
    ],
    [
      'a dead master and its dead replica',
      numbersOf(
        all([...living, { node: 4, flags: 'master,fail', link: 'disconnected' }, dead(5, { master: 4 })]),
      ),
      [4, 5],
    ],
    [
      'not a dead master with slots',
      numbersOf(all([...living, { node: 4, flags: 'master,fail', link: 'disconnected', slots: '16383' }])),
      [],
    ],
    [
      'not one that one node only suspects',
      alone((observer, line) => (observer === 3 ? { ...line, flags: 'slave,fail?' } : line)),
      [],
    ],
    [
      'not one to which one node has a link',
      alone((observer, line) => (observer === 3 ? { ...line, flags: 'slave', link: 'connected' } : line)),
      [],
    ],
    [
      'one to which nodes that hold it for failed are opening links',
      alone((_, line) => ({ ...line, link: 'connected' })),
      [4],
    ],
    [
      'not one that one node gives a slot',
      alone((observer, line) =>
        observer === 3 ? { node: 4, flags: 'master,fail', link: 'disconnected', slots: '7' } : line,
      ),
      [],
    ],
    [
      'one that one node has forgotten already',
      alone((observer, line) => (observer === 3 ? undefined : line)),
      [4],
    ],
    [
      'not one that is a master to a living replica',
      numbersOf({
        ...all([
          ...living,
          { node: 4, flags: 'master,fail', link: 'disconnected' },
          { node: 5, flags: 'slave', master: 4 },
        ]),
      }),
      [],
    ],
  ];
  for (const [what, found, expected] of table) test(what, () => assert.deepEqual(found, expected));

  test('asked of nobody that answers, owns slots, or has a living replica, whatever nodes say', () => {
    const line = fc.record({
      node: fc.integer({ min: 1, max: 6 }),
      flags: fc.constantFrom(
        'master',
        'master,fail',
        'slave',
        'slave,fail',
        'slave,fail',
        'slave,fail',
        'slave,fail?',
      ),
      link: fc.constantFrom('connected', 'disconnected', 'disconnected', 'disconnected'),
      slots: fc.constantFrom('', '', '', '5', '0-16383'),
      master: fc.integer({ min: 1, max: 6 }),
    });
    const report = fc
      .uniqueArray(line, { selector: ({ node }) => node, minLength: 6, maxLength: 6 })
      .map((lines) =>
        lines.map(({ master, ...one }) =>
          one.flags.startsWith('slave') ? { ...one, slots: '', master } : one,
        ),
      );
    let pruned = 0;
    fc.assert(
      fc.property(report, report, report, (...reports) => {
        const view = viewOf(Object.fromEntries(reports.map((lines, index) => [index + 1, { lines }])));
        const ids = new Set(prunable(view).map(({ id }) => id));
        pruned += ids.size;
        for (const { records } of view.reports.values()) {
          for (const { id, slots, flags, masterId } of records) {
            if (ids.has(id)) {
              assert.ok(!view.reports.has(id) && slots.length === 0 && flags.includes('fail'));
            } else assert.ok(masterId === null || !ids.has(masterId));
          }
        }
      }),
      { numRuns: 1200 },
    );
    assert.ok(pruned > 20, `${pruned}`);
  });
});

describe('planPrune()', () => {
  test('asks only those that know the node, and expects it to be gone for all', () => {
    const lines = [...living, dead(4)];
    const { steps, expect } = planPrune(
      viewOf(all(lines, (observer, line) => (line.node === 4 && observer === 3 ? undefined : line))),
    );
    assert.deepEqual(
      steps.map((step) => step.type === 'forget' && [step.node.id, step.by.map(({ id }) => id), step.isDead]),
      [[idOf(4), [idOf(1), idOf(2)], true]],
    );
    assert.deepEqual([expect?.gone, expect?.members.length], [[idOf(4)], 3]);
    assert.deepEqual(planPrune(agreedView(living)).steps, []);
  });
});
