import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterAmong } from '../../lib/operations/ensure-scene.ts';
import { acquaintedAmong, holdersAmong } from '../../lib/plan/founders.ts';
import { idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

/** The report of a node that lists these. */
const report = (node: number, lines: readonly Line[]) => reportOf(node, { lines, state: 'fail' });
const found = (node: number, lines: readonly Line[], keys = 0) => ({ report: report(node, lines), keys });

describe('acquaintedAmong()', () => {
  test('keeps those apart that list nobody in common', () => {
    const [a, b, c, d] = [
      report(1, [{ node: 1, slots: '0-8191' }, { node: 2 }]),
      report(2, [{ node: 2 }]),
      report(3, [{ node: 3, slots: '0-16383' }]),
      report(4, [{ node: 4 }]),
    ] as const;
    const groups = acquaintedAmong([a, b, c, d]);
    assert.deepEqual(
      groups.map(({ reports, ownsSlots, ownsAll }) => [reports.length, ownsSlots, ownsAll]),
      [
        [2, true, false],
        [1, true, true],
        [1, false, false],
      ],
    );
  });

  test('counts the slots of members that were not asked', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-8191' },
      { node: 9, slots: '8192-16383' },
    ];
    assert.equal(acquaintedAmong([report(1, lines)])[0]?.ownsAll, true);
  });
});

describe('holdersAmong()', () => {
  test('finds what a start that was cut short has assigned', () => {
    const holders = holdersAmong(
      [
        found(1, [{ node: 1 }]),
        found(2, [{ node: 2, slots: '10923-16383' }]),
        // With a small maxSlots a share may be assigned in part.
        found(3, [{ node: 3, slots: '0-99' }]),
      ],
      3,
    );
    assert.deepEqual(
      [...(holders ?? [])],
      [
        [2, idOf(2)],
        [0, idOf(3)],
      ],
    );
  });

  const refused: [what: string, nodes: ReturnType<typeof found>[]][] = [
    ['slots of two shares', [found(1, [{ node: 1, slots: '5000-6000' }])]],
    ['a share twice', [found(1, [{ node: 1, slots: '0-5460' }]), found(2, [{ node: 2, slots: '0-5460' }])]],
    ['keys of slots that it took itself', [found(1, [{ node: 1, slots: '5' }], 1)]],
    // The rest of a cluster, whose other master is down.
    ['a node that is not among them', [found(1, [{ node: 1, slots: '0-5460' }, { node: 2 }])]],
    ['a replica', [found(1, [{ node: 1, flags: 'slave', master: 2 }, { node: 2 }]), found(2, [{ node: 2 }])]],
    ['an open slot', [found(1, [{ node: 1, slots: `0-5460 [0->-${idOf(2)}]` }])]],
  ];
  for (const [what, nodes] of refused)
    test(`takes nothing with ${what} for a start`, () => assert.equal(holdersAmong(nodes, 3), undefined));
});

describe('clusterAmong()', () => {
  const pair: Line[] = [
    { node: 1, slots: '0-8191' },
    { node: 2, slots: '8192-16383' },
  ];

  test('finds the cluster in which all have met', () => {
    const nodes = [found(3, [{ node: 3 }]), found(1, pair), found(2, pair)];
    assert.deepEqual(clusterAmong(nodes, 2), { seed: { host: '127.0.0.1', port: portOf(1) } });
  });

  test('continues a start if one has lost track of the others, and has no keys', () => {
    const lone: Line[] = [{ node: 2, slots: '8192-16383' }];
    assert.ok('holders' in clusterAmong([found(1, pair), found(2, lone)], 2));
    assert.ok('seed' in clusterAmong([found(1, pair), found(2, lone, 1)], 2));
  });

  test('never joins two clusters', () => {
    const others: Line[] = [
      { node: 3, slots: '0-8191' },
      { node: 4, slots: '8192-16383' },
    ];
    const nodes = [found(1, pair), found(2, pair), found(3, others), found(4, others)];
    for (const masters of [1, 2, 4])
      assert.throws(() => clusterAmong(nodes, masters), { code: 'NOT_SAME_CLUSTER' });
  });
});
