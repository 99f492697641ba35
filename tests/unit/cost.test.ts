import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KeySize, weighSlots } from '../../lib/move/by-migrate/slot-weights.ts';
import { bytesByTime, costsWithin, type Load, weightOf } from '../../lib/move/cost.ts';
import { fc } from '../helpers/properties.ts';

const load = (slots: number, keys: number, bytes: number): Load => ({
  ...{ slots, keys, bytes },
  weight: weightOf({ slots, keys, bytes }),
});
const loads = fc
  .tuple(fc.integer({ min: 1, max: 500 }), fc.nat(1e6), fc.nat(1e9))
  .map(([slots, keys, bytes]) => load(slots, keys, keys === 0 ? 0 : bytes));

describe('weightOf()', () => {
  test('is nothing without keys, and more with each of them, with bytes and with slots', () => {
    assert.equal(weightOf({ slots: 9, keys: 0, bytes: 0 }), 0);
    const base = weightOf({ slots: 10, keys: 1000, bytes: 1e6 });
    assert.ok(weightOf({ slots: 10, keys: 1001, bytes: 1e6 }) > base);
    assert.ok(weightOf({ slots: 10, keys: 1000, bytes: 2e6 }) > base);
    assert.ok(weightOf({ slots: 20, keys: 1000, bytes: 1e6 }) > base);
  });

  test('tells few keys of many slots from many keys of one, as their batches do', () => {
    const many = weightOf({ slots: 1000, keys: 10_000, bytes: 1e6 });
    const one = weightOf({ slots: 1, keys: 10_000, bytes: 1e6 });
    assert.ok(many > 2 * one, `${many} ${one}`);
  });
});

describe('bytesByTime()', () => {
  test('is that of the fields of a large hash, if that is more', () => {
    for (const [bytes, fields, expected] of [
      [100_000, 0, 100_000],
      // A block of bytes.
      [20_000, 500, 20_000],
      [700_000, 10_000, 7_500_000],
      [50_000_000, 10_000, 50_000_000],
    ] as const)
      assert.equal(bytesByTime(bytes, fields), expected, `${bytes} ${fields}`);
  });
});

describe('costsWithin()', () => {
  test('of the parts add up to that of the whole', () => {
    const limit = fc.option(fc.integer({ min: 1, max: 1e9 }), { nil: undefined });
    fc.assert(
      fc.property(loads, loads, limit, limit, (one, other, keysPerSecond, bytesPerSecond) => {
        const whole: Load = {
          slots: one.slots + other.slots,
          keys: one.keys + other.keys,
          bytes: one.bytes + other.bytes,
          weight: one.weight + other.weight,
        };
        const limits = {
          ...(keysPerSecond === undefined ? {} : { keysPerSecond }),
          ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
        };
        const costOf = costsWithin(whole, limits);
        const all = costOf(whole);
        assert.ok(Math.abs(costOf(one) + costOf(other) - all) <= 1e-9 * all);
      }),
    );
  });

  test('are by keys or by bytes if a limit on these decides', () => {
    const [few, big] = [load(1, 10, 1e8), load(1, 10_000, 1e6)];
    const whole: Load = { slots: 2, keys: 10_010, bytes: 1.01e8, weight: few.weight + big.weight };
    const byKeys = costsWithin(whole, { keysPerSecond: 10 });
    assert.ok(byKeys(big) > 900 * byKeys(few));
    const byBytes = costsWithin(whole, { bytesPerSecond: 1000 });
    assert.ok(byBytes(few) > 90 * byBytes(big));
  });
});

describe('weighSlots()', () => {
  const slots = [1, 2, 3];
  const size = (bytes: number, cost = bytes): KeySize => ({ bytes, cost });
  const weights = weighSlots(slots, [100, 0, 1], {
    in: (slot) => (slot === 1 ? size(100) : size(50_000)),
    big: new Map([['big', size(5e6)]]),
  });

  test('weighs keys by the size of those of their slot, and big ones by their own', () => {
    const [small, large, big] = [weights.of(1, ['a', 'b']), weights.of(3, ['c']), weights.of(1, ['big'])];
    assert.deepEqual([small.bytes, large.bytes, big.bytes], [200, 50_000, 5e6]);
    assert.ok(small.weight < large.weight && large.weight < big.weight);
  });

  test('has all of them in the whole', () => {
    const hundred = weights.of(
      1,
      Array.from({ length: 100 }, (_, at) => `${at}`),
    );
    const sum = hundred.weight + weights.of(3, ['c']).weight + weights.of(1, ['big']).weight;
    assert.ok(Math.abs(weights.all.weight - sum) < 1e-6, `${weights.all.weight} ${sum}`);
  });

  test('weighs by time, and counts bytes as they are', () => {
    const slow = weighSlots([3], [1], { in: () => size(50_000, 5e6), big: new Map() });
    assert.equal(slow.all.bytes, 50_000);
    assert.ok(slow.all.weight > 10 * weights.of(3, ['c']).weight);
  });

  test('knows what to say of keys in a slot that had none', () => {
    assert.equal(weights.of(2, ['new', 'newer']).weight, 2);
  });
});
