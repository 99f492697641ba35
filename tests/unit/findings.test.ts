import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { disagreements, findingsOf, uncoveredSlots } from '../../lib/findings/findings.ts';
import { goneNodes } from '../../lib/model/condition.ts';
import { agreedView, idOf, type Line, viewOf } from '../helpers/views.ts';

const halves: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const kindsOf = (view: Parameters<typeof findingsOf>[0]) => findingsOf(view).map(({ kind }) => kind);

describe('findingsOf()', () => {
  test('finds nothing in a healthy cluster', () => {
    assert.deepEqual(
      findingsOf(
        agreedView([
          ...halves,
          { node: 3, flags: 'slave', master: 1, epoch: 1 },
          { node: 4, flags: 'slave', master: 2, epoch: 2 },
        ]),
      ),
      [],
    );
  });

  test('names slots that nobody owns', () => {
    const [finding, ...more] = findingsOf(
      agreedView([
        { node: 1, slots: '0-8191' },
        { node: 2, slots: '8193-16382' },
      ]),
    );
    assert.equal(finding?.kind, 'slots-uncovered');
    assert.equal(finding?.severity, 'error');
    assert.deepEqual(finding?.slots, [
      [8192, 8192],
      [16383, 16383],
    ]);
    assert.deepEqual(more, []);
  });

  test('counts the slots of a failed master as not served, and the master as a warning', () => {
    const view = agreedView(
      [
        { node: 1, slots: '0-8190' },
        { node: 2, flags: 'master,fail', slots: '8192-16383', link: 'disconnected' },
        { node: 3, slots: '8191' },
      ],
      [2],
    );
    assert.deepEqual(
      findingsOf(view).map(({ kind, severity }) => [kind, severity]),
      [
        ['slots-uncovered', 'error'],
        ['node-failed', 'warning'],
      ],
    );
    assert.deepEqual(goneNodes(view), [idOf(2)]);
    assert.equal(uncoveredSlots(view).length, 8192);
  });

  test('advises differently if introducing a node again would delete keys', () => {
    const lost = viewOf({
      1: { lines: halves },
      2: { lines: [{ node: 2, slots: '8191-16383' }] },
    });
    const healthy = viewOf({ 1: { lines: halves }, 2: { lines: halves.slice(1) } });
    const [risky, safe] = [lost, healthy].map((view) =>
      findingsOf(view).find(({ kind, nodes }) => kind === 'nodes-disagree' && nodes.length === 2),
    );
    assert.deepEqual([risky?.nodes, safe?.nodes], [safe?.nodes, ['127.0.0.1:7002', '127.0.0.1:7001']]);
    assert.notDeepEqual({ ...risky, nodes: [] }, { ...safe, nodes: [] }, 'one advises to save keys');
  });

  test('does not treat a node as failed that is only suspected', () => {
    const view = agreedView(
      [halves[0] as Line, { node: 2, flags: 'master,fail?', slots: '8192-16383' }],
      [2],
    );
    assert.deepEqual(kindsOf(view), ['slots-uncovered', 'node-unreachable']);
    assert.deepEqual(goneNodes(view), []);
    assert.equal(uncoveredSlots(view).length, 8192);
  });

  test('does not treat a node as failed that answers', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-8191' },
          { node: 2, flags: 'master,fail', slots: '8192-16383' },
        ],
      },
      2: { lines: halves },
    });
    assert.deepEqual(goneNodes(view), []);
  });

  test('reports every open slot, with its nodes', () => {
    const view = agreedView([
      { node: 1, slots: `0-8191 [7->-${idOf(2)}]` },
      { node: 2, slots: `8192-16383 [7-<-${idOf(1)}] [9-<-${idOf(5)}]` },
    ]);
    const open = findingsOf(view).filter(({ kind }) => kind === 'slot-open');
    assert.deepEqual(
      open.map(({ nodes, slots }) => [nodes, slots]),
      [
        [['127.0.0.1:7001', '127.0.0.1:7002'], [[7, 7]]],
        [['127.0.0.1:7002'], [[9, 9]]],
      ],
    );
  });

  test('reports slots that two masters claim, and the node that disagrees', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-8200' },
          { node: 2, slots: '8201-16383' },
        ],
      },
      2: { lines: halves },
    });
    const found = findingsOf(view);
    assert.deepEqual(
      found.map(({ kind }) => kind),
      ['slots-contested', 'nodes-disagree'],
    );
    assert.deepEqual(found[0]?.nodes, ['127.0.0.1:7001', '127.0.0.1:7002']);
    assert.deepEqual(found[1]?.nodes, ['127.0.0.1:7001']);
    for (const { slots } of found) assert.deepEqual(slots, [[8192, 8200]]);
  });

  test('advises to introduce a node again that has no link to the owner of slots, and otherwise to repair these', () => {
    const thirds = (link: string): Line[] => [
      { node: 1, slots: '0-8190' },
      { node: 2, slots: '8191-16383', link },
      { node: 3 },
    ];
    const advice = (link: string) => {
      const view = viewOf({
        2: { lines: thirds('connected') },
        3: { lines: [{ node: 1, slots: '0-8191' }, { node: 2, slots: '8192-16383', link }, { node: 3 }] },
      });
      const found = findingsOf(view).find(({ kind, slots }) => kind === 'nodes-disagree' && slots);
      return found?.next?.map((one) => [one.do, one.when]);
    };
    assert.deepEqual(advice('connected'), [['fix', 'stays']]);
    assert.deepEqual(advice('disconnected'), [['rejoin', 'stays']]);
  });

  test('reports a node that does not know another', () => {
    const view = viewOf({
      1: { lines: [...halves, { node: 3 }] },
      2: { lines: [...halves, { node: 3 }] },
      3: { lines: [halves[0] as Line, { node: 3 }] },
    });
    const found = findingsOf(view).filter(({ nodes }) => nodes.length === 2);
    assert.deepEqual(
      found.map(({ kind, nodes }) => [kind, nodes]),
      [['nodes-disagree', ['127.0.0.1:7003', '127.0.0.1:7002']]],
    );
    assert.deepEqual(disagreements(view, idOf(3)), []);
  });

  test('reports nodes that say fail, links that are down and config epochs of two masters', () => {
    const lines: Line[] = [
      { node: 1, epoch: 5, slots: '0-8191' },
      { node: 2, epoch: 5, slots: '8192-16383' },
    ];
    const view = viewOf({
      1: { lines: [lines[0] as Line, { ...(lines[1] as Line), link: 'disconnected' }], state: 'fail' },
      2: { lines },
    });
    assert.deepEqual(
      findingsOf(view).map(({ kind, severity, nodes }) => ({ kind, severity, nodes })),
      [
        { kind: 'state-fail', severity: 'error', nodes: ['127.0.0.1:7001'] },
        { kind: 'link-down', severity: 'warning', nodes: ['127.0.0.1:7001', '127.0.0.1:7002'] },
        { kind: 'epoch-collision', severity: 'warning', nodes: ['127.0.0.1:7001', '127.0.0.1:7002'] },
      ],
    );
  });

  test('ignores masters without slots that share a config epoch', () => {
    const findings = findingsOf(agreedView([...halves, { node: 3, epoch: 0 }, { node: 4, epoch: 0 }]));
    assert.deepEqual(
      findings.map(({ kind }) => kind),
      ['master-without-slots', 'master-without-slots'],
    );
  });
});
