import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findingsOf } from '../../lib/findings/findings.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import { agreedView, detailsOf, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const pairs: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
  { node: 4, flags: 'slave', master: 2, epoch: 2 },
];
const nameOf = (node: number) => `127.0.0.1:${portOf(node)}`;
const at = (node: number) => ({ host: '127.0.0.1', port: portOf(node) });
const known = (fields: Readonly<Record<number, Partial<NodeDetails>>>) =>
  new Map(Object.entries(fields).map(([node, some]) => [idOf(Number(node)), detailsOf(some)]));
const found = (...args: Parameters<typeof findingsOf>) =>
  findingsOf(...args).map(({ kind, severity, nodes, next }) => ({ kind, severity, nodes, next }));

test('A replica of a replica is found, and is to follow the master', () => {
  const view = agreedView([...pairs, { node: 5, flags: 'slave', master: 3, epoch: 1 }]);
  assert.deepEqual(found(view), [
    {
      kind: 'replica-of-replica',
      severity: 'warning',
      nodes: [nameOf(5), nameOf(3), nameOf(1)],
      next: [{ do: 'replicate', node: nameOf(1), target: nameOf(5), when: 'stays' }],
    },
  ]);
});

describe('A replica that asks elsewhere', () => {
  const misdirected = (severity: string) => [
    {
      kind: 'replica-misdirected',
      severity,
      nodes: [nameOf(3), nameOf(1)],
      next: [{ do: 'replicate', node: nameOf(1), target: nameOf(3) }],
    },
  ];
  const of = (link: NonNullable<NodeDetails['link']>, own = 'a', master = 'a') =>
    found(agreedView(pairs), {
      details: known({ 1: { replicationId: master }, 3: { link, replicationId: own } }),
    });

  test('is found if it has no link, or copies another server', () => {
    assert.deepEqual(of({ status: 'down', asks: at(9) }), misdirected('warning'));
    assert.deepEqual(of({ status: 'up', asks: at(9) }, 'a', 'b'), misdirected('error'));
  });

  test('is told with all others if some do not find its master', () => {
    const gone = { node: 1, slots: '0-8191', flags: 'master,noaddr', link: 'disconnected' };
    const view = viewOf({
      ...Object.fromEntries([1, 3, 4].map((node) => [node, { lines: pairs }])),
      2: { lines: [gone, ...pairs.slice(1)] },
    });
    const link = { status: 'down' as const, asks: at(9) };
    const [finding] = found(view, { details: known({ 3: { link } }) }).filter(
      ({ kind }) => kind === 'replica-misdirected',
    );
    assert.deepEqual(finding?.next, [{ do: 'rejoin', nodes: [nameOf(1), nameOf(3)] }]);
  });

  test('is none if it has the data of its master, or is copying', () => {
    assert.deepEqual(of({ status: 'up', asks: at(9) }), []);
    assert.deepEqual(of({ status: 'up', asks: at(1) }, 'a', 'b'), []);
    const [{ kind } = { kind: '' }] = of({ status: 'copying', asks: at(9) });
    assert.equal(kind, 'replica-copying');
  });
});

test('A replica that waits for its first copy is copying, as its master says', () => {
  const replicas = [{ ...at(3), offset: 0, lagSeconds: 0, isOnline: false }];
  const details = known({ 1: { replicas }, 3: { link: { status: 'down', asks: at(1) } } });
  assert.deepEqual(
    found(agreedView(pairs), { details }).map(({ kind }) => kind),
    ['replica-copying'],
  );
});

test('A replica without a link is to be made one once more', () => {
  const details = known({ 3: { link: { status: 'down', asks: at(1) } } });
  const [{ next } = { next: [] }] = found(agreedView(pairs), { details });
  assert.deepEqual(next, [{ do: 'replicate', node: nameOf(1), target: nameOf(3), when: 'stays' }]);
});

describe('A master without slots', () => {
  const lines: readonly Line[] = [...pairs, { node: 5 }];
  const setups = new Map([
    [idOf(1), { shardId: 'x' }],
    [idOf(2), { shardId: 'y' }],
    [idOf(5), { shardId: 'x' }],
  ]);

  test('is found in the shard of another, and is to be its replica', () => {
    assert.deepEqual(found(agreedView(lines), { setups }), [
      {
        kind: 'shard-shared',
        severity: 'warning',
        nodes: [nameOf(5), nameOf(1)],
        next: [{ do: 'replicate', node: nameOf(1), target: nameOf(5) }],
      },
    ]);
  });

  test('is not told to give up its keys', () => {
    const [{ next } = { next: [] }] = found(agreedView(lines), {
      setups,
      details: known({ 5: { keys: 3 } }),
    });
    assert.equal(next, undefined);
  });

  test('is well in a shard of its own', () => {
    const alone = new Map([...setups, [idOf(5), { shardId: 'z' }] as const]);
    for (const facts of [{ setups: alone }, {}])
      assert.deepEqual(
        found(agreedView(lines), facts).map(({ kind }) => kind),
        ['master-without-slots'],
      );
  });
});
