import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeReport } from '../../lib/model/view.ts';
import { hasLeft } from '../../lib/nodes/newcomer.ts';
import { isLaidOut } from '../../lib/operations/start-from.ts';
import { planCreate } from '../../lib/plan/create.ts';
import { type Answer, idOf, type Line, portOf, reportOf } from '../helpers/views.ts';

/** A node that is alone, and has sent so many packets on the cluster bus. */
function alone(messagesSent: number, part: Partial<Line> = {}): NodeReport {
  const report = reportOf(1, { lines: [{ node: 1, ...part }], state: 'fail' });
  const slotsAssigned = part.slots === undefined ? 0 : 1;
  return { ...report, info: { ...report.info, slotsAssigned, messagesSent } };
}

describe('hasLeft()', () => {
  const two = reportOf(1, { lines: [{ node: 1 }, { node: 2 }], state: 'fail' });
  for (const [what, report, wanted] of [
    ['a node that was in a cluster and is alone now', alone(12), true],
    ['a node that never had a neighbour', alone(0), false],
    ['a node that owns a slot', alone(12, { slots: '5' }), false],
    ['a node that knows another', { ...two, info: { ...two.info, slotsAssigned: 0 } }, false],
    ['a node that another introduces again', { ...alone(12), inHandshake: two.records }, false],
  ] as const) {
    test(`is ${wanted} of ${what}`, () => assert.equal(hasLeft(report), wanted));
  }
});

describe('isLaidOut()', () => {
  const refs = [1, 2, 3, 4].map((node) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` }));
  const { draft } = planCreate(refs, { replicas: 1, zones: new Map(), maxSlots: 16384 });
  const whole: Line[] = [
    { node: 1, slots: '0-8191' },
    { node: 2, slots: '8192-16383' },
    { node: 3, flags: 'slave', master: 1 },
    { node: 4, flags: 'slave', master: 2 },
  ];
  const is = (lines: readonly Line[], state: Answer['state'] = 'ok', nodes = [1, 2, 3, 4]): boolean =>
    isLaidOut(
      nodes.map((node) => ({ report: reportOf(node, { lines, state: state ?? 'ok' }) })),
      draft,
    );
  const with3 = (part: Partial<Line>): Line[] =>
    whole.map((line) => (line.node === 3 ? { ...line, ...part } : line));
  const with1 = (slots: string): Line[] => whole.map((line) => (line.node === 1 ? { ...line, slots } : line));

  test('is true of the cluster that was planned, and of no other', () => {
    assert.equal(is(whole), true);
    for (const [what, other] of Object.entries({
      'one does not serve': is(whole, 'fail'),
      'one has fewer slots': is(with1('0-8000')),
      'one has a slot open': is(with1(`0-8191 [5->-${idOf(2)}]`)),
      'a replica has another master': is(with3({ master: 2 })),
      'a replica is a master': is([...whole.slice(0, 2), { node: 3 }, ...whole.slice(3)]),
      'there is another member': is([...whole, { node: 5 }]),
      'one was not named': is(whole, 'ok', [1, 2, 3]),
    }))
      assert.equal(other, false, what);
  });
});
