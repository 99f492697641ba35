import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { holdersOf, openOn, ownerByReports } from '../../lib/model/holders.ts';
import { agreedView, idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

const at = (node: number): string => `127.0.0.1:${portOf(node)}`;
const lines: readonly Line[] = [
  { node: 1, slots: `0-99 [5->-${idOf(2)}]` },
  { node: 2, slots: `200-299 [5-<-${idOf(1)}] [7-<-${idOf(1)}]` },
];

describe('who holds slots', () => {
  test('`holdersOf()` names the owner of each, also if there is none', () => {
    assert.deepEqual(holdersOf(agreedView(lines), [1, 2, 150, 200]), [
      `${at(1)} holds 1-2`,
      'No node holds 150',
      `${at(2)} holds 200`,
    ]);
  });

  test('`openOn()` names the masters on which they are open', () => {
    const view = agreedView(lines);
    assert.deepEqual(openOn(view, [5]), [at(1), at(2)]);
    assert.deepEqual(openOn(view, [6, 7]), [at(2)]);
    assert.deepEqual(openOn(view, [6]), []);
  });

  test('`ownerByReports()` goes by config epoch, whoever reports it', () => {
    const old = reportOf(1, {
      lines: [
        { node: 1, slots: '0-99', epoch: 1 },
        { node: 3, epoch: 3 },
      ],
    });
    const now = reportOf(2, {
      lines: [{ node: 1, epoch: 1 }, { node: 2 }, { node: 3, slots: '0-99', epoch: 9 }],
    });
    for (const reports of [
      [old, now],
      [now, old],
    ])
      assert.equal(ownerByReports(reports, [5]), at(3));
    assert.equal(ownerByReports([old], [500]), undefined);
  });
});
