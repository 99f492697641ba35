import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodedValue } from '../../lib/copy/parts/decoded-value.ts';
import { type PartKind, partKindOf } from '../../lib/copy/parts/part-kinds.ts';
import { isPartName, keyThatLeaves, leavingName, partName } from '../../lib/copy/parts/part-name.ts';
import type { PartSource } from '../../lib/copy/parts/read-parts.ts';
import { sameInParts } from '../../lib/copy/parts/same-in-parts.ts';
import { addEntries, flatEntries, idAfter } from '../../lib/copy/parts/stream-entries.ts';
import { type StreamTail, tailCommands, writeTail } from '../../lib/copy/parts/stream-tail.ts';
import type { UnfinishedKey } from '../../lib/copy/parts/unfinished-key.ts';
import { slotOfKey } from '../../lib/model/slot.ts';
import { RdbBytes } from '../../lib/rdb/rdb-bytes.ts';
import { readStream } from '../../lib/rdb/stream-value.ts';
import type { Value } from '../../lib/rdb/value.ts';
import type { Command } from '../../resp/index.ts';
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
        const leaving = leavingName(one);
        assert.equal(slotOfKey(leaving), slotOfKey(one));
        assert.deepEqual([leaving, name, one].map(keyThatLeaves), [one, undefined, undefined]);
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

/** By group: the last id, and by entry who has it pending. */
type Groups = Record<string, { readonly lastId: string; readonly pending: Record<string, string> }>;

const PLAIN = { noNullPrototype: true };
const groups: fc.Arbitrary<Groups> = fc.dictionary(
  fc.constantFrom('one', 'two', 'three'),
  fc.record(
    {
      lastId: fc.constantFrom('1-0', '2-0'),
      pending: fc.dictionary(
        fc.constantFrom('1-0', '2-0', '9-0', '10-0', '11-1'),
        fc.constantFrom('a', 'b'),
        PLAIN,
      ),
    },
    PLAIN,
  ),
  PLAIN,
);

function tailOf(of: Groups, pageLength: number): StreamTail {
  const rowsOf = (name: string) =>
    Object.entries(of[name]?.pending ?? {})
      .map(([id, consumer]) => ({ id, consumer, at: 0, deliveries: 1 }))
      .sort((a, b) => Number(a.id.split('-')[0]) - Number(b.id.split('-')[0]));
  return {
    facts: {
      ...{ lastId: '20-0', counts: undefined, isBeyondCommands: false },
      groups: Object.entries(of).map(([name, { lastId, pending }]) => ({
        ...{ name, lastId, read: null },
        consumers: ['a', 'b'].flatMap((consumer): [string, number][] => {
          const count = Object.values(pending).filter((one) => one === consumer).length;
          return count > 0 ? [[consumer, count]] : [];
        }),
      })),
    },
    pending: async function* ({ name }) {
      const rows = rowsOf(name);
      for (let from = 0; from < rows.length; from += pageLength)
        yield { rows: rows.slice(from, from + pageLength), delivered: () => ['IDLE', 0] };
    },
  };
}

describe('tailCommands()', () => {
  test('gives a stream the groups of another, whatever it has', async () => {
    const all = fc.asyncProperty(
      groups,
      groups,
      fc.integer({ min: 1, max: 4 }),
      async (wanted, has, length) => {
        const found = new Map(
          Object.entries(has).map(([name, { lastId, pending }]) => [
            name,
            { lastId, pending: new Map(Object.entries(pending)) },
          ]),
        );
        for await (const commands of tailCommands('s', tailOf(wanted, length), true, tailOf(has, length))) {
          for (const [name, ...words] of commands) {
            const [first = '', second = '', third = '', ...ids] = words.map(String);
            const pending =
              found.get(name === 'XGROUP' ? third : second)?.pending ?? new Map<string, string>();
            if (name === 'XGROUP' && first === 'CREATE')
              found.set(third, { lastId: String(ids[0]), pending: new Map() });
            else if (name === 'XGROUP' && first === 'DESTROY') assert.ok(found.delete(third));
            else if (name === 'XGROUP' && first === 'SETID')
              found.set(third, { pending, lastId: String(ids[0]) });
            else if (name === 'XGROUP') assert.ok(![...pending.values()].includes(String(ids[0])));
            else if (name === 'XACK') for (const id of [third, ...ids]) assert.ok(pending.delete(id));
            else if (name === 'XCLAIM')
              for (const id of ids.slice(1, ids.indexOf('IDLE'))) pending.set(id, third);
            else assert.equal(name, 'XSETID');
          }
        }
        const left = [...found].map(([name, { lastId, pending }]) => [
          name,
          { lastId, pending: Object.fromEntries(pending) },
        ]);
        assert.deepEqual(Object.fromEntries(left), wanted);
      },
    );
    await fc.assert(all);
  });
});

describe('decodedValue()', () => {
  const scoreOf = (score: number): string => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(score);
    return bytes.toString('latin1');
  };
  async function all(value: Value) {
    const decoded = decodedValue(value, Date.now());
    assert.ok(decoded);
    const elements: string[] = [];
    const times = new Map<string, number>();
    let count = 0;
    for await (const part of decoded.parts()) {
      assert.equal(part.from, `${count}`);
      assert.ok(part.bytes <= 512 * 1024 || part.count === 1);
      if (value.kind === 'hash') assert.ok(await decoded.holds(part));
      count += part.count;
      elements.push(...part.elements);
      for (const [field, time] of part.times) times.set(field, time);
    }
    assert.equal(count, decoded.length);
    return { elements, times };
  }
  const many = Array.from({ length: 12_345 }, (_, index) => `${index}`);

  test('gives all of a value, in parts', async () => {
    const text = many.join('');
    assert.equal((await all({ kind: 'string', text: text.repeat(30) })).elements.join(''), text.repeat(30));
    assert.deepEqual((await all({ kind: 'list', items: [...many, text.repeat(20)] })).elements, [
      ...many,
      text.repeat(20),
    ]);
    assert.deepEqual((await all({ kind: 'set', members: many })).elements, many);
    assert.deepEqual((await all({ kind: 'list', items: [] })).elements, []);
  });

  test('gives members in the order of servers, with scores to the bit', async () => {
    fc.assert(
      await fc.asyncProperty(fc.array(fc.double({ noNaN: true })), async (scores) => {
        const members = scores.map((score, index) => ({ member: `${index}`, score: scoreOf(score) }));
        const { elements } = await all({ kind: 'zset', members });
        const found = elements.flatMap((text, at) =>
          at % 2 ? [Number(text.replace('inf', 'Infinity'))] : [],
        );
        for (const [at, score] of found.entries()) {
          assert.ok(at === 0 || (found[at - 1] ?? 0) <= score);
          assert.ok(Object.is(score, scores[Number(elements[2 * at])]));
        }
      }),
    );
  });

  test('gives fields when they expire, and leaves out those that have', async () => {
    const later = Date.now() + 60_000;
    const fields = [
      { field: 'a', value: '1', expiresAt: later },
      { field: 'b', value: '2', expiresAt: 1 },
      { field: 'c', value: '3', expiresAt: undefined },
    ];
    const { elements, times } = await all({ kind: 'hash', fields });
    assert.deepEqual([elements, [...times]], [['a', '1', 'c', '3'], [['a', later]]]);
    const part = { elements: ['a', '1'], count: 1, bytes: 2, from: '0', next: undefined };
    const { holds } = decodedValue({ kind: 'hash', fields }, Date.now()) ?? assert.fail();
    assert.equal(await holds({ ...part, times }), true);
    assert.equal(await holds({ ...part, times: new Map() }), false);
    assert.equal(await holds({ ...part, times, elements: ['a', '2'] }), false);
  });
});

describe('decodedValue() of a stream', () => {
  const most = 'ff'.repeat(8);
  const id = (sequence: number): string => `${'00'.repeat(8)}${sequence.toString(16).padStart(16, '0')}`;
  const [listpack, time] = [
    '1d 1d000000 0a00 0101 0001 0101 8166 02 0001 0201 0001 0001 8176 02 0401 ff',
    'eeeef524a2010000',
  ];
  /** As Redis 8.6 writes it: one node with the entry 0-1, a group with entries pending, and producers. */
  const stream = (pending = id(1), producers = '00', limits = '4064 4064'): Value => {
    const groups = `01 0167 00 01 81${most} 01 ${pending} ${time} 07 02 0161 ${time} ${time} 00 0163 ${time} ${time} 01 ${pending}`;
    const text = `01 10 ${id(1)} ${listpack} 02 81${most} 81${most} 00 01 00 03 05 ${groups} ${limits} ${producers} 0000`;
    const bytes = new RdbBytes();
    bytes.add(Buffer.from(text.replaceAll(' ', ''), 'hex'));
    return readStream(bytes, 4);
  };
  const tailOf = async (value: Value) => (await decodedValue(value, 0)?.tail?.()) ?? assert.fail();

  test('gives its entries, from an id on, and how many there are', async () => {
    const { length, parts } = decodedValue(stream(), 0) ?? assert.fail();
    const found = [];
    for await (const { elements, from, count } of parts()) found.push([elements, from, count]);
    assert.deepEqual([length, found], [2, [[['0-1', '2', 'f', 'v'], '0-1', 1]]]);
  });

  test('has the commands that write the rest, with numbers as they are', async () => {
    const sent: Command[] = [];
    const tell: UnfinishedKey['tell'] = async (commands, onReplies) => {
      for await (const some of commands('name')) {
        sent.push(...some);
        onReplies(
          some,
          some.map(([word]) => (word === 'XCLAIM' ? ['0-1'] : 'OK')),
        );
      }
    };
    const tail = await tailOf(stream());
    assert.equal(await writeTail({ tell } as UnfinishedKey, tail, true), true);
    const last = '18446744073709551615-18446744073709551615';
    assert.deepEqual(sent, [
      ['XSETID', 'name', last, 'ENTRIESADDED', 5, 'MAXDELETEDID', '0-3'],
      ['XGROUP', 'CREATE', 'name', 'g', '0-1'],
      ['XREADGROUP', 'GROUP', 'g', 'a', 'STREAMS', 'name', '0'],
      ['XCLAIM', 'name', 'g', 'c', '0', '0-1', 'TIME', 1_795_916_426_990, 'RETRYCOUNT', 7, 'FORCE', 'JUSTID'],
    ]);
  });

  test('says what commands cannot write', async () => {
    const beyond = async (value: Value) => (await tailOf(value)).facts.isBeyondCommands;
    const producer = '01 0170 00';
    const values = [stream(), stream(id(0)), stream(id(1), producer), stream(id(1), '00', '412c 4064')];
    assert.deepEqual(await Promise.all(values.map(beyond)), [false, true, true, true]);
  });
});

describe('sameInParts()', () => {
  const zset = (score: string): PartSource => ({
    ...{ key: 'key', length: 1, bytes: 10, mayExpire: false },
    kind: partKindOf('zset') as PartKind,
    ask: async () => [['member', score]],
  });
  const rows: readonly [one: string, other: string, isSame: boolean][] = [
    ['inf', 'inf', true],
    ['inf', '-inf', false],
    ['-inf', '1', false],
    ['0', '-0', false],
    ['0.10000000000000001', '0.1', true],
    ['1e+21', '1e21', true],
  ];
  for (const [one, other, isSame] of rows)
    test(`of the scores ${one} and ${other}: ${isSame ? 'the same' : 'others'}`, async () =>
      assert.equal(await sameInParts(zset(one), zset(other)), isSame));
});

describe('entries of streams', () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

  test('the id after one is the next larger', () => {
    fc.assert(
      fc.property(number, number, (ms, sequence) => {
        const [next, after] = (idAfter(`${ms}-${sequence}`) ?? '0-0').split('-').map(BigInt);
        assert.equal(((next ?? 0n) << 64n) + (after ?? 0n), ((ms << 64n) + sequence + 1n) % (1n << 128n));
      }),
    );
    assert.equal(idAfter('18446744073709551615-18446744073709551615'), undefined);
  });

  test('are added as they were listed', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.tuple(bytes, bytes), { minLength: 1, maxLength: 3 })), (entries) => {
        const listed = entries.map((fields, index) => [`${index}-1`, fields.flat()]);
        assert.deepEqual(
          addEntries('key', flatEntries(listed) ?? []),
          listed.map(([id, fields]) => ['XADD', 'key', id, ...(fields ?? [])]),
        );
      }),
    );
    for (const other of [null, 'x', [1], [['1-1', null]]]) assert.equal(flatEntries(other), undefined);
  });
});
