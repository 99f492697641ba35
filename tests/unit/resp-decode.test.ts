import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import { Decoder, type DecoderOptions, ProtocolError, type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';

type Options = Omit<DecoderOptions, 'onReply'>;

function bytes(wire: string | Uint8Array): Buffer {
  return typeof wire === 'string' ? Buffer.from(wire) : Buffer.from(wire);
}

function decode(chunks: readonly Uint8Array[], options: Options = {}): Reply[] {
  const replies: Reply[] = [];
  const decoder = new Decoder({ ...options, onReply: (reply) => replies.push(reply) });
  for (const chunk of chunks) decoder.write(chunk);
  assert.equal(decoder.midReply, false);
  assert.equal(
    decoder.offset,
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
  return replies;
}

/** Every way to cut bytes into one, two or three chunks, including empty ones, and byte by byte. */
function* splits(wire: Buffer): Generator<Buffer[]> {
  for (let first = 0; first <= wire.length; first++) {
    for (let second = first; second <= wire.length; second++) {
      yield [wire.subarray(0, first), wire.subarray(first, second), wire.subarray(second)];
    }
  }
  yield Array.from(wire, (byte) => Buffer.from([byte]));
}

function error(message: string): ReplyError {
  return new ReplyError(message);
}

/** Errors are compared by class and text; their stacks differ. */
function plain(reply: Reply): unknown {
  if (reply instanceof ReplyError) return { error: reply.message, code: reply.code };
  return Array.isArray(reply) ? reply.map(plain) : reply;
}

function assertReplies(actual: readonly Reply[], expected: readonly Reply[]): void {
  assert.deepEqual(actual.map(plain), expected.map(plain));
}

const replies: readonly (readonly [name: string, wire: string | Uint8Array, ...replies: Reply[]])[] = [
  ['a simple string', '+PONG\r\n', 'PONG'],
  ['OK', '+OK\r\n', 'OK'],
  ['what only begins like OK', '+OKAY\r\n+O\r\n', 'OKAY', 'O'],
  ['an empty simple string', '+\r\n', ''],
  ['an error', '-ERR unknown command\r\n', error('ERR unknown command')],
  ['an error of one word', '-LOADING\r\n', error('LOADING')],
  ['an empty error', '-\r\n', error('')],
  ['integers', ':0\r\n:7\r\n:-1\r\n:1000\r\n', 0, 7, -1, 1000],
  [
    'the largest safe integers',
    ':9007199254740991\r\n:-9007199254740991\r\n',
    9007199254740991,
    -9007199254740991,
  ],
  [
    'integers beyond 2^53',
    ':9007199254740992\r\n:-9007199254740993\r\n',
    9007199254740992n,
    -9007199254740993n,
  ],
  [
    'the ends of int64',
    ':9223372036854775807\r\n:-9223372036854775808\r\n',
    9223372036854775807n,
    -9223372036854775808n,
  ],
  [
    'integers of 15 and 16 digits',
    ':999999999999999\r\n:1000000000000001\r\n',
    999999999999999,
    1000000000000001,
  ],
  ['a bulk string', '$5\r\nhello\r\n', 'hello'],
  ['an empty bulk string', '$0\r\n\r\n', ''],
  ['CRLF in a bulk string', '$6\r\na\r\n\r\nb\r\n', 'a\r\n\r\nb'],
  ['a nil bulk string', '$-1\r\n', null],
  ['a nil array', '*-1\r\n', null],
  ['an empty array', '*0\r\n', []],
  ['an array', '*3\r\n:1\r\n$1\r\na\r\n+b\r\n', [1, 'a', 'b']],
  ['nested arrays', '*2\r\n*2\r\n*0\r\n*1\r\n:1\r\n*-1\r\n', [[[], [1]], null]],
  ['an error in an array', '*2\r\n-ERR no\r\n$-1\r\n', [error('ERR no'), null]],
  ['a char of many bytes', '$4\r\n\u{1f600}\r\n+\u00e9\r\n$3\r\n\u20ac\r\n', '\u{1f600}', '\u00e9', '\u20ac'],
  [
    'replies one after another',
    '+OK\r\n:1\r\n$1\r\na\r\n*1\r\n:2\r\n-E\r\n+OK\r\n',
    'OK',
    1,
    'a',
    [2],
    error('E'),
    'OK',
  ],
];

describe('Decoder reads', () => {
  for (const [name, wire, ...expected] of replies) {
    test(`${name}, cut at every place`, () => {
      for (const chunks of splits(bytes(wire))) assertReplies(decode(chunks), expected);
    });
  }

  test('any byte in a bulk string, as a Buffer and as latin1', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    const wire = Buffer.concat([bytes('$256\r\n'), all, bytes('\r\n')]);
    for (let cut = 0; cut <= wire.length; cut++) {
      const chunks = [wire.subarray(0, cut), wire.subarray(cut)];
      assert.deepEqual(decode(chunks, { as: 'buffer' }), [all]);
      assert.deepEqual(decode(chunks, { encoding: 'latin1' }), [all.toString('latin1')]);
    }
  });

  test('short strings of high bytes as latin1', () => {
    assert.deepEqual(
      decode([Buffer.from('+\xff\xe9\r\n$2\r\n\x80\x7f\r\n', 'latin1')], { encoding: 'latin1' }),
      ['\xff\xe9', '\x80\x7f'],
    );
  });

  test('strings as Buffers, but nothing else', () => {
    const [reply] = decode([bytes('*5\r\n$1\r\na\r\n+OK\r\n:1\r\n$-1\r\n-ERR x\r\n')], { as: 'buffer' });
    assert.deepEqual(plain(reply as Reply), [
      Buffer.from('a'),
      Buffer.from('OK'),
      1,
      null,
      { error: 'ERR x', code: 'ERR' },
    ]);
  });

  test('each reply in the form set when it begins', () => {
    for (const chunks of splits(bytes('$1\r\na\r\n*2\r\n+b\r\n$1\r\nc\r\n$1\r\nd\r\n'))) {
      const seen: Reply[] = [];
      const decoder = new Decoder({
        onReply: (reply) => {
          seen.push(reply);
          decoder.as = seen.length === 1 ? 'buffer' : 'string';
        },
      });
      for (const chunk of chunks) decoder.write(chunk);
      assert.deepEqual(seen, ['a', [Buffer.from('b'), Buffer.from('c')], 'd']);
    }
  });

  test('a reply in the form with which it began', () => {
    for (const begun of ['$1\r\n', '$1\r\na', '$1\r\na\r', '*1\r\n', '*2\r\n:1\r\n']) {
      const rest =
        { '*1\r\n': '$1\r\na\r\n', '$1\r\n': 'a\r\n', '$1\r\na': '\r\n', '$1\r\na\r': '\n' }[begun] ??
        '$1\r\nb\r\n';
      const seen: Reply[] = [];
      const decoder = new Decoder({ as: 'buffer', onReply: (reply) => seen.push(reply) });
      decoder.write(bytes(begun));
      assert.equal(decoder.midReply, true);
      decoder.as = 'string';
      decoder.write(bytes(`${rest}$1\r\nz\r\n`));
      assert.equal(JSON.stringify(seen[0]).includes('Buffer'), true, begun);
      assert.equal(seen[1], 'z');
    }
  });

  test('Uint8Arrays that are not Buffers, at an offset', () => {
    const wire = bytes('xx$3\r\nabc\r\n');
    const array = new Uint8Array(wire);
    assert.deepEqual(decode([array.subarray(2, 7), array.subarray(7)]), ['abc']);
  });

  test('bulk strings that span many chunks', () => {
    const body = Buffer.alloc(300_000, 'abcdefg');
    const wire = Buffer.concat([bytes(`*2\r\n$${body.length}\r\n`), body, bytes('\r\n:1\r\n')]);
    for (const size of [1000, 4096, 65_536, wire.length]) {
      const chunks = [];
      for (let at = 0; at < wire.length; at += size) chunks.push(wire.subarray(at, at + size));
      assert.deepEqual(decode(chunks, { as: 'buffer' }), [[body, 1]]);
      assert.deepEqual(decode(chunks), [[body.toString(), 1]]);
    }
  });

  test('a Buffer reply into memory of its own when it spans chunks', () => {
    const wire = bytes('$6\r\nabcdef\r\n');
    const first = Buffer.from(wire.subarray(0, 7));
    const second = Buffer.from(wire.subarray(7));
    const [reply] = decode([first, second], { as: 'buffer' });
    first.fill(0);
    second.fill(0);
    assert.deepEqual(reply, Buffer.from('abcdef'));
  });

  test('a Buffer reply into memory of its own even when strings came before it', () => {
    const replies: Reply[] = [];
    const decoder = new Decoder({
      onReply: (reply) => {
        replies.push(reply);
        decoder.as = 'buffer';
      },
    });
    for (const chunk of ['$2\r\na', 'b\r\n$2\r\nc', 'd\r\n$2\r\ne', 'f\r\n']) decoder.write(bytes(chunk));
    assert.deepEqual(replies, ['ab', Buffer.from('cd'), Buffer.from('ef')]);
  });

  test('lines up to the limit, cut anywhere', () => {
    const line = 'x'.repeat(200);
    for (const chunks of splits(bytes(`+${line}\r\n`))) {
      assert.deepEqual(decode(chunks, { maxLineLength: 200 }), [line]);
    }
  });
});

type Fault = readonly [name: string, wire: string, code: string, options?: Options];

const faults: readonly Fault[] = [
  ['a bulk length below -1', '$-2\r\n', 'RESP_NUMBER'],
  ['an array length below -1', '*-5\r\n', 'RESP_NUMBER'],
  ['a bulk length of -10', '$-10\r\n', 'RESP_NUMBER'],
  ['a bulk length of -0', '$-0\r\n', 'RESP_NUMBER'],
  ['a bulk length with a plus', '$+3\r\n', 'RESP_NUMBER'],
  ['a bulk length without digits', '$\r\n', 'RESP_NUMBER'],
  ['an array length without digits', '*\r\n', 'RESP_NUMBER'],
  ['a bulk length with a letter', '$3a\r\n', 'RESP_NUMBER'],
  ['a bulk length with a space', '$ 3\r\n', 'RESP_NUMBER'],
  ['a bulk length with leading zeros', '$007\r\n', 'RESP_NUMBER'],
  ['an integer with a letter', ':12a\r\n', 'RESP_NUMBER'],
  ['an integer with a plus', ':+5\r\n', 'RESP_NUMBER'],
  ['an integer without digits', ':\r\n', 'RESP_NUMBER'],
  ['a lone minus', ':-\r\n', 'RESP_NUMBER'],
  ['minus nought', ':-0\r\n', 'RESP_NUMBER'],
  ['two minuses', ':--1\r\n', 'RESP_NUMBER'],
  ['an integer with leading zeros', ':01\r\n', 'RESP_NUMBER'],
  ['a decimal point', ':1.5\r\n', 'RESP_NUMBER'],
  ['an exponent', ':1e3\r\n', 'RESP_NUMBER'],
  ['2^63', ':9223372036854775808\r\n', 'RESP_NUMBER'],
  ['-2^63 - 1', ':-9223372036854775809\r\n', 'RESP_NUMBER'],
  ['an integer of 1000 digits', `:${'9'.repeat(1000)}\r\n`, 'RESP_NUMBER'],
  ['a bulk length of 1000 digits', `$${'9'.repeat(1000)}\r\n`, 'RESP_NUMBER'],
  ['an integer of 70 digits that does not end', `:${'9'.repeat(70)}`, 'RESP_NUMBER'],
  ['a bulk of more than 512 MB', '$536870913\r\n', 'RESP_LIMIT'],
  ['a bulk of 10^18 bytes', '$999999999999999999\r\n', 'RESP_LIMIT'],
  ['a bulk past the limit given', '$4\r\nabcd\r\n', 'RESP_LIMIT', { maxBulkLength: 3 }],
  ['an array of 2^32 elements', '*4294967296\r\n', 'RESP_LIMIT'],
  ['an array past the limit given', '*3\r\n', 'RESP_LIMIT', { maxArrayLength: 2 }],
  ['an array of more elements than are taken by default', '*16777217\r\n', 'RESP_LIMIT'],
  ['arrays of more elements together than given', '*2\r\n*2\r\n', 'RESP_LIMIT', { maxElements: 3 }],
  ['arrays past the depth given', '*1\r\n*1\r\n*1\r\n', 'RESP_LIMIT', { maxDepth: 2 }],
  ['a line past the limit given', '+abcdefgh\r\n', 'RESP_LIMIT', { maxLineLength: 4 }],
  ['an error past the limit given', '-abcdefgh\r\n', 'RESP_LIMIT', { maxLineLength: 4 }],
  ['an invalid type byte', 'x\r\n', 'RESP_TYPE'],
  ['a NUL', '\0\r\n', 'RESP_TYPE'],
  ['a CRLF between replies', '+OK\r\n\r\n', 'RESP_TYPE'],
  ['an inline answer', 'PONG\r\n', 'RESP_TYPE'],
  ['LF alone after a simple string', '+OK\n', 'RESP_TERMINATOR'],
  ['LF in a simple string', '+a\nb\r\n', 'RESP_TERMINATOR'],
  ['LF alone after an error', '-ERR\n', 'RESP_TERMINATOR'],
  ['LF alone after an integer', ':1\n', 'RESP_NUMBER'],
  ['LF alone after a length', '$1\na\r\n', 'RESP_NUMBER'],
  ['CR without LF after OK', '+OK\rX', 'RESP_TERMINATOR'],
  ['CR without LF in a simple string', '+a\rb\r\n', 'RESP_TERMINATOR'],
  ['CR without LF after an integer', ':1\rX', 'RESP_TERMINATOR'],
  ['CR without LF after a length', '$1\rXa\r\n', 'RESP_TERMINATOR'],
  ['two CRs', '+a\r\r\n', 'RESP_TERMINATOR'],
  ['a bulk longer than it says', '$3\r\nabcd\r\n', 'RESP_TERMINATOR'],
  ['a bulk shorter than it says', '$3\r\nab\r\n+OK\r\n', 'RESP_TERMINATOR'],
  ['a bulk that ends in LF CR', '$1\r\na\n\r', 'RESP_TERMINATOR'],
  ['a bulk that ends in CR only', '$1\r\na\rb', 'RESP_TERMINATOR'],
  ['a bulk whose CR is another byte, before there is more', '$2\r\nabc', 'RESP_TERMINATOR'],
  ['a CR in a long line, before its end', `+${'x'.repeat(90)}\ry`, 'RESP_TERMINATOR'],
  ['bytes after an empty bulk', '$0\r\nab', 'RESP_TERMINATOR'],
  ['a RESP3 push', '>2\r\n+a\r\n+b\r\n', 'RESP_RESP3'],
  ['a RESP3 push in an array', '*1\r\n>2\r\n', 'RESP_RESP3'],
  ...[...'_,#!=(%~|'].map((type): Fault => [`the RESP3 type ${type}`, `${type}1\r\n`, 'RESP_RESP3']),
];

function faultOf(chunks: readonly Uint8Array[], options?: Options): ProtocolError {
  const decoder = new Decoder({ ...options, onReply: () => {} });
  try {
    for (const chunk of chunks) decoder.write(chunk);
  } catch (fault) {
    assert.ok(fault instanceof ProtocolError);
    assert.throws(() => decoder.write(bytes('+OK\r\n')), fault, 'stays at fault');
    return fault;
  }
  throw new assert.AssertionError({ message: 'Expected a ProtocolError' });
}

describe('Decoder refuses', () => {
  for (const [name, wire, code, options] of faults) {
    test(name, () => {
      const all = bytes(wire);
      const { offset } = faultOf([all], options);
      assert.equal(faultOf([all], options).code, code);
      const halves = [all.subarray(0, 64), all.subarray(64)];
      for (const chunks of all.length < 100
        ? splits(all)
        : [halves, Array.from(all, (byte) => Buffer.from([byte]))]) {
        const fault = faultOf(chunks, options);
        assert.equal(fault.code, code);
        assert.equal(fault.offset, offset);
      }
    });
  }

  test('what follows a valid reply, which is delivered', () => {
    const seen: Reply[] = [];
    const decoder = new Decoder({ onReply: (reply) => seen.push(reply) });
    assert.throws(() => decoder.write(bytes('+OK\r\n:1\r\n?')), { code: 'RESP_TYPE', offset: 9 });
    assert.deepEqual(seen, ['OK', 1]);
  });

  test('with an offset that counts all chunks', () => {
    const decoder = new Decoder({ onReply: () => {} });
    decoder.write(bytes('+OK\r\n$3\r\nab'));
    assert.throws(() => decoder.write(bytes('cXY')), { code: 'RESP_TERMINATOR', offset: 12 });
  });

  test('HTTP and TLS by name', () => {
    assert.equal(faultOf([bytes('HTTP/1.1 400 Bad Request\r\n')]).code, 'RESP_HTTP');
    const alert = faultOf([Buffer.from([0x15, 3, 1, 0, 2, 2, 40])]);
    assert.equal(alert.code, 'RESP_TLS');
    assert.match(faultOf([bytes('>1\r\n')]).message, /RESP3/);
  });

  test('an endless line at the limit, in linear time', () => {
    const decoder = new Decoder({ onReply: () => {} });
    const chunk = Buffer.alloc(16, 'x');
    decoder.write(bytes('+'));
    let written = 0;
    assert.throws(
      () => {
        for (; written < 8_000_000; written += chunk.length) decoder.write(chunk);
      },
      { code: 'RESP_LIMIT' },
    );
    assert.ok(written <= 65_536 + chunk.length);
  });

  test('too much depth, without running out of stack', () => {
    assert.equal(faultOf([bytes('*1\r\n'.repeat(1_000_000))]).code, 'RESP_LIMIT');
    const deep = '*1\r\n'.repeat(128);
    assert.equal(JSON.stringify(decode([bytes(`${deep}:1\r\n`)])), `[${'['.repeat(128)}1${']'.repeat(128)}]`);
    assert.equal(faultOf([bytes(`${deep}*1\r\n:1\r\n`)]).code, 'RESP_LIMIT');
  });
});

describe('Decoder allocates nothing for the announcement of', () => {
  function heldBy(wire: string, options?: Options): number {
    const decoder = new Decoder({ ...options, onReply: () => {} });
    const before = process.memoryUsage().heapUsed;
    decoder.write(bytes(wire));
    assert.equal(decoder.midReply, true);
    return process.memoryUsage().heapUsed - before;
  }

  test('an array of 100 million or 2^32 - 1 elements', () => {
    const options = { maxElements: Number.POSITIVE_INFINITY };
    assert.ok(heldBy('*100000000\r\n', options) < 1_000_000);
    assert.ok(heldBy('*4294967295\r\n', options) < 1_000_000);
    assert.ok(heldBy('*16777216\r\n') < 1_000_000);
  });

  test('a thousand nested arrays of 30 million elements', () => {
    assert.ok(heldBy('*30000000\r\n'.repeat(1000), { maxDepth: 1000, maxElements: 1e12 }) < 40_000_000);
  });
});

describe('Decoder counts the bytes of a reply', () => {
  const decoderOf = (seen: Reply[]): Decoder =>
    new Decoder({ maxReplyLength: 10_000, onReply: (reply) => seen.push(reply) });

  for (const element of [
    '$1\r\na\r\n',
    `+${'x'.repeat(1000)}\r\n`,
    '*0\r\n',
    '*1\r\n:1\r\n',
    '-ERR no\r\n',
  ]) {
    test(`and ends an endless one of ${JSON.stringify(element.slice(0, 20))}`, () => {
      const decoder = decoderOf([]);
      decoder.write(bytes('*9999999\r\n'));
      let written = 0;
      const goOn = (): void => {
        for (; written < 100_000; written += element.length) decoder.write(bytes(element));
      };
      assert.throws(goOn, { name: 'ProtocolError', code: 'RESP_LIMIT', offset: 0 });
      assert.ok(written <= 10_000 + element.length, `${written} bytes`);
    });
  }

  test('again for each, even if every chunk ends within one', () => {
    const seen: Reply[] = [];
    const decoder = decoderOf(seen);
    const chunk = bytes('llo\r\n:1\r\n*2\r\n$5\r\nworld\r\n$5\r\nhe');
    decoder.write(bytes('$5\r\nhe'));
    for (let count = 0; count < 2000; count++) decoder.write(chunk);
    assert.equal(seen.length, 4000);
    assert.equal(decoder.midReply, true);
  });
});

describe('Decoder takes linear time for', () => {
  test('an array of 20,000 elements in chunks of 64 bytes', () => {
    const wire = bytes(`*20000\r\n${'$10\r\nabcdefghij\r\n'.repeat(20_000)}`);
    const chunks = [];
    for (let at = 0; at < wire.length; at += 64) chunks.push(wire.subarray(at, at + 64));
    const started = performance.now();
    assert.equal((decode(chunks)[0] as Reply[]).length, 20_000);
    assert.ok(performance.now() - started < 1000);
  });
});

describe('Decoder.write()', () => {
  test('refuses to be called from onReply', () => {
    const decoder = new Decoder({ onReply: () => decoder.write(bytes('+OK\r\n')) });
    assert.throws(() => decoder.write(bytes('+OK\r\n')), /from its onReply/);
  });

  test('stays unusable after onReply has thrown', () => {
    const boom = new Error('boom');
    const decoder = new Decoder({
      onReply: () => {
        throw boom;
      },
    });
    assert.throws(() => decoder.write(bytes('+OK\r\n')), boom);
    assert.throws(() => decoder.write(bytes('+OK\r\n')), boom);
  });
});

describe('ReplyError', () => {
  test('has a code, a name that is not enumerable, and no stack from the decoder', () => {
    const [reply] = decode([bytes('-MOVED 42 127.0.0.1:7000\r\n')]);
    assert.ok(reply instanceof ReplyError);
    assert.equal(reply.code, 'MOVED');
    assert.equal(reply.name, 'ReplyError');
    assert.deepEqual(Object.keys(reply), []);
    assert.equal(reply.stack, 'ReplyError: MOVED 42 127.0.0.1:7000');
    assert.notEqual(Error.stackTraceLimit, 0);
  });
});

const line = fc.string({ unit: 'binary' }).map((text) => text.replaceAll(/[\r\n]/g, ''));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const { reply: replyTree } = fc.letrec<{ reply: Reply }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc
      .oneof(int64, fc.maxSafeInteger().map(BigInt))
      .map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n)),
    fc.constant(null),
    line.map(error),
    fc.array(tie('reply'), { maxLength: 6 }),
  ),
}));

function toWire(reply: Reply): string {
  if (reply === null) return '$-1\r\n';
  if (typeof reply === 'number' || typeof reply === 'bigint') return `:${reply}\r\n`;
  if (reply instanceof ReplyError) return `-${reply.message}\r\n`;
  if (typeof reply === 'string') {
    // Strings are sent in both ways, depending on their content.
    if (reply.length % 2 === 0 && !/[\r\n]/.test(reply)) return `+${reply}\r\n`;
    return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`;
  }
  if (Buffer.isBuffer(reply)) throw new TypeError('Not generated');
  return `*${reply.length}\r\n${reply.map(toWire).join('')}`;
}

describe('Decoder, for any replies in any chunks,', () => {
  test('returns what was sent', () => {
    fc.assert(
      fc.property(fc.array(replyTree, { maxLength: 8 }), fc.array(fc.nat({ max: 40 })), (sent, cuts) => {
        const wire = bytes(sent.map(toWire).join(''));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(wire.subarray(at, at + cut));
          at += cut;
        }
        chunks.push(wire.subarray(at));
        const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        assert.equal(length, wire.length);
        assertReplies(decode(chunks), sent);
      }),
      { numRuns: 300 },
    );
  });

  test('reads a stream with a few changed, lost or added bytes as replies or a ProtocolError, wherever it is cut', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('set', 'drop', 'insert', 'repeat', 'cut'),
      byte: fc.oneof(fc.constantFrom(...Buffer.from('$*:+-\r\n0159 >%_')), fc.nat({ max: 255 })),
      length: fc.nat({ max: 12 }),
    });
    const apply = (
      wire: Buffer,
      { at, kind, byte, length }: { at: number; kind: string; byte: number; length: number },
    ) => {
      const place = wire.length === 0 ? 0 : at % wire.length;
      const [head, tail] = [wire.subarray(0, place), wire.subarray(place)];
      if (kind === 'set') return Buffer.concat([head, Buffer.from([byte]), tail.subarray(1)]);
      if (kind === 'insert') return Buffer.concat([head, Buffer.alloc(length, byte), tail]);
      if (kind === 'repeat') return Buffer.concat([head, tail.subarray(0, length), tail]);
      return kind === 'cut' ? head : Buffer.concat([head, tail.subarray(length)]);
    };
    const streams = fc.tuple(
      fc.array(replyTree, { minLength: 1, maxLength: 6 }),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat({ max: 30 }), { maxLength: 20 }),
    );
    const limits = { maxBulkLength: 5000, maxLineLength: 2000, maxElements: 5000, maxReplyLength: 20_000 };
    const read = (chunks: readonly Uint8Array[]): unknown => {
      const seen: Reply[] = [];
      const decoder = new Decoder({ ...limits, onReply: (reply) => seen.push(reply) });
      try {
        for (const chunk of chunks) decoder.write(chunk);
      } catch (fault) {
        if (!(fault instanceof ProtocolError)) throw fault;
        assert.throws(() => decoder.write(bytes('+OK\r\n')), fault);
        // Its type may depend on more than its first byte.
        const code = /TLS|HTTP/.test(fault.code) ? 'RESP_TYPE' : fault.code;
        return [seen.map(plain), code, fault.offset];
      }
      return [seen.map(plain), decoder.midReply];
    };
    fc.assert(
      fc.property(streams, ([sent, changes, cuts]) => {
        const wire = changes.reduce(apply, bytes(sent.map(toWire).join('')));
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) {
          chunks.push(wire.subarray(at, at + cut));
          at += cut;
        }
        chunks.push(wire.subarray(at));
        const whole = read([wire]);
        assert.deepEqual(read(chunks), whole);
        assert.deepEqual(read(Array.from(wire, (byte) => Buffer.from([byte]))), whole);
      }),
      { numRuns: 400 },
    );
  });

  test('throws nothing but a ProtocolError for any bytes', () => {
    const soup = fc.stringMatching(/^[$*:+\-0-9\r\nOKa]{0,60}$/);
    fc.assert(
      fc.property(soup, fc.nat({ max: 60 }), (wire, cut) => {
        const outcome = (chunks: readonly Uint8Array[]): unknown => {
          const seen: Reply[] = [];
          const decoder = new Decoder({ onReply: (reply) => seen.push(reply) });
          try {
            for (const chunk of chunks) decoder.write(chunk);
          } catch (fault) {
            assert.ok(fault instanceof ProtocolError);
            return [seen.map(plain), fault.code, fault.offset];
          }
          return [seen.map(plain), decoder.midReply];
        };
        const all = bytes(wire);
        const whole = outcome([all]);
        assert.deepEqual(outcome([all.subarray(0, cut), all.subarray(cut)]), whole);
        assert.deepEqual(outcome(Array.from(all, (byte) => Buffer.from([byte]))), whole);
      }),
      { numRuns: 500 },
    );
  });
});
