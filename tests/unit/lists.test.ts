import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shorten } from '../../lib/model/lists.ts';

test('`shorten()` tells how many texts it omits, and does not change a short list', () => {
  const cases: [number, string, string[]][] = [
    [4, 'node', ['a', 'b', 'c']],
    [3, 'node', ['a', 'b', 'c']],
    [2, 'node', ['a', 'b', 'and 1 more node']],
    [1, 'node', ['a', 'and 2 more nodes']],
    [1, '', ['a', 'and 2 more']],
  ];
  for (const [most, noun, shortened] of cases)
    assert.deepEqual(shorten(['a', 'b', 'c'], most, noun), shortened);
  assert.deepEqual(shorten([], 2), []);
});
