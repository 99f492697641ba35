import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CRC64_START, crc64, crc64Bytes } from '../../lib/rdb/crc64.ts';
import { dumpOf, sameValue } from '../../lib/rdb/dump.ts';
import { type RdbItem, RdbWalker } from '../../lib/rdb/rdb.ts';
import { RdbFault, unpackLzf } from '../../lib/rdb/rdb-bytes.ts';

const bytes = (...parts: (string | number | number[])[]): Buffer =>
  Buffer.concat(
    parts.map((part) =>
      typeof part === 'string'
        ? Buffer.from(part, 'latin1')
        : Buffer.from(typeof part === 'number' ? [part] : part),
    ),
  );
/** A string after its length. */
const text = (content: string): Buffer =>
  bytes([0x40 | (content.length >> 8), content.length & 255], content);
const eight = (number: number): number[] => [...new Uint8Array(new BigInt64Array([BigInt(number)]).buffer)];
const id = [...Buffer.alloc(16, 9)];
const streamHead = (numbers: number) => [1, ...bytes(16, id), ...text('listpack'), ...Array(numbers).fill(5)];
const consumers = (times: number) => [
  1,
  ...text('consumer'),
  ...Array(times).fill(eight(1)).flat(),
  1,
  ...id,
];
const group = (numbers: number, times: number) => [
  ...[1, ...text('group'), ...Array(numbers).fill(3)],
  ...[1, ...id, ...eight(1), 2],
  ...consumers(times),
];

/** A value of each type, as servers write it. */
const values: readonly (readonly [name: string, type: number, value: Buffer])[] = [
  ['a string', 0, text('value')],
  ['a string of a byte', 0, bytes(0xc0, 0xff)],
  ['a string of two bytes', 0, bytes(0xc1, [1, 2])],
  ['a string of four bytes', 0, bytes(0xc2, [1, 2, 3, 4])],
  ['a packed string', 0, bytes(0xc3, 3, 20, [0, 97, 0xe0])],
  ['a string with a long length', 0, bytes(0x80, [0, 0, 1, 0], 'x'.repeat(256))],
  ['a string with a longer length', 0, bytes(0x81, [0, 0, 0, 0, 0, 0, 1, 0], 'x'.repeat(256))],
  ['an empty string', 0, bytes(0)],
  ['a list', 1, bytes(2, [...text('a')], [...text('b')])],
  ['a set', 2, bytes(2, [...text('a')], 0xc0, 1)],
  ['a sorted set of old', 3, bytes(3, [...text('a'), 3], '1.5', [...text('b'), 255, ...text('c'), 254])],
  ['a hash', 4, bytes(1, [...text('field'), ...text('value')])],
  ['a sorted set', 5, bytes(1, [...text('a'), ...eight(3)])],
  [
    'a value of a module',
    7,
    bytes(0x81, eight(7), [1, 5, 2, 6, 3, 0, 0, 0, 0, 4], eight(1), 5, [...text('part')], 0),
  ],
  ...[9, 10, 11, 12, 13, 16, 17, 20, 23].map(
    (type) => [`a packed value of type ${type}`, type, text('packed')] as const,
  ),
  ['a list of ziplists', 14, bytes(2, [...text('one'), ...text('two')])],
  ['a list of listpacks', 18, bytes(2, [2, ...text('one'), 1, ...text('two')])],
  ['a stream', 15, bytes(streamHead(3), group(2, 1))],
  ['a stream of 7.0', 19, bytes(streamHead(8), group(3, 1))],
  ['a stream of 7.2', 21, bytes(streamHead(8), group(3, 2))],
  [
    'a stream of 8.6',
    26,
    bytes(streamHead(8), group(3, 2), [9, 9, 1], [...text('producer')], 1, [...text('once')], [5, 6, 7, 8]),
  ],
  ['a hash with times to live before its release', 22, bytes(1, 5, [...text('field'), ...text('value')])],
  [
    'a hash with times to live',
    24,
    bytes(eight(99), 2, 0, [...text('a'), ...text('b')], 5, [...text('c'), ...text('d')]),
  ],
  ['a packed hash with times to live', 25, bytes(eight(99), [...text('packed')])],
];

function file(magic: string, ...parts: Buffer[]): Buffer {
  const all = Buffer.concat([Buffer.from(magic), ...parts, Buffer.from([255])]);
  return Buffer.concat([all, crc64Bytes(crc64(CRC64_START, all))]);
}

/** Everything found, with values copied at that moment. */
function walk(pieces: readonly Uint8Array[]): unknown[] {
  const walker = new RdbWalker();
  const seen = (item: RdbItem) =>
    item.kind === 'key' ? { ...item, value: Buffer.from(item.value).toString('hex') } : item;
  const found = pieces.flatMap((piece) => walker.push(piece).map(seen));
  return [...found, ...walker.end().map(seen), walker.version];
}

const opcodes = [
  bytes(250, [...text('redis-ver'), ...text('8.6.0')]),
  bytes(245, [...text('#!lua name=lib\n')]),
  bytes(247, 0x81, eight(7), [2, 1, 5, ...text('aux'), 0]),
  bytes(254, 3, 251, 10, 0x40, 200),
  bytes(244, [1, 2, 3]),
];
const keys = values.map(([name, type, value], index) =>
  bytes(
    ...(index % 2 === 0 ? [252, eight(1_700_000_000_000 + index)] : []),
    ...(index % 3 === 0 ? [248, 60] : []),
    ...(index % 5 === 0 ? [249, 255] : []),
    [type, ...text(name), ...value],
  ),
);
const whole = file(
  'REDIS0012',
  ...opcodes,
  ...keys,
  bytes(253, [1, 0, 0, 0], 0, [...text('last'), ...text('value')]),
);

describe('RdbWalker', () => {
  test('finds every key with its value, database and time to live, and functions', () => {
    const found = walk([whole]);
    assert.deepEqual(found.slice(0, 1), [{ kind: 'functions', code: '#!lua name=lib\n' }]);
    for (const [index, [name, type, value]] of values.entries()) {
      const expiresAt = index % 2 === 0 ? 1_700_000_000_000 + index : undefined;
      const wanted = { kind: 'key', db: 3, key: name, expiresAt, type, value: value.toString('hex') };
      assert.deepEqual(found[index + 1], wanted, name);
    }
    assert.deepEqual(found.slice(-2), [
      { kind: 'key', db: 3, key: 'last', expiresAt: 1000, type: 0, value: text('value').toString('hex') },
      12,
    ]);
  });

  test('finds the same wherever the bytes are cut', () => {
    // As text, because that compares a hundred times faster.
    const foundIn = (pieces: readonly Uint8Array[]) => JSON.stringify(walk(pieces));
    const found = foundIn([whole]);
    for (let cut = 0; cut <= whole.length; cut++)
      assert.equal(foundIn([whole.subarray(0, cut), whole.subarray(cut)]), found, `cut at ${cut}`);
    assert.equal(foundIn([...whole].map((byte) => Uint8Array.of(byte))), found);
  });

  test('throws if the file ends too early at any byte, or has bytes after its end', () => {
    for (let length = 0; length < whole.length; length++)
      assert.throws(() => walk([whole.subarray(0, length)]), RdbFault, `${length} bytes`);
    assert.throws(() => walk([whole, Buffer.from([0])]), RdbFault);
  });

  test('throws for a wrong checksum, and accepts 0 as none', () => {
    const changed = Buffer.from(whole);
    changed[12] = (changed[12] ?? 0) ^ 1;
    assert.throws(() => walk([changed]), RdbFault);
    assert.equal(walk([whole.subarray(0, -8), Buffer.alloc(8)]).length, walk([whole]).length);
  });

  test('reads the opcode and the hash that only Valkey has', () => {
    const value = bytes(2, [
      ...text('a'),
      ...text('b'),
      ...eight(-1),
      ...text('c'),
      ...text('d'),
      ...eight(99),
    ]);
    const slots = bytes(243, [...text('job'), 2, 0, 5, 7, 9]);
    const [key] = walk([file('VALKEY080', slots, bytes(22, [...text('key')], [...value]))]) as {
      value: string;
    }[];
    assert.equal(key?.value, value.toString('hex'));
  });

  test('reads keys that are numbers or packed', () => {
    const coded = [bytes(0xc0, 0xf9), bytes(0xc1, [0xd4, 0xfe]), bytes(0xc2, [0x70, 0x11, 1, 0])];
    coded.push(bytes(0xc3, 5, 20, [0, 97, 0xe0, 10, 0]));
    const found = walk([file('REDIS0009', ...coded.map((key) => bytes(0, [...key], [...text('v')])))]);
    assert.deepEqual(
      found.slice(0, 4).map((item) => (item as { key: string }).key),
      ['-7', '-300', '70000', 'a'.repeat(20)],
    );
    const broken = bytes(0, 0xc3, 4, 20, [0, 97, 0xe0, 10], [...text('v')]);
    assert.throws(() => walk([file('REDIS0009', broken)]), RdbFault);
  });

  test('names the key and the place of what it cannot read', () => {
    for (const type of [6, 8, 27, 99]) {
      const odd = file(
        'REDIS0012',
        bytes(0, [...text('key'), ...text('v')]),
        bytes(type, [...text('odd')], 0),
      );
      assert.throws(
        () => walk([odd]),
        (error) => error instanceof RdbFault && error.message.includes('"odd"') && error.offset > 9,
      );
    }
    for (const start of ['RUBBISH00', 'REDIS00x9', 'VALKEYxxx'])
      assert.throws(() => walk([Buffer.from(start)]), RdbFault);
    assert.throws(() => walk([file('REDIS0013', bytes(243, 0))]), RdbFault);
    assert.throws(
      () => walk([bytes('REDIS0009', 0, [...text('k')], 0x81, [1, 0, 0, 0, 0, 0, 0, 0])]),
      RdbFault,
    );
  });
});

test('`crc64()` is that of Redis, wherever the bytes are cut', () => {
  const digits = Buffer.from('123456789');
  assert.equal(
    Buffer.from(crc64Bytes(crc64(CRC64_START, digits)))
      .reverse()
      .toString('hex'),
    'e9c6d914c4b8d9ca',
  );
  for (let cut = 0; cut <= whole.length; cut++) {
    const parts = crc64(crc64(CRC64_START, whole.subarray(0, cut)), whole.subarray(cut));
    assert.deepEqual(crc64Bytes(parts), crc64Bytes(crc64(CRC64_START, whole)));
  }
});

test('`unpackLzf()` unpacks overlapping copies, and refuses what does not fit', () => {
  const unpacked = (packed: number[], length: number) => {
    const found = unpackLzf(Uint8Array.from(packed), length);
    return found && Buffer.from(found).toString();
  };
  assert.equal(unpacked([0, 97, 0xe0, 10, 0], 20), 'a'.repeat(20));
  assert.equal(unpacked([2, 97, 98, 99, 0x20, 2], 6), 'abcabc');
  for (const [packed, length] of [
    [[0, 97, 0xe0, 10, 0], 19],
    [[0, 97, 0xe0, 10, 0], 21],
    [[0, 97, 0x20, 5], 4],
    [[5, 97], 6],
    [[0], 1],
    [[0, 97], 1_000_000_000],
  ] as const)
    assert.equal(unpacked([...packed], length), undefined);
});

describe('dump', () => {
  test('`dumpOf()` is what DUMP gives', () => {
    // HSET h a 1; HPEXPIRE h 1000000 FIELDS 1 a; DUMP h, of Valkey 9.1
    const dump = '16010161c0016347f514a201000050005f3047b6c36266eb';
    const value = Buffer.from(dump, 'hex').subarray(1, -10);
    assert.equal(Buffer.from(dumpOf(0x16, value, 80), 'latin1').toString('hex'), dump);
    assert.equal(walk([file('VALKEY080', bytes(0x16, [...text('h')], [...value]))]).length, 2);
  });

  test('`sameValue()` is true whatever the order of members, but not of items', () => {
    const set = (...members: string[]) =>
      dumpOf(2, bytes(members.length, ...members.map((one) => [...text(one)])), 11);
    assert.equal(sameValue(set('a', 'b', 'c'), set('c', 'a', 'b')), true);
    assert.equal(sameValue(set('a', 'b'), set('a', 'c')), false);
    assert.equal(sameValue(set('a', 'a', 'b'), set('a', 'b', 'b')), false);
    const hash = (...parts: string[]) =>
      dumpOf(4, bytes(parts.length / 2, ...parts.map((one) => [...text(one)])), 11);
    assert.equal(sameValue(hash('a', '1', 'b', '2'), hash('b', '2', 'a', '1')), true);
    assert.equal(sameValue(hash('a', '1', 'b', '2'), hash('a', '2', 'b', '1')), false);
    const list = (...parts: string[]) =>
      dumpOf(1, bytes(parts.length, ...parts.map((one) => [...text(one)])), 11);
    assert.equal(sameValue(list('a', 'b'), list('b', 'a')), false);
  });
});
