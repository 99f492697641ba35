import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type BiggestKey, KeyTally } from '../../lib/copy/survey/key-tally.ts';
import { PrefixTally, prefixOf } from '../../lib/copy/survey/prefix-tally.ts';

const keyOf = (key: string, more: Partial<BiggestKey> = {}): BiggestKey => ({
  ...{ key, type: 'string', bytes: 10, ttlMs: null, db: 0, on: 'a:1' },
  ...more,
});

describe('prefixOf()', () => {
  const cases: readonly (readonly [key: string, depth: number, prefix: string | null])[] = [
    ['user:1', 1, 'user:'],
    ['user:1:cart', 1, 'user:'],
    ['user:1:cart', 2, 'user:1:'],
    ['user:1', 5, 'user:'],
    ['user', 1, null],
    [':a', 1, ':'],
    ['a::b', 2, 'a::'],
    // What is in a hash tag differs from key to key.
    ['{42}:cart', 1, '{*}:'],
    ['{user:42}:cart', 1, '{*}:'],
    ['feed:{42}:new', 1, 'feed:'],
    ['feed:{42}:new', 2, 'feed:{*}:'],
    // Not a hash tag.
    ['{}:a', 1, '{}:'],
    ['{a:b', 1, '{a:'],
    ['x'.repeat(300), 1, null],
    [`${'x'.repeat(300)}:a`, 1, null],
  ];
  for (const [key, depth, prefix] of cases)
    test(`${key.slice(0, 20)}, ${depth}`, () => assert.equal(prefixOf(key, ':', depth), prefix));

  test('takes a separator of several characters', () => {
    assert.equal(prefixOf('a--b--c', '--', 1), 'a--');
    assert.equal(prefixOf('a--b--c', '--', 2), 'a--b--');
  });
});

describe('PrefixTally', () => {
  test('knows a bounded number of prefixes, loses no key, and says where its figures may be too low', () => {
    const many = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 1000 })), {
      maxLength: 400,
    });
    fc.assert(
      fc.property(many, (keys) => {
        const tally = new PrefixTally(':', 1, 10);
        const truth = new Map<string, { keys: number; bytes: number }>();
        for (const [name, bytes] of keys) {
          tally.add({ key: `p${name}:x`, type: 'string', bytes, ttlMs: null }, 1);
          const own = truth.get(`p${name}:`) ?? { keys: 0, bytes: 0 };
          truth.set(`p${name}:`, { keys: own.keys + 1, bytes: own.bytes + bytes });
        }
        const { prefixes, others } = tally.top(5);
        assert.ok(prefixes.length <= 5);
        const sum = (of: 'keys' | 'bytes') => prefixes.reduce((all, one) => all + one[of], others[of]);
        assert.equal(sum('keys'), keys.length);
        assert.equal(
          sum('bytes'),
          keys.reduce((all, [, bytes]) => all + bytes, 0),
        );
        for (const { prefix, exact, keys: count, bytes } of prefixes) {
          const own = truth.get(prefix ?? '');
          assert.ok(own);
          if (exact) assert.deepEqual({ keys: count, bytes }, own);
          else assert.ok(count <= own.keys && bytes <= own.bytes);
        }
      }),
    );
  });
});

describe('KeyTally', () => {
  test('sums up by type and time to live, and keeps the biggest, each once', () => {
    const tally = new KeyTally({ separator: ':', depth: 1, top: 2 });
    tally.add(keyOf('a:1', { bytes: 100, ttlMs: 60_000 }));
    tally.add(keyOf('a:2', { bytes: 300, type: 'hash', ttlMs: 60_001 }));
    tally.add(keyOf('b', { bytes: 200, type: 'zset' }));
    tally.add(keyOf('a:2', { bytes: 300, type: 'hash', ttlMs: 60_001 }));
    const { keys, bytes, types, timesToLive, biggest, prefixes } = tally.sums();
    assert.deepEqual([keys, bytes, tally.seen], [4, 900, 4]);
    assert.deepEqual(
      types.map(({ type, keys: count }) => [type, count]),
      [
        ['hash', 2],
        ['zset', 1],
        ['string', 1],
      ],
    );
    assert.deepEqual(
      timesToLive.map(({ within, keys: count }) => [within, count]),
      [
        ['minute', 1],
        ['hour', 2],
        ['never', 1],
      ],
    );
    assert.deepEqual(
      biggest.map(({ key }) => key),
      ['a:2', 'b'],
    );
    assert.deepEqual(
      prefixes.map(({ prefix, keys: count, expiring, largest }) => [prefix, count, expiring, largest]),
      [
        ['a:', 3, 3, 'a:2'],
        [null, 1, 0, 'b'],
      ],
    );
  });

  test('finds the biggest of many in any order', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1e6 }), { maxLength: 500 });
    fc.assert(
      fc.property(sizes, (all) => {
        const tally = new KeyTally({ separator: ':', depth: 1, top: 5 });
        for (const [index, bytes] of all.entries()) tally.add(keyOf(`${index}`, { bytes }));
        assert.deepEqual(
          tally.sums().biggest.map(({ bytes }) => bytes),
          [...all].sort((one, other) => other - one).slice(0, 5),
        );
      }),
      { numRuns: 50 },
    );
  });

  test('takes no more memory for more prefixes, keys and types', () => {
    const tally = new KeyTally({ separator: ':', depth: 1, top: 20 }, 100);
    for (let index = 0; index < 20_000; index++)
      tally.add(keyOf(`prefix-${index}:x`, { type: `type-${index}`, bytes: index }));
    const { prefixes, others, types, biggest, keys } = tally.sums();
    assert.deepEqual([prefixes.length, biggest.length, keys], [20, 20, 20_000]);
    assert.equal(others.keys, 20_000 - 20);
    assert.ok(types.length <= 101);
  });
});
