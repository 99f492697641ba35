import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isPartName, partName } from '../../lib/copy/parts/part-name.ts';
import { slotOfKey } from '../../lib/model/slot.ts';
import { fc } from '../helpers/properties.ts';

const bytes = fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some).toString('latin1'));
const braces = fc
  .array(fc.constantFrom('{', '}', 'x', 'y', ':', '1'), { maxLength: 8 })
  .map((some) => some.join(''));
const key = fc.oneof(bytes, braces);

describe('partName()', () => {
  test('is of the same slot as its key, begins with it and is known for what it is', () => {
    fc.assert(
      fc.property(key, (one) => {
        const name = partName(one);
        assert.equal(slotOfKey(name), slotOfKey(one));
        assert.ok(name.startsWith(one) && name !== one);
        assert.ok(isPartName(name));
        assert.ok(!isPartName(one));
      }),
    );
  });

  test('is another for each key', () => {
    fc.assert(
      fc.property(braces, braces, (one, other) => {
        assert.equal(partName(one) === partName(other), one === other);
      }),
    );
    assert.notEqual(partName('x'), partName('x{x}'));
  });

  for (const odd of ['', '}', '{', '{}', '{}x', 'x}y', 'x{y', 'a{b}c', '{{b}}', 'a{}b{c}'])
    test(`fits ${JSON.stringify(odd)}`, () => assert.equal(slotOfKey(partName(odd)), slotOfKey(odd)));

  test('keys that only look like it are data', () => {
    for (const name of ['x:redis-trib-unfinished', 'x:1:redis-trib-unfinished', `${partName('x')}2`])
      assert.ok(!isPartName(name), name);
  });
});
