import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChangedKeys } from '../../lib/copy/follow/changed-keys.ts';
import { CommandStream } from '../../lib/copy/follow/command-stream.ts';
import { PsyncReply } from '../../lib/copy/follow/psync-reply.ts';
import { fc } from '../helpers/properties.ts';

const encode = (words: readonly string[]): Buffer =>
  Buffer.from(
    `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
    'latin1',
  );

interface Seen {
  readonly words: readonly string[];
  readonly offset: number;
}

function read(chunks: Iterable<Uint8Array>, isWanted = (_: readonly string[]) => false, from = 0): Seen[] {
  const seen: Seen[] = [];
  const stream = new CommandStream(from, {
    isWanted,
    onCommand: (words, offset) => seen.push({ words: [...words], offset }),
  });
  for (const chunk of chunks) stream.push(chunk);
  return seen;
}

function* cut(bytes: Buffer, ...places: readonly number[]): Generator<Buffer> {
  let from = 0;
  for (const place of [...places.map((one) => one % (bytes.length + 1)), bytes.length].sort(
    (a, b) => a - b,
  )) {
    yield bytes.subarray(from, place);
    from = place;
  }
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((some) => Buffer.from(some).toString('latin1'));
const command = fc.array(bytes, { minLength: 1, maxLength: 8 });

describe('CommandStream', () => {
  test('reads commands of any bytes, however they are cut, and where each ends', () => {
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 8 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        fc.nat(1_000_000),
        (commands, places, from) => {
          const pieces = commands.map(encode);
          const seen = read(cut(Buffer.concat(pieces), ...places), undefined, from);
          let offset = from;
          const wanted = commands.map((words, index) => {
            offset += pieces[index]?.length ?? 0;
            return { words, offset };
          });
          assert.deepEqual(seen, wanted);
        },
      ),
    );
  });

  test('lets long arguments pass that are not wanted, and keeps those that are', () => {
    const [long, key] = ['v'.repeat(3_000_000), 'k'.repeat(100_000)];
    const whole = Buffer.concat([encode(['SET', key, long]), encode(['DEL', 'a'])]);
    const chunks = Array.from({ length: Math.ceil(whole.length / 65_536) }, (_, index) =>
      whole.subarray(index * 65_536, (index + 1) * 65_536),
    );
    const [first, second] = read(chunks, ({ length }) => length === 1);
    assert.deepEqual([first?.words[0], first?.words[1] === key, first?.words[2]], ['SET', true, '']);
    assert.deepEqual(second, { words: ['DEL', 'a'], offset: whole.length });
  });

  for (const [what, text] of [
    ['an inline command', 'PING\r\n'],
    ['an empty line', '\r\n'],
    ['a reply', '+OK\r\n'],
    ['an error', '-ERR x\r\n'],
    ['no argument', '*0\r\n'],
    ['less than no argument', '*-1\r\n'],
    ['a number with a sign', '*+1\r\n'],
    ['a leading zero', '*01\r\n'],
    ['letters', '*1a\r\n'],
    ['no carriage return', '*1\n'],
    ['too many arguments', '*1048577\r\n'],
    ['null', '*1\r\n$-1\r\n'],
    ['a nested list', '*1\r\n*1\r\n'],
    ['too long an argument', '*1\r\n$2147483648\r\n'],
    ['an endless number', `*${'1'.repeat(100)}`],
    ['an argument longer than announced', '*1\r\n$1\r\nab\r\n'],
    ['an argument that ends with another byte', '*1\r\n$1\r\na\n\r\n'],
  ] as const) {
    test(`throws a TypeError for ${what}`, () => {
      assert.throws(() => read([Buffer.from(text, 'latin1')]), TypeError);
      assert.throws(() => read(cut(Buffer.from(text, 'latin1'), ...text.split('').keys())), TypeError);
    });
  }

  test('holds out against random bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(command, { maxLength: 3 }),
        (noise, commands) => {
          try {
            read([Buffer.concat([...commands.map(encode), Buffer.from(noise)])]);
          } catch (error) {
            assert.ok(error instanceof TypeError);
          }
        },
      ),
    );
  });
});

describe('PsyncReply', () => {
  const id = 'a'.repeat(40);
  for (const [line, wanted] of [
    [`+FULLRESYNC ${id} 15`, { kind: 'full', id, offset: 15 }],
    ['+CONTINUE', { kind: 'continues', id: undefined }],
    [`+CONTINUE ${id}`, { kind: 'continues', id }],
    ['-NOMASTERLINK Can not SYNC', { kind: 'refused', message: 'NOMASTERLINK Can not SYNC' }],
  ] as const) {
    test(`reads ${line.slice(0, 12)}, however it is cut, and leaves what comes after`, () => {
      const all = Buffer.from(`\n\r\n${line}\r\n*1\r\n`, 'latin1');
      for (const place of all.keys()) {
        const reply = new PsyncReply();
        const [head, tail] = [all.subarray(0, place), all.subarray(place)];
        const found = reply.push(head);
        const { answer, rest } = found ?? reply.push(tail) ?? assert.fail('no answer');
        assert.deepEqual(answer, wanted);
        assert.equal(Buffer.concat([rest, found ? tail : Buffer.alloc(0)]).toString(), '*1\r\n');
      }
    });
  }

  test('throws a TypeError for anything else', () => {
    for (const line of [
      '+OK',
      '$5',
      '+FULLRESYNC x 1',
      `+FULLRESYNC ${id}`,
      `+FULLRESYNC ${id} -1`,
      'x'.repeat(2000),
    ])
      assert.throws(() => new PsyncReply().push(Buffer.from(`${line}\r\n`)), TypeError, line);
  });
});

describe('ChangedKeys', () => {
  test('gives out each key once, oldest first, and not while it is being copied', () => {
    let now = 0;
    const changed = new ChangedKeys(100, () => now);
    for (const key of ['a', 'b', 'a', 'c']) {
      changed.add(0, key);
      now += 10;
    }
    assert.deepEqual([changed.size, changed.behindMs, changed.seen], [3, 40, 4]);
    const lot = changed.take(2);
    assert.deepEqual(lot, { db: 0, keys: ['a', 'b'] });
    changed.add(0, 'a');
    assert.deepEqual(changed.take(9), { db: 0, keys: ['c'] });
    assert.equal(changed.take(9), undefined, 'a is being copied');
    assert.equal(changed.behindMs, 40);
    assert.ok(lot);
    changed.done(lot, ['b']);
    assert.deepEqual(changed.take(9), { db: 0, keys: ['a', 'b'] });
  });

  test('gives out the oldest of all databases first, however much one of them is written', () => {
    let now = 0;
    const changed = new ChangedKeys(100, () => now++);
    changed.add(0, 'a');
    changed.add(3, 'a');
    for (const key of ['b', 'c']) changed.add(0, key);
    const first = changed.take(2);
    assert.deepEqual(first, { db: 0, keys: ['a', 'b'] });
    assert.ok(first);
    changed.done(first);
    for (const key of ['a', 'b']) changed.add(0, key);
    assert.deepEqual(changed.take(2), { db: 3, keys: ['a'] });
    assert.deepEqual(changed.take(2), { db: 0, keys: ['c', 'a'] });
  });

  test('leaves alone what another copies', () => {
    const changed = new ChangedKeys();
    const lot = { db: 0, keys: ['a', 'a'] };
    changed.hold(lot);
    for (const key of ['a', 'b']) changed.add(0, key);
    changed.add(1, 'a');
    assert.deepEqual(changed.take(9)?.keys, ['b']);
    assert.deepEqual(changed.take(9), { db: 1, keys: ['a'] });
    changed.release(lot);
    assert.deepEqual(changed.take(9), { db: 0, keys: ['a'] });
  });

  test('says that names were lost if there are too many', () => {
    const changed = new ChangedKeys(4);
    for (const key of ['a', 'b', 'c']) changed.add(0, key);
    assert.deepEqual([changed.isHalfFull, changed.isFull], [true, false]);
    for (const key of ['d', 'e']) changed.add(0, key);
    assert.deepEqual([changed.isFull, changed.size], [true, 0]);
    assert.deepEqual([changed.takeFull(), changed.isFull], [true, false]);
    changed.add(0, 'k'.repeat(17 * 1024 * 1024));
    assert.equal(changed.isFull, true);
  });

  test('loses no change, whatever comes between', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), key: fc.constantFrom('a', 'b', 'c') }),
      fc.record({
        do: fc.constantFrom('take' as const, 'done' as const, 'fail' as const),
        key: fc.constant(''),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const changed = new ChangedKeys();
        // By key: the version at the source, and the one that was read last.
        const [versions, copied] = [new Map<string, number>(), new Map<string, number>()];
        const out: {
          readonly lot: { db: number; keys: readonly string[] };
          readonly read: Map<string, number>;
        }[] = [];
        const finish = (fails: boolean): void => {
          const one = out.shift();
          if (!one) return;
          if (!fails) for (const [key, version] of one.read) copied.set(key, version);
          changed.done(one.lot, fails ? one.lot.keys : []);
        };
        const take = (): boolean => {
          const lot = changed.take(2);
          if (lot) out.push({ lot, read: new Map(lot.keys.map((key) => [key, versions.get(key) ?? 0])) });
          return lot !== undefined;
        };
        for (const { do: act, key } of steps) {
          if (act === 'add') {
            versions.set(key, (versions.get(key) ?? 0) + 1);
            changed.add(0, key);
          } else if (act === 'take') take();
          else finish(act === 'fail');
        }
        for (let more = true; more; ) {
          while (out.length > 0) finish(false);
          more = take();
        }
        assert.deepEqual(copied.size === 0 ? new Map() : copied, versions.size === 0 ? new Map() : versions);
        assert.equal(changed.size, 0);
      }),
    );
  });
});
