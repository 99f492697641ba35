import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type NodeInShard, placesIn } from '../../lib/operations/snapshot.ts';
import { idOf, type Line, viewOf } from '../helpers/views.ts';

const viewFrom = (lines: readonly Line[]) =>
  viewOf(Object.fromEntries(lines.map(({ node }) => [node, { lines }])));
const shown = (places: readonly NodeInShard[]) =>
  places.map(({ node, shard }) => [Number.parseInt(node.id, 16), shard]);

const lines: readonly Line[] = [
  { node: 1, slots: '8192-16383' },
  { node: 2, slots: '0-8191' },
  { node: 3, flags: 'slave', master: 2 },
];

describe('placesIn()', () => {
  const before = placesIn(viewFrom(lines), []);

  test('numbers shards by their slots, each master before its replicas, and strays last', () => {
    assert.deepEqual(shown(before), [
      [2, 1],
      [3, 1],
      [1, 2],
    ]);
    const stray = viewFrom([...lines, { node: 4, flags: 'slave', master: 9 }]);
    assert.deepEqual(shown(placesIn(stray, [])).at(-1), [4, null]);
  });

  test('keeps the numbers when slots move, at a failover, and for whoever comes', () => {
    const moved = viewFrom([
      { node: 1, slots: '0-16383' },
      { node: 2 },
      { node: 3, flags: 'slave', master: 2 },
      { node: 4, slots: '' },
    ]);
    assert.deepEqual(shown(placesIn(moved, before)), [
      [2, 1],
      [3, 1],
      [1, 2],
      [4, 3],
    ]);
    const failedOver = viewFrom([
      { node: 1, slots: '8192-16383' },
      { node: 2, flags: 'master,fail' },
      { node: 3, slots: '0-8191', epoch: 9 },
    ]);
    const after = placesIn(failedOver, before);
    assert.deepEqual(shown(after), [
      [3, 1],
      [1, 2],
      [2, 3],
    ]);
    assert.deepEqual(
      after.filter(({ isFailed }) => isFailed).map(({ node }) => node.id),
      [idOf(2)],
    );
  });
});
