import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { convertDump } from '../../lib/rdb/convert.ts';
import { dumpOf, readDump, sameValue } from '../../lib/rdb/dump.ts';
import { RDB_TYPE } from '../../lib/rdb/rdb-values.ts';
import { dumpVersion } from '../../lib/rdb/versions.ts';
import { lengthOf, stringOf, timeOf } from '../../lib/rdb/write.ts';
import { fc } from '../helpers/properties.ts';

/** RDB versions of Redis 6.0, 7.0, 7.2 and Valkey 8, Redis 8.0, Redis 8.6, and Valkey 9. */
const VERSIONS = [9, 10, 11, 12, 13, 80] as const;

const dump = (type: number, value: string, version: number) =>
  dumpOf(type, Buffer.from(value, 'latin1'), version);
const fromHex = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex').toString('latin1');

const bytes = fc.uint8Array({ maxLength: 80 }).map((some) => Buffer.from(some).toString('latin1'));
const members = fc.uniqueArray(bytes, { minLength: 1, maxLength: 20 });
const score = fc.double({ noNaN: true }).map((number) => {
  const eight = Buffer.alloc(8);
  eight.writeDoubleLE(number);
  return eight.toString('latin1');
});
const many = (items: readonly string[]) => lengthOf(items.length) + items.join('');

/** Values as the newest servers write them: type and value. */
const plain = fc.oneof(
  bytes.map((text) => [RDB_TYPE.string, stringOf(text)] as const),
  fc.array(bytes, { minLength: 1 }).map((items) => [RDB_TYPE.list, many(items.map(stringOf))] as const),
  members.map((all) => [RDB_TYPE.set, many(all.map(stringOf))] as const),
  fc
    .tuple(members, fc.array(score, { minLength: 20, maxLength: 20 }))
    .map(
      ([all, scores]) => [RDB_TYPE.zset2, many(all.map((one, at) => stringOf(one) + scores[at]))] as const,
    ),
  members.map((all) => [RDB_TYPE.hash, many(all.map((one) => stringOf(one) + stringOf(`v${one}`)))] as const),
);

const later = Date.now() + 3_600_000;
const expiring = fc
  .tuple(members, fc.array(fc.option(fc.nat({ max: 1_000_000 })), { minLength: 20, maxLength: 20 }))
  .map(([fields, after]) =>
    fields.map((field, at) => ({
      field,
      value: `v${field}`,
      expiresAt: after[at] == null ? undefined : later + after[at],
    })),
  );

/** A stream of the newest version with one group, from a real server (Redis 8.6). */
const STREAM = fromHex(
  '1a 01 10 0000000000000001 0000000000000001 1d 1d000000 0a00 0101 0001 0101 8166 02 0001 0201 0001 0001 8176 02 0401 ff' +
    '01 01 01 01 01 00 00 01 01 01 67 01 01 01 01 00000000000000010000000000000001 eeeef524a2010000 01 01 01 63' +
    'eeeef524a2010000 eeeef524a2010000 01 00000000000000010000000000000001 4064 4064 000000 0d00 edac7aa324ad5543',
);

describe('convertDump()', () => {
  test('leaves what all readers read as it is', () => {
    for (const version of VERSIONS) {
      const one = dump(RDB_TYPE.string, stringOf('value'), version);
      assert.deepEqual(convertDump(one, [version]), { dump: one, how: 'as-is' });
      assert.deepEqual(convertDump(one, []), { dump: one, how: 'as-is' });
    }
  });

  test('gives every reader a version that it reads, with the same value', () => {
    fc.assert(
      fc.property(
        plain,
        fc.constantFrom(...VERSIONS),
        fc.uniqueArray(fc.constantFrom(...VERSIONS), { minLength: 1 }),
        ([type, value], written, readers) => {
          const before = dump(type, value, written);
          const converted = convertDump(before, readers);
          assert.ok(converted.dump !== undefined);
          const version = dumpVersion(converted.dump);
          for (const reader of readers) {
            assert.ok(version <= reader, `${version} for ${reader}`);
            if (reader === 80) assert.ok(version < 12 || version >= 80, `${version} for Valkey 9`);
          }
          assert.ok(sameValue(before, converted.dump));
        },
      ),
    );
  });

  test('carries times of fields between the engines, to the millisecond', () => {
    fc.assert(
      fc.property(expiring, (fields) => {
        const valkey = dump(
          RDB_TYPE.hash2,
          many(
            fields.map(
              ({ field, value, expiresAt = -1 }) => stringOf(field) + stringOf(value) + timeOf(expiresAt),
            ),
          ),
          80,
        );
        const redis = convertDump(valkey, [12, 13]);
        assert.ok(redis.dump !== undefined);
        assert.deepEqual(readDump(redis.dump), { kind: 'hash', fields });
        const back = convertDump(redis.dump, [80]);
        assert.ok(back.dump !== undefined);
        assert.deepEqual(readDump(back.dump), { kind: 'hash', fields });
        const doesExpire = fields.some(({ expiresAt }) => expiresAt !== undefined);
        for (const reader of [9, 10, 11]) {
          const old = convertDump(valkey, [reader]);
          if (doesExpire) assert.deepEqual(old, { why: 'field-expiry' });
          else assert.ok(old.dump !== undefined && sameValue(old.dump, valkey));
        }
        // No format holds them for both.
        if (doesExpire) assert.equal(convertDump(valkey, [13, 80]).dump, undefined);
      }),
    );
  });

  test('writes a stream in the newest version that the readers know, and only that', () => {
    const types = VERSIONS.map((version) => {
      const converted = convertDump(STREAM, [version]);
      assert.ok(converted.dump !== undefined);
      assert.ok(sameValue(converted.dump, STREAM), `${version}`);
      return converted.dump.charCodeAt(0);
    });
    assert.deepEqual(types, [15, 19, 21, 21, 26, 21]);
  });

  test('names what it cannot read', () => {
    assert.deepEqual(convertDump(dump(99, 'x', 80), [13]), { why: 'unknown-type' });
    const packed = dump(RDB_TYPE.hashListpack, stringOf('no listpack'), 11);
    assert.deepEqual(convertDump(packed, [9]), { why: 'damaged' });
    const short = dump(RDB_TYPE.setListpack, lengthOf(500), 12);
    assert.deepEqual(convertDump(short, [9]), { why: 'damaged' });
  });

  test('sends no value of a module to a server that may exit because of it', () => {
    const module = dump(RDB_TYPE.module2, 'x', 9);
    assert.deepEqual(convertDump(module, [9]), { why: 'module' });
    assert.deepEqual(convertDump(module, [12, 9]), { why: 'module' });
    assert.deepEqual(convertDump(module, [10]), { dump: module, how: 'as-is' });
  });

  test('ends in a known way for any bytes', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 30 }),
        fc.uint8Array({ maxLength: 60 }).map((some) => Buffer.from(some).toString('latin1')),
        fc.constantFrom(...VERSIONS),
        (type, value, reader) => {
          const converted = convertDump(dump(type, value, 81), [reader]);
          assert.ok(
            converted.dump !== undefined ||
              ['field-expiry', 'module', 'unknown-type', 'damaged'].includes(converted.why),
          );
        },
      ),
      { numRuns: 3000 },
    );
  });
});
