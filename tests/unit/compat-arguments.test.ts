import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nodeIn, readAddress, readArguments } from '../../lib/cli/compat/arguments.ts';
import { compatArity, compatOptions } from '../../lib/cli/compat/options.ts';
import { UsageError } from '../../lib/cli/io.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

const NODE = '127.0.0.1:7000';

describe('readArguments()', () => {
  test('takes every option before and after --cluster alike', () => {
    for (const [name, { form, as }] of Object.entries(compatOptions)) {
      const option = form === 'flag' ? [name] : [name, form === 'word' ? '5' : 'a=1'];
      const before = readArguments([...option, '--cluster', 'check', NODE]);
      const after = readArguments(['--cluster', 'check', NODE, ...option]);
      assert.deepEqual(before, after, name);
      assert.deepEqual(after.words, [NODE], name);
      assert.deepEqual(after.values[as], form === 'flag' ? true : form === 'word' ? '5' : ['a=1'], name);
    }
  });

  test('takes many weights after one option, up to the first word without an equals sign', () => {
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

  test('refuses what redis-cli refuses, and repeats no value', () => {
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

  test('wants as many words as redis-cli', () => {
    for (const [command, { words, orMore }] of Object.entries(compatArity)) {
      const given = Array.from({ length: words }, () => NODE);
      assert.equal(readArguments(['--cluster', command, ...given]).command, command);
      if (words > 0)
        assert.throws(() => readArguments(['--cluster', command, ...given.slice(1)]), UsageError);
      if (!orMore) assert.throws(() => readArguments(['--cluster', command, ...given, NODE]), UsageError);
    }
  });

  test('reads a node in one word, in two, with its bus port, and as an IPv6 address without brackets', () => {
    assert.equal(nodeIn(['127.0.0.1', '7000']), NODE);
    assert.equal(readAddress('127.0.0.1:7000@17000'), '127.0.0.1:7000@17000');
    assert.equal(readAddress('::1:7000'), '[::1]:7000');
    assert.equal(readAddress('[::1]:7000'), '[::1]:7000');
    assert.equal(nodeIn(['::1', '7000']), '[::1]:7000');
    assert.equal(nodeIn(['[::1]', '7000']), '[::1]:7000');
    for (const text of ['nonsense', '127.0.0.1', 'a:0', 'a:70000', 'redis://a:1']) {
      assert.throws(() => readAddress(text), UsageError, text);
    }
    assert.deepEqual(readArguments(['-h', 'a', '-p', '1', '--cluster', 'check']).words, ['a:1']);
  });
});

test('-4 and -6 choose by which address a host name is reached, and no other', async () => {
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
    assert.ok(help.stdout.includes(`  ${name}`), name);
  }
  for (const argv of [['--cluster'], ['--cluster', 'check', 'nonsense'], ['--cluster', 'backup', NODE]]) {
    const { code, stdout, stderr } = await runMain(argv);
    assert.deepEqual([code, stdout], [2, ''], argv.join(' '));
    assert.notEqual(stderr, '');
  }
});
