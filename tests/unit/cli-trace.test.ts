import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sentLines } from '../../lib/cli/sent-lines.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

const shown = (...command: (string | number | Uint8Array)[]): string =>
  (sentLines(0, 'a:1', [command], 'hunter2')[0] ?? '').split('  ').slice(2).join('  ');

describe('sentLines()', () => {
  test('say when a command was sent, where and what', () => {
    assert.deepEqual(
      sentLines(12.34, '[::1]:7000', [
        ['CLUSTER', 'NODES'],
        ['SET', 'a key', 1],
      ]),
      ['+0.0123 s  [::1]:7000  CLUSTER NODES', '+0.0123 s  [::1]:7000  SET "a key" 1'],
    );
  });

  test('hide what may be a password', () => {
    for (const [command, text] of [
      [['AUTH', 'pw'], 'AUTH ***'],
      [['auth', 'me', 'pw'], 'auth *** ***'],
      [['HELLO', 2, 'AUTH', 'me', 'pw', 'SETNAME', 'x'], 'HELLO 2 AUTH *** *** SETNAME x'],
      [
        ['MIGRATE', 'h', 1, '', 0, 9, 'REPLACE', 'AUTH', 'pw', 'KEYS', 'AUTH', 'b'],
        'MIGRATE h 1 "" 0 9 REPLACE AUTH *** KEYS AUTH b',
      ],
      [
        ['MIGRATE', 'h', 1, '', 0, 9, 'AUTH2', 'me', 'pw', 'KEYS', 'a'],
        'MIGRATE h 1 "" 0 9 AUTH2 *** *** KEYS a',
      ],
      [['MIGRATE', 'h', 1, '', 0, 9, 'KEYS', 'AUTH', 'b'], 'MIGRATE h 1 "" 0 9 KEYS AUTH b'],
      [
        ['CONFIG', 'SET', 'masterauth', 'pw', 'maxmemory', 5, 'requirepass', 'pw'],
        'CONFIG SET masterauth *** maxmemory 5 requirepass ***',
      ],
      [['ACL', 'SETUSER', 'me', 'on', '>pw'], 'ACL SETUSER me *** ***'],
      [['SET', 'key', 'hunter2'], 'SET key ***'],
    ] as const) {
      assert.equal(shown(...command), text);
    }
  });

  test('are short, however long the command and however many are sent at once', () => {
    assert.equal(shown('SET', 'k', 'x'.repeat(100)), `SET k ${'x'.repeat(48)}…`);
    assert.match(shown('DEL', ...Array.from({ length: 100 }, (_, index) => index)), / 14 \(85 more\)$/);
    const many = sentLines(
      0,
      'a:1',
      Array.from({ length: 16384 }, () => ['PING']),
    );
    assert.deepEqual([many.length, many.at(-1)], [21, '+0.0000 s  a:1  and 16364 more']);
    assert.equal(shown('RESTORE', 'k', 0, Uint8Array.of(0, 255)), 'RESTORE k 0 "\\u0000\ufffd"');
  });
});

test('`--trace` prints what is sent on stderr, without the password, and not on stdout', async () => {
  await using server = await startMadeUp(() => '-ERR no\r\n');
  const { code, stdout, stderr } = await runMain(['list', server.address, '--trace', '-a', 'hunter2']);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^\+0\.\d{4} s {2}127\.0\.0\.1:\d+ {2}AUTH \*\*\*$/m);
  assert.doesNotMatch(stderr, /hunter2/);
});
