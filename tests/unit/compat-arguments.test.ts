import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeIn, readAddress, readArguments } from '../../lib/cli/compat/arguments.ts';
import { atof } from '../../lib/cli/compat/numbers.ts';
import { compatArity, compatOptions } from '../../lib/cli/compat/options.ts';
import { UsageError } from '../../lib/cli/io.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

const NODE = '127.0.0.1:7000';

describe('readArguments()', () => {
  test('accepts every option before and after --cluster', () => {
    for (const [name, { form, as }] of Object.entries(compatOptions)) {
      const option = form === 'flag' ? [name] : [name, form === 'word' ? '5' : 'a=1'];
      const before = readArguments([...option, '--cluster', 'check', NODE]);
      const after = readArguments(['--cluster', 'check', NODE, ...option]);
      assert.deepEqual(before, after, name);
      assert.deepEqual(after.words, [NODE], name);
      assert.deepEqual(after.values[as], form === 'flag' ? true : form === 'word' ? '5' : ['a=1'], name);
    }
  });

  test('takes all weights after one option, up to the first word without an equals sign', () => {
    const { values, words } = readArguments([
      '--cluster',
      'rebalance',
      '--cluster-weight',
      'a=1',
      'b=2',
      NODE,
    ]);
    assert.deepEqual([values.weight, words], [['a=1', 'b=2'], [NODE]]);
  });

  test('refuses what redis-cli refuses, without repeating values', () => {
    for (const argv of [
      ['--cluster'],
      ['--cluster', 'nonsense', NODE],
      ['--cluster', 'check', NODE, '--nonsense'],
      ['--cluster', 'check', NODE, '--cluster-timeout'],
      ['--cluster', 'call', NODE, 'get', '-1'],
      ['--cluster', 'rebalance', NODE, '--cluster-weight', 'a=1', '--cluster-weight', 'b=1'],
      ['--cluster', 'check', NODE, '--cluster', 'info', NODE],
    ]) {
      assert.throws(() => readArguments(argv), UsageError, argv.join(' '));
    }
    assert.throws(
      () => readArguments(['--cluster', 'check', NODE, '--secret=hunter2']),
      (error: Error) => !error.message.includes('hunter2'),
    );
  });

  test('needs as many words as redis-cli', () => {
    for (const [command, { words, orMore }] of Object.entries(compatArity)) {
      const given = Array.from({ length: words }, () => NODE);
      assert.equal(readArguments(['--cluster', command, ...given]).command, command);
      if (words > 0)
        assert.throws(() => readArguments(['--cluster', command, ...given.slice(1)]), UsageError);
      if (!orMore) assert.throws(() => readArguments(['--cluster', command, ...given, NODE]), UsageError);
    }
  });

  test('reads a node in one word or two, with a bus port, or as an IPv6 address without brackets', () => {
    assert.equal(nodeIn(['127.0.0.1', '7000']), NODE);
    assert.equal(readAddress('127.0.0.1:7000@17000'), '127.0.0.1:7000@17000');
    assert.equal(readAddress('::1:7000'), '[::1]:7000');
    assert.equal(readAddress('[::1]:7000'), '[::1]:7000');
    assert.equal(nodeIn(['::1', '7000']), '[::1]:7000');
    assert.equal(nodeIn(['[::1]', '7000']), '[::1]:7000');
    for (const text of ['nonsense', '127.0.0.1', ':7000', 'a:0', 'a:70000', `${NODE}${NODE}`, `${NODE}\r`]) {
      assert.throws(
        () => readAddress(text),
        (error: Error) => error instanceof UsageError && error.message.includes(`"${text}"`),
        text,
      );
    }
    assert.throws(
      () => readAddress('redis://secret@a:1'),
      (error: Error) => error instanceof UsageError && !error.message.includes('secret'),
    );
    assert.deepEqual(readArguments(['-h', 'a', '-p', '1', '--cluster', 'check']).words, ['a:1']);
  });
});

describe('atof()', () => {
  for (const [text, value] of [
    ['2', 2],
    ['.5', 0.5],
    ['2.', 2],
    ['1e1', 10],
    ['1e', 1],
    ['0x1p3', 8],
    ['0x.8', 0.5],
    ['0x', 0],
    [' +3x', 3],
    ['-1', -1],
    ['abc', 0],
    ['', 0],
    ['inf', Number.POSITIVE_INFINITY],
    ['nan', Number.NaN],
  ] as const) {
    test(`reads "${text}" as C does`, () => assert.equal(atof(text), value));
  }

  test('is as exact as redis-cli', () => assert.equal(atof('.01'), Math.fround(0.01)));
});

test('a user without a password does nothing, as in redis-cli', async () => {
  await using server = await startMadeUp(() => '-ERR not today\r\n');
  const words = ['--user', 'me', '--cluster', 'info', `127.0.0.1:${server.port}`];
  await runMain(words);
  assert.ok(!server.commands.some(([name]) => name === 'AUTH' || name === 'HELLO'));
  await runMain(['-a', 'secret', ...words]);
  assert.ok(server.commands.some(([name, user]) => name === 'AUTH' && user === 'me'));
});

test('-4 and -6 choose the address family of a host name', async () => {
  await using server = await startMadeUp(() => '-ERR not today\r\n');
  for (const [options, isReached] of [
    [['-6'], false],
    [['-4'], true],
    [['-4', '-6'], true],
    [[], true],
  ] as const) {
    const before = server.commands.length;
    const { code, stderr } = await runMain([...options, '--cluster', 'info', `localhost:${server.port}`]);
    assert.equal(code, 1);
    assert.equal(server.commands.length > before, isReached, `${options.join(' ')}: ${stderr}`);
  }
});

test('--cluster help prints help and ends with 0, wrong usage with 2', async () => {
  const help = await runMain(['--cluster', 'help']);
  assert.deepEqual([help.code, help.stderr], [0, '']);
  for (const name of [...Object.keys(compatArity), ...Object.keys(compatOptions)]) {
    assert.match(help.stdout, new RegExp(` ${name}(?![\\w-])`), name);
  }
  for (const argv of [['--cluster'], ['--cluster', 'check', 'nonsense'], ['--cluster', 'backup', NODE]]) {
    const { code, stdout, stderr } = await runMain(argv);
    assert.deepEqual([code, stdout], [2, ''], argv.join(' '));
    assert.notEqual(stderr, '');
  }
});
