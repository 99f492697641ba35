import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rebalanceLikeRedisCli, reshardTable } from '../../lib/plan/redis-cli-moves.ts';
import { recordOf } from '../helpers/slot-plans.ts';

const three = [recordOf(1, [[0, 5460]]), recordOf(2, [[5461, 10922]]), recordOf(3, [[10923, 16383]])];

describe('reshardTable()', () => {
  test('takes the lowest slots of each, rounded up for the one with the most, which is listed first', () => {
    const slots = reshardTable(three, 10).map(({ slot }) => slot);
    assert.deepEqual(slots, [5461, 5462, 5463, 5464, 0, 1, 2, 10923, 10924, 10925]);
  });

  test('takes fewer than asked for because of rounding, as redis-cli does', () => {
    assert.equal(reshardTable(three, 8).length, 7);
  });

  test('takes no more than there are', () => {
    assert.equal(reshardTable(three, 16384).length, 16384);
    assert.equal(reshardTable([], 5).length, 0);
  });
});

describe('rebalanceLikeRedisCli()', () => {
  test('needs nothing within the threshold', () => {
    assert.equal(rebalanceLikeRedisCli(three, new Map(), 2, false).isNeeded, false);
  });

  test('ignores empty masters unless told to use them', () => {
    const four = [...three, recordOf(4, [])];
    assert.equal(rebalanceLikeRedisCli(four, new Map(), 2, false).nodes, 3);
    const { moves } = rebalanceLikeRedisCli(four, new Map(), 2, true);
    assert.equal(
      moves.reduce((sum, { slots }) => sum + slots.length, 0),
      4096,
    );
    assert.ok(moves.every(({ target }) => target === four[3]));
  });

  test('empties a master of weight 0', () => {
    const weights = new Map([[three[0]?.id ?? '', 0]]);
    const { moves, totalWeight } = rebalanceLikeRedisCli(three, weights, 2, false);
    assert.equal(totalWeight, 2);
    assert.equal(
      moves.reduce((sum, { slots }) => sum + slots.length, 0),
      5461,
    );
    assert.ok(moves.every(({ source, target }) => source === three[0] && target !== three[0]));
  });
});
