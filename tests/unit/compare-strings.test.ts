import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { someExpire } from '../../lib/copy/compare/expiry.ts';
import { NameSums, newSeeds } from '../../lib/copy/compare/name-sums.ts';
import { readingCommands, readingsIn } from '../../lib/copy/compare/reading.ts';
import { type Strings, sameString, stringCommands, stringsIn } from '../../lib/copy/compare/strings.ts';
import { keySlot, slotOfKey } from '../../lib/model/slot.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';

const keys = ['a', 'b', 'c', 'd'];

describe('stringCommands()', () => {
  test('asks for keys of one slot with one command, and for no expiry with INFO', () => {
    assert.deepEqual(stringCommands(keys, [1, 1, 2, 1], 'INFO'), [
      ['INFO', 'keyspace'],
      ['MGET', 'a', 'b'],
      ['MGET', 'c'],
      ['MGET', 'd'],
    ]);
    assert.deepEqual(stringCommands(['a', 'b'], undefined, 'PTTL'), [
      ['TIME'],
      ['PTTL', 'a'],
      ['PTTL', 'b'],
      ['MGET', 'a', 'b'],
    ]);
  });

  test('asks for at most a hundred with one command', () => {
    const many = Array.from({ length: 250 }, (_, index) => `${index}`);
    const lengths = stringCommands(many, undefined, 'INFO').map(({ length }) => length - 1);
    assert.deepEqual(lengths, [1, 100, 100, 50]);
  });
});

describe('stringsIn()', () => {
  const read = (replies: readonly Reply[], slots?: readonly number[]): Strings => {
    const commands = stringCommands(keys, slots, 'PTTL');
    return stringsIn(replies, commands, 'PTTL', 0, 0);
  };
  const moved = new ReplyError('MOVED 1 127.0.0.1:7001');

  test('leaves out what is not a string, is gone or is not served', () => {
    const found = read([['1', '0'], -1, 500, -2, moved, ['x', 'y', null, 'z']]);
    assert.deepEqual(found.values, ['x', 'y', undefined, undefined]);
    assert.deepEqual([found.expiries[0], found.expiries[1]?.expiresAt], [undefined, 500]);
    const partly = read([['1', '0'], -1, -1, -1, -1, ['x', 'y'], moved], [1, 1, 2, 2]);
    assert.deepEqual([partly.values, partly.isRefused], [['x', 'y', undefined, undefined], false]);
  });

  test('says that MGET is refused', () => {
    const refusal = new ReplyError('NOPERM this user has no permissions to run the mget command');
    const found = read([['1', '0'], -1, -1, -1, -1, refusal]);
    assert.deepEqual([found.values.filter(Boolean), found.isRefused], [[], true]);
  });

  test('takes keys for the same only if both are strings with one value and one expiry', () => {
    const one = read([['1', '0'], -1, 5000, 5000, -1, ['x', 'x', 'x', null]]);
    const other = read([['1', '0'], -1, 5000, 9000, -1, ['y', 'x', 'x', null]]);
    assert.deepEqual(
      keys.map((_, place) => sameString(one, other, place)),
      [false, true, false, false],
    );
    assert.deepEqual(
      keys.map((_, place) => sameString(one, one, place)),
      [true, true, true, false],
    );
  });
});

describe('expiries that are not asked for', () => {
  test('are asked for unless INFO says that the database has none', () => {
    const info = '# Keyspace\r\ndb0:keys=5,expires=0,avg_ttl=0\r\ndb3:keys=5,expires=1,avg_ttl=9\r\n';
    assert.deepEqual(
      [0, 3, 7].map((db) => someExpire(info, db)),
      [false, true, false],
    );
    assert.equal(someExpire(new ReplyError('NOPERM no'), 0), true);
  });

  test('leave a command for each key', () => {
    assert.deepEqual(readingCommands(['a'], 'INFO'), [
      ['INFO', 'keyspace'],
      ['DUMP', 'a'],
    ]);
    const [one, two] = readingsIn(['', 'dump', null], 'INFO', 0, 0);
    const never = { expiresAt: undefined, serverExpiresAt: undefined, slackMs: 0 };
    assert.deepEqual(
      [one, two],
      [
        { dump: 'dump', ...never },
        { dump: undefined, ...never },
      ],
    );
  });
});

describe('NameSums', () => {
  const latin1 = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
  const sumsOf = (names: readonly string[], seeds: readonly [number, number], db = 0): NameSums => {
    const sums = new NameSums(seeds);
    for (const name of names) sums.add(slotOfKey(name), db, name);
    return sums;
  };

  test('are the same for the same names in any order, and differ in the slot of any other', () => {
    fc.assert(
      fc.property(fc.uniqueArray(latin1, { minLength: 1, maxLength: 50 }), (names) => {
        const seeds = newSeeds();
        const sums = sumsOf(names, seeds);
        assert.equal(sums.differing(sumsOf(names.toReversed(), seeds)).size, 0);
        const [first = '', ...rest] = names;
        assert.deepEqual([...sums.differing(sumsOf(rest, seeds))], [slotOfKey(first)]);
        assert.deepEqual([...sums.differing(sumsOf([...names, first], seeds))], [slotOfKey(first)]);
        assert.ok(sums.differing(sumsOf(names, seeds, 1)).size > 0, 'another database');
      }),
    );
  });

  test('tell names of one slot apart, and forget slots that are read again', () => {
    const seeds = newSeeds();
    const names = Array.from({ length: 2000 }, (_, index) => `{tag}${index}`);
    const sums = sumsOf(names, seeds);
    for (const [place, name] of names.entries()) {
      const others = names.with(place, `${name}!`);
      if (place % 100 === 0) assert.equal(sums.differing(sumsOf(others, seeds)).size, 1);
    }
    sums.forget([slotOfKey('{tag}')]);
    assert.equal(sums.differing(new NameSums(seeds)).size, 0);
  });
});

test('slotOfKey() gives the slot of the bytes that it is given as latin1', () => {
  const parts = fc.array(fc.constantFrom('{', '}', 'a', 'user', '\xff', '\x00'), { maxLength: 10 });
  fc.assert(
    fc.property(
      parts.map((some) => some.join('')),
      (key) => assert.equal(slotOfKey(key), keySlot(Buffer.from(key, 'latin1'))),
    ),
  );
});
