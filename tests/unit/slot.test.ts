import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import {
  expandSlots,
  formatRanges,
  formatSlots,
  isSlot,
  keySlot,
  parseSlotRange,
  SLOT_COUNT,
  type SlotRange,
  toRanges,
} from '../../lib/model/slot.ts';
import { fc } from '../helpers/properties.ts';

const anySlot = fc.integer({ min: 0, max: SLOT_COUNT - 1 });
const anySlots = fc.uniqueArray(anySlot, { maxLength: 200 });

describe('keySlot()', () => {
  test("gives the specification's test vector", () => {
    assert.equal(keySlot('123456789'), 0x31c3 % SLOT_COUNT);
    assert.equal(keySlot('123456789'), 12739);
  });

  test('gives the slots that servers give', () => {
    assert.equal(keySlot(''), 0);
    assert.equal(keySlot('foo'), 12182);
    assert.equal(keySlot('bar'), 5061);
    assert.equal(keySlot('hello'), 866);
    assert.equal(keySlot('h-893'), 0);
  });

  test('hashes only the first hash tag', () => {
    assert.equal(keySlot('{user1000}.following'), keySlot('user1000'));
    assert.equal(keySlot('{user1000}.following'), keySlot('{user1000}.followers'));
    assert.equal(keySlot('foo{bar}{zap}'), keySlot('bar'));
    assert.equal(keySlot('x-{h-893}'), 0);
  });

  test('ends a hash tag at the first closing brace', () => {
    assert.equal(keySlot('foo{{bar}}zap'), keySlot('{bar'));
    assert.equal(keySlot('}foo{bar}'), keySlot('bar'));
  });

  test('hashes the whole key if the tag is empty or not closed', () => {
    const slotOfBytes = (text: string) => keySlot(Buffer.from(text));
    assert.equal(keySlot('foo{}{bar}'), slotOfBytes('foo{}{bar}'));
    assert.notEqual(keySlot('foo{}{bar}'), keySlot('bar'));
    assert.equal(keySlot('foo{}{bar}'), 8363);
    assert.notEqual(keySlot('foo{bar'), keySlot('bar'));
    assert.notEqual(keySlot('foo}bar{'), keySlot('bar'));
    assert.equal(keySlot('{}'), 15257);
  });

  test('takes a string as UTF-8 and bytes as they are', () => {
    assert.equal(keySlot('schlüssel'), keySlot(Buffer.from('schlüssel', 'utf8')));
    assert.notEqual(keySlot('ü'), keySlot(Buffer.from('ü', 'latin1')));
    assert.equal(keySlot(Buffer.from([0x00, 0xff, 0x7b, 0x80, 0x7d, 0x01])), keySlot(Buffer.from([0x80])));
  });

  test('gives a slot for any bytes, and that of the tag for any key with a tag', () => {
    const noBrace = fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .map((bytes) => bytes.map((b) => (b === 0x7b || b === 0x7d ? 0 : b)));
    fc.assert(
      fc.property(noBrace, noBrace, fc.uint8Array(), (before, tag, after) => {
        const key = Buffer.concat([before, Buffer.from('{'), tag, Buffer.from('}'), after]);
        assert.ok(isSlot(keySlot(key)));
        assert.equal(keySlot(key), keySlot(tag));
      }),
    );
  });
});

describe('expandSlots()', () => {
  test('takes numbers and inclusive pairs in the given order, each slot once', () => {
    assert.deepEqual(expandSlots([7, [3, 5], 4, 7, [0, 0]]), [7, 3, 4, 5, 0]);
    assert.deepEqual(expandSlots([]), []);
    assert.equal(expandSlots([[0, 16383]]).length, SLOT_COUNT);
    assert.deepEqual(expandSlots(new Set([2, 1])), [2, 1]);
  });

  for (const [what, slots] of [
    ['a slot below 0', [-1]],
    ['a slot above 16383', [16384]],
    ['a fraction', [1.5]],
    ['NaN', [Number.NaN]],
    ['a pair out of order', [[5, 3]]],
    ['a pair that ends outside', [[16000, 16384]]],
    ['a bad one among good ones', [1, 2, [3, 4], 99999]],
  ] as const) {
    test(`refuses ${what}`, () => {
      assert.throws(() => expandSlots(slots), { code: 'INVALID_ARGUMENT' });
    });
  }
});

describe('toRanges()', () => {
  test('joins adjacent slots in any order', () => {
    assert.deepEqual(toRanges([5, 1, 2, 3, 16383, 6]), [
      [1, 3],
      [5, 6],
      [16383, 16383],
    ]);
    assert.deepEqual(toRanges([4, 4, 4]), [[4, 4]]);
    assert.deepEqual(toRanges([]), []);
  });

  test('contains exactly the given slots, in the fewest ranges', () => {
    fc.assert(
      fc.property(anySlots, (slots) => {
        const ranges = toRanges(slots);
        assert.deepEqual(
          expandSlots(ranges),
          slots.toSorted((a, b) => a - b),
        );
        for (const [index, [first]] of ranges.entries()) {
          const before = ranges[index - 1];
          if (before) assert.ok(first > before[1] + 1);
        }
      }),
    );
  });

  test('does not change its argument', () => {
    const slots = [3, 1, 2];
    toRanges(slots);
    assert.deepEqual(slots, [3, 1, 2]);
  });
});

describe('formatSlots()', () => {
  test('writes ranges as CLUSTER NODES does', () => {
    assert.equal(formatSlots([0, 1, 2, 7, 10, 9]), '0-2 7 9-10');
    assert.equal(formatSlots([]), '');
  });

  test('cuts long lists, and tells how many slots are left out', () => {
    assert.equal(formatSlots([0, 2, 4, 6], 2), '0 2 and 2 more ranges');
    assert.equal(formatSlots([0, 2], 2), '0 2');
  });
});

describe('parseSlotRange()', () => {
  test('reads what formatRanges() writes', () => {
    const anyRange = fc.tuple(anySlot, anySlot).map(([a, b]): SlotRange => [Math.min(a, b), Math.max(a, b)]);
    fc.assert(
      fc.property(anyRange, (range) => assert.deepEqual(parseSlotRange(formatRanges([range])), range)),
    );
    fc.assert(
      fc.property(anySlots, (slots) => {
        const written = formatRanges(toRanges(slots));
        const read = written === '' ? [] : written.split(' ').map(parseSlotRange);
        assert.deepEqual(
          expandSlots(read),
          slots.toSorted((a, b) => a - b),
        );
      }),
    );
  });

  for (const text of [
    '',
    '-',
    '1-',
    '-1',
    '5-3',
    '16384',
    '0-16384',
    '1-2-3',
    ' 1',
    '1 ',
    '0x10',
    '1.0',
    '1e3',
    '99999999999',
    'a',
  ]) {
    test(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseSlotRange(text), { code: 'INVALID_ARGUMENT' });
    });
  }
});
