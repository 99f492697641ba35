import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import {
  type Argument,
  type Command,
  Decoder,
  type Encoded,
  type Encoding,
  encodeCommand,
  encodeCommands,
  prepareCommands,
} from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';

function toBuffer(encoded: Encoded): Buffer {
  const pieces = typeof encoded === 'string' ? [encoded] : encoded;
  return Buffer.concat(
    pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)),
  );
}

/** The words of the commands as a server would read them: a command is an array of bulk strings. */
function readBack(wire: Buffer): Buffer[][] {
  const commands: Buffer[][] = [];
  const decoder = new Decoder({ as: 'buffer', onReply: (reply) => commands.push(reply as Buffer[]) });
  decoder.write(wire);
  assert.equal(decoder.midReply, false);
  return commands;
}

function bytesOf(argument: Argument, encoding: Encoding): Buffer {
  if (typeof argument === 'string') return Buffer.from(argument, encoding);
  return argument instanceof Uint8Array ? Buffer.from(argument) : Buffer.from(String(argument));
}

describe('encodeCommand()', () => {
  test('gives a string if there are no long byte arrays', () => {
    assert.equal(encodeCommand(['PING']), '*1\r\n$4\r\nPING\r\n');
    assert.equal(
      encodeCommand(['SET', 'a', Buffer.from([0, 255])]),
      '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\0\xff\r\n',
    );
  });

  test('writes numbers as decimal text', () => {
    assert.equal(
      encodeCommand(['X', 16383, -1, 1.5, 2n ** 63n]),
      '*5\r\n$1\r\nX\r\n$5\r\n16383\r\n$2\r\n-1\r\n$3\r\n1.5\r\n$19\r\n9223372036854775808\r\n',
    );
  });

  test('counts bytes, not chars, in utf8', () => {
    assert.equal(
      toBuffer(encodeCommand(['GET', '\u20ac'])).toString(),
      '*2\r\n$3\r\nGET\r\n$3\r\n\u20ac\r\n',
    );
  });

  test('writes a lone surrogate as U+FFFD, with its right length', () => {
    assert.deepEqual(readBack(toBuffer(encodeCommand(['\ud83d', '\ude00']))), [
      [Buffer.from('\ufffd'), Buffer.from('\ufffd')],
    ]);
  });

  test('writes one byte for each char in latin1', () => {
    assert.deepEqual(readBack(toBuffer(encodeCommand(['GET', '\xe9\xff\0'], 'latin1'))), [
      [Buffer.from('GET'), Buffer.from([0xe9, 0xff, 0])],
    ]);
  });

  test('accepts empty arguments', () => {
    assert.equal(encodeCommand(['', new Uint8Array()]), '*2\r\n$0\r\n\r\n$0\r\n\r\n');
  });

  test('accepts views of larger buffers', () => {
    const array = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
    assert.equal(encodeCommand([array]), '*1\r\n$2\r\n\x02\x03\r\n');
  });

  test('does not copy long byte arrays', () => {
    const body = Buffer.alloc(100_000, 7);
    const encoded = encodeCommand(['SET', 'k', body, 'EX', 5]);
    assert.ok(Array.isArray(encoded));
    assert.equal(encoded.length, 3);
    assert.equal((encoded[1] as Buffer).buffer, body.buffer);
    assert.deepEqual(readBack(toBuffer(encoded)), [
      ['SET', 'k', body, 'EX', '5'].map((word) => Buffer.from(word)),
    ]);
  });

  test('refuses a char above 0xff in latin1, before and after a long byte array', () => {
    const code = { name: 'TypeError' };
    assert.throws(() => encodeCommand(['GET', 'a\u0100'], 'latin1'), code);
    assert.throws(() => encodeCommand(['\u20ac', Buffer.alloc(5000), 'a'], 'latin1'), code);
    assert.throws(() => encodeCommand(['a', Buffer.alloc(5000), '\u20ac'], 'latin1'), code);
    const wide = '\u20ac\xff'.slice(1);
    assert.equal(encodeCommand([wide], 'latin1'), '*1\r\n$1\r\n\xff\r\n');
  });

  test('refuses an empty command, which no server answers', () => {
    assert.throws(() => encodeCommand([]), TypeError);
  });

  test('refuses anything that is not an argument, and names its place but not its value', () => {
    for (const wrong of [undefined, null, {}, [], true, Symbol('s'), new Uint16Array(1), () => {}]) {
      assert.throws(() => encodeCommand(['SET', 'k', wrong as unknown as Argument]), {
        name: 'TypeError',
      });
    }
  });

  test('encodes ADDSLOTS of a third of all slots', () => {
    const command: Command = ['CLUSTER', 'ADDSLOTS', ...Array.from({ length: 5461 }, (_, slot) => slot)];
    assert.equal(readBack(toBuffer(encodeCommand(command)))[0]?.length, 5463);
  });
});

describe('prepareCommands()', () => {
  test('copies byte arrays, long ones and short', () => {
    const [short, long] = [Buffer.from('before'), Buffer.alloc(5000, 'before')];
    const { bytes } = prepareCommands([['SET', short, long]]);
    const before = Buffer.from(bytes);
    short.fill('x');
    long.fill('x');
    assert.deepEqual(bytes, before);
  });

  test('refuses what cannot be encoded', () => {
    assert.throws(() => prepareCommands([['PING'], []]), TypeError);
  });
});

describe('encodeCommands()', () => {
  test('joins the pieces of all commands', () => {
    const body = Buffer.alloc(5000, 1);
    const commands: Command[] = [['PING'], ['SET', 'a', body], ['SET', 'b', body], ['PING']];
    const encoded = encodeCommands(commands);
    assert.equal(encoded.length, 5);
    assert.deepEqual(
      toBuffer(encoded),
      Buffer.concat(commands.map((command) => toBuffer(encodeCommand(command)))),
    );
    assert.equal(encodeCommands([['PING'], ['PING']]), '*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n');
    assert.equal(encodeCommands([]), '');
  });

  for (const encoding of ['utf8', 'latin1'] as const) {
    test(`can be read back for any arguments in ${encoding}`, () => {
      const text =
        encoding === 'utf8'
          ? fc.string({ unit: 'binary' })
          : fc.uint8Array().map((a) => Buffer.from(a).toString('latin1'));
      const argument = fc.oneof(
        text,
        fc.integer(),
        fc.bigInt(),
        fc.uint8Array({ maxLength: 5000, size: 'max' }),
      );
      fc.assert(
        fc.property(
          fc.array(fc.array(argument, { minLength: 1, maxLength: 8 }), { maxLength: 5 }),
          (commands) => {
            const encoded = toBuffer(encodeCommands(commands, encoding));
            assert.deepEqual(
              readBack(encoded),
              commands.map((command) => command.map((argument) => bytesOf(argument, encoding))),
            );
            assert.deepEqual(prepareCommands(commands, encoding), { commands, bytes: encoded });
          },
        ),
      );
    });
  }
});
