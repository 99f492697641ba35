import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unmetPairs } from '../../lib/apply/steps/meet-again.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import type { StepOf } from '../../lib/plan/plan.ts';
import { absentIn, losersIn, planRejoin } from '../../lib/plan/rejoin.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, detailsOf, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const lines: readonly Line[] = [
  { node: 1, slots: '0-5460' },
  { node: 2, slots: '5461-10922' },
  { node: 3, slots: '10923-16383' },
  { node: 4, flags: 'slave', master: 1 },
];
const lost = { flags: 'master,noaddr', link: 'disconnected' };
const number = (id: string): number => Number.parseInt(id, 16);
const at = (node: number) => ({ host: '127.0.0.1', port: portOf(node) });
const place = (node: number): string => `127.0.0.1:${portOf(node)}`;

/** What the nodes say of themselves, if the replica copies its master. */
function details(
  fields: Partial<NonNullable<NodeDetails['link']>> = {},
  keys = 5,
  replicationId = 'one',
): Map<string, NodeDetails> {
  const link = { status: 'up' as const, asks: at(1), ...fields };
  return new Map([
    ...[1, 2, 3].map((node): [string, NodeDetails] => [
      idOf(node),
      detailsOf({ keys: 5, replicationId: node === 1 ? 'one' : 'another' }),
    ]),
    [idOf(4), detailsOf({ keys, link, replicationId })],
  ]);
}

function stepsOf(view: ClusterView, all = details()): unknown[] {
  return planRejoin(view, all).steps.map((step) => {
    if (step.type === 'meet-again')
      return ['meet-again', step.nodes.map(({ id }) => number(id)), step.members.map(({ id }) => number(id))];
    if (step.type === 'replicate')
      return ['replicate', number(step.replica.id), number(step.master.id), step.isAgain];
    return step.type;
  });
}

/** The cluster in which some do not find others: pairs of who and whom. */
function scattered(pairs: readonly (readonly [by: number, node: number])[]): ClusterView {
  return viewOf(
    Object.fromEntries(
      [1, 2, 3, 4].map((by) => [
        by,
        {
          lines: lines.map((line) =>
            pairs.some(([one, node]) => one === by && node === line.node)
              ? { ...line, ...lost, flags: line.flags === 'slave' ? 'slave,noaddr' : lost.flags }
              : line,
          ),
        },
      ]),
    ),
  );
}

describe('planRejoin()', () => {
  test('has nothing to do if all find one another, and waits for them to serve', () => {
    const { steps, expect } = planRejoin(agreedView(lines), details());
    assert.deepEqual(steps, []);
    assert.equal(expect?.stateOk, true);
  });

  test('introduces those that another does not find', () => {
    assert.deepEqual(
      stepsOf(
        scattered([
          [1, 2],
          [2, 1],
        ]),
      ),
      [['meet-again', [1, 2], [1, 2, 3, 4]]],
    );
    assert.deepEqual(stepsOf(scattered([[4, 3]])), [['meet-again', [3], [1, 2, 3, 4]]]);
  });

  test('introduces one that is listed where another answers', () => {
    const view = { ...agreedView(lines), asked: new Map([[place(3), { id: idOf(2) }]]) };
    assert.deepEqual(stepsOf(view), [['meet-again', [3], [1, 2, 3, 4]]]);
  });

  test('introduces a replica that lost its data after the masters have found one another', () => {
    const view = scattered([
      [1, 2],
      [2, 4],
      [4, 2],
    ]);
    assert.deepEqual(stepsOf(view, details({ status: 'down' }, 0)), [
      ['meet-again', [2], [1, 2, 3]],
      ['meet-again', [4], [1, 2, 3, 4]],
      ['replicate', 4, 1, true],
    ]);
  });

  test('makes a replica ask again that has no link, or copies another node', () => {
    const again = [['replicate', 4, 1, true]];
    const view = agreedView(lines);
    assert.deepEqual(stepsOf(view, details({ status: 'down' })), again);
    assert.deepEqual(stepsOf(view, details({ status: 'copying', asks: at(2) })), again);
    assert.deepEqual(stepsOf(view, details({ asks: at(2) }, 5, 'another')), again);
    assert.deepEqual(stepsOf(view, details({ status: 'copying' })), []);
  });

  test('does not wait for a cluster to serve whose slots nobody serves', () => {
    assert.equal(planRejoin(agreedView(lines, [3]), details()).expect?.stateOk, false);
  });

  test('gives no slot to another node, whoever finds whom', () => {
    const pairs = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })));
    fc.assert(
      fc.property(pairs, (some) => {
        const missed = some.filter(([by, node]) => by !== node);
        const { steps } = planRejoin(scattered(missed), details());
        assert.ok(steps.every(({ type }) => type === 'meet-again' || type === 'replicate'));
        const [step] = steps.filter((one): one is StepOf<'meet-again'> => one.type === 'meet-again');
        assert.equal(step === undefined, missed.length === 0);
        if (!step) return;
        // Whoever does not find another meets it.
        const met = unmetPairs(step, scattered(missed).reports).map(
          ({ by, node }) => `${number(by.id)} ${number(node.id)}`,
        );
        for (const [by, node] of missed) assert.ok(met.includes(`${by} ${node}`), `${by} meets ${node}`);
      }),
    );
  });
});

describe('absentIn()', () => {
  const silent = { error: new Error('connect ECONNREFUSED') };

  test('asks for a member that nobody calls failed, and for one whose address is taken', () => {
    const suspected = lines.map((line) =>
      line.node === 3 ? { ...line, flags: 'master,fail?', link: 'disconnected' } : line,
    );
    const one = { ...agreedView(suspected, [3]), asked: new Map([[place(3), silent]]) };
    assert.deepEqual(absentIn(one), { gone: [], missing: [idOf(3)], unable: [] });
    const taken = {
      ...agreedView(suspected, [3]),
      asked: new Map([[place(3), { id: idOf(9), isAlone: true }]]),
    };
    assert.deepEqual(absentIn(taken).missing, [idOf(3)]);
  });

  test('leaves out one that the others call failed', () => {
    const failed = lines.map((line) =>
      line.node === 3 ? { ...line, flags: 'master,fail', link: 'disconnected' } : line,
    );
    const view = { ...agreedView(failed, [3]), asked: new Map([[place(3), silent]]) };
    assert.deepEqual(absentIn(view), { gone: [idOf(3)], missing: [], unable: [] });
  });
});

describe('losersIn()', () => {
  const rivals = (heard: Line) =>
    viewOf({
      1: { lines: [{ node: 1, slots: '0-16383', epoch: 1 }, heard] },
      2: {
        lines: [
          { node: 1, epoch: 1 },
          { node: 2, slots: '0-16383', epoch: 7 },
        ],
      },
    });

  test('tells a master whose replica took its place from one that others took slots from', () => {
    const [one] = losersIn(rivals({ node: 2, flags: 'slave', master: 1 }));
    assert.deepEqual([one?.id, one?.by, one?.isSucceeded], [idOf(1), idOf(2), true]);
    const [other] = losersIn(rivals({ node: 2 }));
    assert.deepEqual([other?.slots.length, other?.isSucceeded], [16384, false]);
  });

  test('finds those that have to hear who owns their slots before members have rejoined', () => {
    const contested = rivals({ node: 2, flags: 'slave', master: 1 });
    assert.deepEqual(planRejoin(contested, new Map()).expect?.owners, [{ id: idOf(2), slots: [[0, 16383]] }]);
    const agreed = agreedView([
      { node: 1, slots: '0-16383' },
      { node: 2, flags: 'slave', master: 1 },
    ]);
    assert.equal(planRejoin(agreed, new Map()).expect?.owners, undefined);
  });
});
