import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SyncPayload } from '../../lib/rdb/sync-payload.ts';

const MARK = 'f6d2a81b07c93e5548d0b1a6f7e2390c4d85ab16';

/** The payload of bytes that arrive in these pieces. */
function receive(pieces: readonly string[]) {
  const payload = new SyncPayload();
  const taken = pieces.flatMap((piece) => payload.push(Buffer.from(piece, 'latin1')));
  return { payload, snapshot: Buffer.concat(taken).toString('latin1') };
}

/** The text cut in two at every byte, and into single bytes. */
function splits(text: string): string[][] {
  return [...Array.from({ length: text.length }, (_, at) => [text.slice(0, at), text.slice(at)]), [...text]];
}

describe('SyncPayload', () => {
  // The beginning of the mark occurs within the snapshot, and right before the mark.
  const snapshot = `REDIS0011\r\n$5\n-ERR${MARK.slice(0, 39)}\xff\x00${MARK.slice(0, 16)}`;

  for (const [name, head, tail] of [
    ['a length', `$${snapshot.length}\r\n`, ''],
    ['a length, and the stream of commands after it', `\n\n$${snapshot.length}\r\n`, '*1\r\n$4\r\nPING\r\n'],
    ['a mark', `$EOF:${MARK}\r\n`, MARK],
    ['a mark after newlines', `\n\n\n$EOF:${MARK}\r\n`, `${MARK}*1\r\n$4\r\nPING\r\n`],
  ] as const) {
    test(`reads ${name}, wherever the bytes are cut`, () => {
      const text = head + snapshot + tail;
      for (const pieces of splits(text)) {
        const { payload, snapshot: read } = receive(pieces);
        assert.equal(read, snapshot);
        assert.equal(payload.isWhole, true);
        assert.equal(payload.bytes, head.includes('EOF') ? undefined : snapshot.length);
      }
    });

    test(`is not complete before the last byte of ${name}`, () => {
      const text = head + snapshot + (head.includes('EOF') ? MARK : '');
      for (let length = 0; length < text.length; length++) {
        const { payload, snapshot: read } = receive([text.slice(0, length)]);
        assert.equal(payload.isWhole, false);
        assert.ok(snapshot.startsWith(read));
      }
    });
  }

  test('reports a refusal, and does not treat anything after it as a snapshot', () => {
    for (const pieces of splits('\n-LOADING it is loading\r\n$3\r\nabc')) {
      const { payload, snapshot: read } = receive(pieces);
      assert.deepEqual([payload.refusal, payload.isWhole, read], ['LOADING it is loading', false, '']);
    }
  });

  test('throws for anything that does not announce a snapshot', () => {
    const wrong = [
      '+OK\r\n',
      '$-1\r\n',
      '$\r\n',
      '$12a\r\n',
      `$${'9'.repeat(16)}\r\n`,
      '$EOF:short\r\n',
      'x'.repeat(2000),
    ];
    for (const text of wrong) assert.throws(() => receive([text]), TypeError, text);
  });
});
