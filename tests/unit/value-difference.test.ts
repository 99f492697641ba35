import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { convertDump } from '../../lib/rdb/convert.ts';
import { dumpOf, valueDifference } from '../../lib/rdb/dump.ts';
import { RDB_TYPE } from '../../lib/rdb/rdb-values.ts';
import { lengthOf, stringOf, timeOf } from '../../lib/rdb/write.ts';
import { fc } from '../helpers/properties.ts';

const VERSIONS = [9, 10, 11, 12, 13, 80];
const NOW = 1_000_000;

type Kind = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'expiring';
interface Made {
  readonly kind: Kind;
  readonly items: readonly (readonly [string, string])[];
}

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.uint8Array({ maxLength: 30 }).map((some) => Buffer.from(some).toString('latin1')),
  fc.integer().map(String),
);
const made: fc.Arbitrary<Made> = fc.record({
  kind: fc.constantFrom<Kind>('string', 'list', 'set', 'zset', 'hash', 'expiring'),
  items: fc.uniqueArray(fc.tuple(text, text), { selector: ([name]) => name, minLength: 1, maxLength: 10 }),
});

function scoreOf(value: string): string {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value.length);
  return bytes.toString('latin1');
}

/** A DUMP with its members in the order that is given. */
function written({ kind, items }: Made, version: number): string {
  const dump = (type: number, value: string) => dumpOf(type, Buffer.from(value, 'latin1'), version);
  const many = (all: readonly string[]) => lengthOf(all.length) + all.join('');
  switch (kind) {
    case 'string':
      return dump(RDB_TYPE.string, stringOf(items.flat().join('')));
    case 'list':
      return dump(RDB_TYPE.list, many(items.map(([name]) => stringOf(name))));
    case 'set':
      return dump(RDB_TYPE.set, many(items.map(([name]) => stringOf(name))));
    case 'zset':
      return dump(RDB_TYPE.zset2, many(items.map(([name, value]) => stringOf(name) + scoreOf(value))));
    case 'hash':
      return dump(RDB_TYPE.hash, many(items.map(([name, value]) => stringOf(name) + stringOf(value))));
    case 'expiring': {
      const fields = items.map(
        ([name, value]) => stringOf(name) + stringOf(value) + timeOf(NOW + 1 + value.length),
      );
      return dumpOf(RDB_TYPE.hash2, Buffer.from(many(fields), 'latin1'), 80);
    }
  }
}

const versions = fc.tuple(fc.constantFrom(...VERSIONS), fc.constantFrom(...VERSIONS));

describe('valueDifference()', () => {
  test('is none between a value and the same in another version, encoding and order', () => {
    fc.assert(
      fc.property(made, versions, fc.boolean(), (value, [one, other], isTurned) => {
        const isOrdered = value.kind === 'string' || value.kind === 'list';
        const items = isTurned && !isOrdered ? value.items.toReversed() : value.items;
        const first = written(value, one);
        assert.equal(valueDifference(first, written({ ...value, items }, other), NOW), undefined);
        const converted = convertDump(first, [other]);
        if (converted.dump !== undefined)
          assert.equal(valueDifference(first, converted.dump, NOW), undefined);
      }),
    );
  });

  test('is found after any change of a part, and of the type', () => {
    fc.assert(
      fc.property(
        made,
        made,
        versions,
        fc.nat(),
        fc.constantFrom('name', 'value', 'lost', 'added'),
        (value, another, [one, other], place, how) => {
          const at = place % value.items.length;
          const [name, text] = value.items[at] ?? ['', ''];
          const changes = {
            name: value.items.with(at, [`${name}\x00`, text]),
            value: value.items.with(at, [name, `${text}\x00`]),
            lost: value.items.toSpliced(at, 1),
            added: [...value.items, ['\x00\x01\x02\x03 more', 'x'] as const],
          };
          const hasValues = !['list', 'set'].includes(value.kind);
          const items = changes[how === 'value' && !hasValues ? 'name' : how];
          const isSame =
            JSON.stringify(items.flat().join('')) === JSON.stringify(value.items.flat().join(''));
          fc.pre(items.length > 0 && !(value.kind === 'string' && isSame));
          fc.pre(new Set(items.map(([name]) => name)).size === items.length);
          const first = written(value, one);
          assert.equal(valueDifference(first, written({ ...value, items }, other), NOW), 'value');
          const typeOf = ({ kind }: Made) => (kind === 'expiring' ? 'hash' : kind);
          if (typeOf(another) !== typeOf(value))
            assert.equal(valueDifference(first, written(another, other), NOW), 'type');
        },
      ),
    );
  });

  test('leaves out fields that have expired', () => {
    const expired = written({ kind: 'expiring', items: [['gone', 'x']] }, 80);
    const empty = dumpOf(RDB_TYPE.hash, Buffer.from(lengthOf(0), 'latin1'), 11);
    assert.equal(valueDifference(expired, empty, NOW), 'value');
    assert.equal(valueDifference(expired, empty, NOW + 10), undefined);
  });

  test('of streams leaves out when entries were delivered and consumers seen', () => {
    // One node with the entry 1-1, from a real server (Redis 8.6), and a group with the first one pending.
    const [time, later] = ['eeeef524a2010000', 'eeeef624a2010000'];
    const stream = (delivered: string, count: string, seen: string, value = '76') =>
      Buffer.from(
        `150110000000000000000100000000000000011d1d0000000a00010100010101816602000102010001000181${value}020401ff` +
          `010101010100000101016701010101${'00000000000000010000000000000001'}${delivered}${count}010163` +
          `${seen}${seen}01000000000000000100000000000000010b000000000000000000`,
        'hex',
      ).toString('latin1');
    const one = stream(time, '01', time);
    assert.equal(valueDifference(one, stream(later, '01', later), NOW), undefined);
    assert.equal(valueDifference(one, stream(time, '02', time), NOW), 'value');
    assert.equal(valueDifference(one, stream(time, '01', time, '77'), NOW), 'value');
    // A listpack that is none, and one without the number of its fields.
    for (const [good, bad] of [
      ['\x04\x01\xff', '\x04\x01\xfe'],
      ['\x01\x01\x81f', '\x80\x01\x81f'],
    ] as const) {
      assert.ok(one.includes(good));
      assert.equal(valueDifference(one, one.replace(good, bad), NOW), 'unknown');
    }
  });

  test('is unknown of modules and of what cannot be read, unless the bytes are the same', () => {
    const module = (value: string, version: number) =>
      dumpOf(RDB_TYPE.module2, Buffer.from(value, 'latin1'), version);
    assert.equal(valueDifference(module('a', 12), module('a', 13)), undefined);
    assert.equal(valueDifference(module('a', 12), module('b', 12)), 'unknown');
    assert.equal(
      valueDifference(module('a', 12), written({ kind: 'string', items: [['a', '']] }, 12)),
      'type',
    );
    const damaged = dumpOf(RDB_TYPE.hashListpack, Buffer.from(stringOf('no listpack'), 'latin1'), 11);
    assert.equal(valueDifference(damaged, module('a', 11)), 'unknown');
  });
});
