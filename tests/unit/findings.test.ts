import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { disagreements, failedNodes, findingsOf, uncoveredSlots } from '../../lib/model/findings.ts';
import { agreedView, idOf, type Line, viewOf } from '../helpers/views.ts';

const halves: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const kindsOf = (view: Parameters<typeof findingsOf>[0]) => findingsOf(view).map(({ kind }) => kind);

describe('findingsOf()', () => {
  test('finds nothing in a cluster that is well', () => {
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
    assert.match(finding?.message ?? '', /^2 slots are not served by any node: 8192 16383$/);
    assert.deepEqual(more, []);
  });

  test('counts the slots of a failed master as not served, and the master as a warning', () => {
    const view = agreedView(
      [halves[0] as Line, { node: 2, flags: 'master,fail', slots: '8192-16383', link: 'disconnected' }],
      [2],
    );
    assert.deepEqual(
      findingsOf(view).map(({ kind, severity }) => [kind, severity]),
      [
        ['slots-uncovered', 'error'],
        ['node-failed', 'warning'],
      ],
    );
    assert.deepEqual(failedNodes(view), [idOf(2)]);
    assert.equal(uncoveredSlots(view).length, 8192);
  });

  test('warns of keys that are deleted where a node that claims slots of others is introduced again', () => {
    const lost = viewOf({
      1: { lines: halves },
      2: { lines: [{ node: 2, slots: '8191-16383' }] },
    });
    const [, stranger] = findingsOf(lost).filter(({ message }) =>
      / claimed by | does not know /.test(message),
    );
    assert.equal(stranger?.message, '127.0.0.1:7002 does not know 127.0.0.1:7001');
    assert.match(
      stranger?.hint ?? '',
      /deletes the keys of slots that it loses: save what it holds of these/,
    );
    const well = viewOf({ 1: { lines: halves }, 2: { lines: halves.slice(1) } });
    assert.match(findingsOf(well)[0]?.hint ?? '', /^If a node was forgotten or has just joined, wait/);
  });

  test('does not hold a node for failed that only some suspect', () => {
    const view = agreedView(
      [halves[0] as Line, { node: 2, flags: 'master,fail?', slots: '8192-16383' }],
      [2],
    );
    assert.deepEqual(kindsOf(view), ['node-unreachable']);
    assert.deepEqual(failedNodes(view), []);
    assert.deepEqual(uncoveredSlots(view), []);
  });

  test('does not hold a node for failed that answers', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-8191' },
          { node: 2, flags: 'master,fail', slots: '8192-16383' },
        ],
      },
      2: { lines: halves },
    });
    assert.deepEqual(failedNodes(view), []);
  });

  test('tells of every open slot, from where to where', () => {
    const view = agreedView([
      { node: 1, slots: `0-8191 [7->-${idOf(2)}]` },
      { node: 2, slots: `8192-16383 [7-<-${idOf(1)}] [9-<-${idOf(5)}]` },
    ]);
    const open = findingsOf(view).filter(({ kind }) => kind === 'slot-open');
    assert.deepEqual(
      open.map(({ message }) => message),
      [
        'Slot 7 is open: migrating on 127.0.0.1:7001 to 127.0.0.1:7002, importing on 127.0.0.1:7002 from 127.0.0.1:7001',
        `Slot 9 is open: importing on 127.0.0.1:7002 from ${idOf(5)}`,
      ],
    );
    assert.deepEqual(open[0]?.nodes, ['127.0.0.1:7001', '127.0.0.1:7002']);
    assert.deepEqual(open[0]?.slots, [[7, 7]]);
  });

  test('tells of slots that two masters claim, and who does not agree', () => {
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
    assert.equal(found[0]?.message, 'Slots 8192-8200 are claimed by 127.0.0.1:7001 and 127.0.0.1:7002');
    assert.match(
      found[1]?.message ?? '',
      /^127\.0\.0\.1:7001 does not agree with the others who owns slots 8192-8200: slot 8192 is 127\.0\.0\.1:7001's to it, 127\.0\.0\.1:7002's to the others$/,
    );
    assert.deepEqual(found[1]?.slots, [[8192, 8200]]);
  });

  test('tells who does not know whom', () => {
    const view = viewOf({
      1: { lines: [...halves, { node: 3 }] },
      2: { lines: [...halves, { node: 3 }] },
      3: { lines: [halves[0] as Line, { node: 3 }] },
    });
    const messages = findingsOf(view).map(({ message }) => message);
    assert.ok(messages.includes('127.0.0.1:7003 does not know 127.0.0.1:7002'));
    assert.deepEqual(
      disagreements(view, idOf(3)).map(({ message }) => message),
      [],
    );
  });

  test('tells of nodes that say fail, of links that are down and of config epochs held twice', () => {
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

  test('does not mind masters without slots that share a config epoch', () => {
    assert.deepEqual(findingsOf(agreedView([...halves, { node: 3, epoch: 0 }, { node: 4, epoch: 0 }])), []);
  });
});
