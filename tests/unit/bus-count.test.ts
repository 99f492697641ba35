import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BusCount, unlistedNodes } from '../../lib/model/bus-count.ts';
import { fc } from '../helpers/properties.ts';

/** Answers by node, as sent and received. */
function countOf(nodes: readonly (readonly [number, number])[], atMs: number, tookMs = 1): BusCount {
  return {
    nodes: new Map(nodes.map(([sent, received], index) => [`${index}`, { sent, received }])),
    atMs,
    tookMs,
  };
}

describe('unlistedNodes()', () => {
  const before = countOf(
    [
      [100, 40],
      [7, 9],
    ],
    0,
  );
  const rows: readonly (readonly [string, BusCount, ReturnType<typeof unlistedNodes>])[] = [
    [
      'hears one that members answer and that does not count',
      countOf(
        [
          [104, 42],
          [10, 12],
        ],
        3000,
      ),
      'some',
    ],
    [
      'hears none if members have answered one another often enough',
      countOf(
        [
          [103, 43],
          [10, 12],
        ],
        3000,
      ),
      'none',
    ],
    [
      'takes its time before it says so',
      countOf(
        [
          [102, 42],
          [9, 11],
        ],
        2000,
      ),
      'unknown',
    ],
    [
      'takes one answer for one on its way',
      countOf(
        [
          [104, 43],
          [10, 12],
        ],
        3000,
      ),
      'none',
    ],
    [
      'counts nothing across a restart',
      countOf(
        [
          [3, 1],
          [10, 12],
        ],
        3000,
      ),
      'unknown',
    ],
    ['counts nothing if a node is missing', countOf([[104, 42]], 3000), 'unknown'],
    // Half of all answers may have come between the looks at the first node and at the last.
    [
      'doubts what it counts slowly',
      countOf(
        [
          [104, 42],
          [10, 12],
        ],
        3000,
        1500,
      ),
      'unknown',
    ],
  ];
  for (const [name, after, expected] of rows)
    test(name, () => {
      assert.equal(unlistedNodes(before, after), expected);
    });

  test('hears nothing in a cluster that is whole, however its nodes answer one another', () => {
    const pairs = fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(pairs, (answers) => {
        const [sent, received] = [new Array(6).fill(0), new Array(6).fill(0)];
        for (const [from, to] of answers) {
          sent[from] += 1;
          received[to] += 1;
        }
        const none = countOf(new Array(6).fill([0, 0]), 0);
        const after = countOf(
          sent.map((count, index) => [count, received[index]] as const),
          1000,
        );
        assert.notEqual(unlistedNodes(none, after), 'some');
      }),
    );
  });
});
