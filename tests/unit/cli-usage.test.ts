import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';

// Nothing listens on port 1: a command line that is understood ends there, with exit code 1 and not 2.
const NODE = '127.0.0.1:1';
const remote = commands.filter(({ isLocal }) => !isLocal);
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

const dir = mkdtempSync(join(tmpdir(), 'redis-trib-cli-'));
after(() => rmSync(dir, { recursive: true }));
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

// Of a cluster that nobody answers for.
const alone = { id: '0'.repeat(40), address: NODE };
const before = [{ ...alone, role: 'master', configEpoch: 1, slots: [[0, 16383]] }];
const planFile = fileOf(
  'plan.json',
  JSON.stringify({
    version: 1,
    operation: 'shutdown',
    steps: [{ type: 'reset', node: alone }],
    masters: [],
    before,
  }),
);

// A backup of nothing.
const backupFolder = join(dir, 'a-backup');
mkdirSync(backupFolder);
const empty = 'REDIS0009\xff\0\0\0\0\0\0\0\0';
writeFileSync(join(backupFolder, 'a.rdb'), empty, 'latin1');
const sha256 = createHash('sha256').update(empty, 'latin1').digest('hex');
const saved = {
  id: '',
  address: NODE,
  slots: '0-16383',
  server: '',
  file: 'a.rdb',
  bytes: empty.length,
  sha256,
};
writeFileSync(
  join(backupFolder, 'manifest.json'),
  JSON.stringify({ version: 1, date: '', problems: [], masters: [saved] }),
);

/** Wrong usage: code 2, nothing on stdout, a line that says what and a line that says where to look. */
function assertUsage(ran: Ran, what: RegExp, help = ''): void {
  assert.deepEqual([ran.code, ran.stdout], [2, ''], ran.stderr);
  assert.match(ran.stderr, what);
  assert.equal(ran.stderr.split('\n').length, 3, `two lines: ${ran.stderr}`);
  assert.ok(ran.stderr.endsWith(`\nSee: redis-trib ${help}${help && ' '}--help\n`), ran.stderr);
  assert.doesNotMatch(ran.stderr, /^ +at /m, 'no stack trace');
}

function assertUnderstood(ran: Ran): void {
  assert.equal(ran.code, 1, ran.stderr);
  assert.equal(ran.stdout, '');
  assert.match(ran.stderr, /^Error: Cannot connect to 127\.0\.0\.1:\d+: .*\nNext: .*\n$/);
}

/** Arguments that a command takes, none of which anybody answers. */
function argumentsOf(name: string): string[] {
  const least = commands.find((command) => command.name === name)?.arity[0] ?? 0;
  const words = [NODE, '127.0.0.1:2', '3'].slice(0, least);
  if (commands.find((command) => command.name === name)?.usage === 'FILE') return [planFile];
  if (name === 'set_timeout') return [NODE, '5000'];
  if (name === 'del_node' || name === 'drain') return [NODE, 'abcdef'];
  return name === 'execute' || name === 'call' ? [NODE, 'PING'] : words;
}

/** Options without which a command asks, or is not understood, where there is no terminal. */
function optionsOf(name: string): string[] {
  const asks = commands.find((command) => command.name === name)?.asks === true ? ['--yes'] : [];
  if (name === 'import') return ['--yes', '--from', NODE];
  if (name === 'restore') return ['--yes', '--dir', backupFolder];
  if (name === 'backup') return ['--dir', join(dir, 'backup')];
  return name === 'reshard' ? [...asks, '--from', 'all', '--to', NODE, '--slots', '1'] : asks;
}

describe('help', () => {
  test('`--help`, `-h` and `help` show every command, on stdout', async () => {
    for (const word of ['--help', '-h', 'help']) {
      const { code, stdout, stderr } = await runMain([word]);
      assert.deepEqual([code, stderr], [0, '']);
      for (const { name, usage, summary } of commands) {
        const line = stdout.split('\n').find((text) => text.startsWith(`  ${name} `));
        assert.ok(line?.startsWith(`  ${name} ${usage} `) && line.endsWith(` ${summary}`), name);
      }
      assert.match(stdout, /Exit codes: 0 .*, 1 .*, 2 .*, 130 /);
    }
  });

  test('without a command the same is shown, on stderr, as wrong usage', async () => {
    const { code, stdout, stderr } = await runMain([]);
    assert.deepEqual([code, stdout], [2, '']);
    assert.equal(stderr, (await runMain(['--help'])).stdout);
  });

  for (const { name, usage, example, flags = {} } of commands) {
    test(`\`${name}\` has help with its usage, its options and an example`, async () => {
      const { code, stdout, stderr } = await runMain([name, '--help']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(stdout.startsWith(`${`Usage: redis-trib ${name} [OPTION...] ${usage}`.trimEnd()}\n`));
      assert.ok(stdout.includes(`\nExample:\n  redis-trib ${name} ${example}\n`));
      for (const flag of [...Object.keys(flags), 'json', 'user', 'tls']) {
        assert.match(stdout, new RegExp(`--${flag}\\b`));
      }
      for (const words of [
        ['help', name],
        [name, '-h'],
        ['help', name.replaceAll('_', '-')],
      ]) {
        assert.equal((await runMain(words)).stdout, stdout);
      }
    });

    if (!remote.some((command) => command.name === name)) continue;
    test(`the example of \`${name}\` is understood`, async () => {
      const words = usage === 'FILE' ? [planFile] : example.split(' ');
      const gone = AbortSignal.abort(new Error('Not today'));
      const { code } = await runMain([name, ...words], { signal: gone, canAsk: () => true });
      assert.equal(code, 130);
    });
  }

  test('no line of help is wider than 120 characters', async () => {
    const texts = await Promise.all(
      [[], ...commands.map(({ name }) => [name])].map((words) => runMain([...words, '--help'])),
    );
    for (const line of texts.flatMap(({ stdout }) => stdout.split('\n'))) assert.ok(line.length <= 120, line);
  });

  test('help of a command that does not exist is wrong usage', async () => {
    assertUsage(await runMain(['help', 'frob']), /^Unknown command: "frob"$/m);
  });
});

describe('version', () => {
  test("`--version` and `-V` show the package's version", async () => {
    for (const word of ['--version', '-V']) {
      assert.deepEqual(await runMain([word]), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
    }
  });
});

describe('wrong usage', () => {
  test('a command that does not exist', async () => {
    assertUsage(await runMain(['frob', NODE]), /^Unknown command: "frob"$/m);
    assertUsage(await runMain(['', NODE]), /^Unknown command: ""$/m);
    assertUsage(await runMain(['toString']), /^Unknown command: "toString"$/m);
  });

  test('what may have been meant, and nothing where nothing is near', async () => {
    for (const [words, meant] of [
      [['reblance', NODE], 'rebalance'],
      [['delnode', NODE], 'del_node'],
      [['help', 'migrate'], 'migrate_slots'],
      [['rebalance', NODE, '--use-empty'], '--use-empty-masters'],
      [['rebalance', NODE, '--cluster-weight', 'a=2'], '--weight'],
      [['rebalance', NODE, '--treshold=3'], '--threshold'],
      [['check', NODE, '--verbose'], undefined],
      [['check', NODE, '--c'], undefined],
      [['zzz', NODE], undefined],
    ] as const) {
      const { code, stderr } = await runMain(words);
      assert.deepEqual([code, /\nDid you mean (\S+)\? See: /.exec(stderr)?.[1]], [2, meant], words.join(' '));
    }
  });

  test('an option before the command, whose value is not repeated', async () => {
    assertUsage(await runMain(['--tls', 'list', NODE]), /^The command comes before its options: "--tls"$/m);
    for (const word of ['--pass=hunter2', '-ahunter2']) {
      const ran = await runMain([word, 'list', NODE]);
      assertUsage(ran, /^The command comes before its options: "(--pass|-a)"$/m);
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  for (const { name, arity, isLocal } of commands) {
    const words = argumentsOf(name);
    test(`\`${name}\`: an option that does not exist`, async () => {
      assertUsage(await runMain([name, '--xyzzy', ...words]), /^Unknown option '--xyzzy'$/m, name);
      assertUsage(await runMain([name, '-z', ...words]), /^Unknown option '-z'$/m, name);
    });

    test(`\`${name}\`: too few arguments, or too many`, async () => {
      const usage = `expected ${commands.find((command) => command.name === name)?.usage}`;
      if (words.length > 0) {
        const few = await runMain([name, ...words.slice(0, -1)]);
        assertUsage(few, new RegExp(`^Too few arguments for ${name}: expected `), name);
        assert.ok(few.stderr.includes(usage));
        assertUsage(await runMain([name]), /^Too few arguments/, name);
      }
      if (arity[1] === Number.POSITIVE_INFINITY) return;
      assertUsage(
        await runMain([name, ...words, NODE]),
        new RegExp(`^Too many arguments for ${name}: `),
        name,
      );
    });

    test(`\`${name}\`: what is no address`, async () => {
      for (const [index, word] of words.entries()) {
        if (isLocal || word === planFile || !word.includes(':')) continue;
        for (const wrong of [
          'nonsense',
          'host:',
          ':7000',
          'host:0',
          'host:65536',
          'host:7000x',
          '[]:7000',
          'a b:1',
          '',
        ]) {
          const ran = await runMain([name, ...words.with(index, wrong)]);
          assertUsage(ran, /^Not an address: "/, name);
          assert.ok(ran.stderr.includes(`"${wrong}" (expected host:port)`), ran.stderr);
        }
      }
    });
  }

  test('a URL, which is not repeated because it may hold a password', async () => {
    for (const url of [
      'redis://:hunter2@127.0.0.1:7000',
      'redis://127.0.0.1:7000',
      'me:hunter2@127.0.0.1:7000',
    ]) {
      const ran = await runMain(['list', url]);
      assertUsage(ran, /^Not an address: write host:port, no URL$/m, 'list');
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  test('what is no slot', async () => {
    for (const wrong of ['x', '16384', '-5', '5-', '7-4', '1.5', '0,2', '', '0-16384', '1e3', '0x10']) {
      const ran = await runMain(['migrate_slots', NODE, '127.0.0.1:2', '0', '--', wrong]);
      assertUsage(ran, /^Not a slot or slot range: "/, 'migrate_slots');
      assert.ok(ran.stderr.includes(`"${wrong}" (slots are 0 to 16383)`));
    }
  });

  test('what is no number', async () => {
    for (const flag of [
      'timeout',
      'agree-timeout',
      'connect-timeout',
      'command-timeout',
      'max-stall',
      'concurrency',
      'max-keys-per-second',
      'atomic-timeout',
    ]) {
      for (const wrong of ['ten', '', '0', '1.5', '1e3', '5s', '99999999999', ' 5']) {
        const ran = await runMain(['join', NODE, '127.0.0.1:2', `--${flag}=${wrong}`]);
        assertUsage(ran, new RegExp(`^Not a number from 1 up for --${flag}: "${wrong}"$`, 'm'), 'join');
      }
    }
    assertUsage(
      await runMain(['start', NODE, '--max-slots', '0']),
      /^Not a number .* --max-slots: "0"$/m,
      'start',
    );
  });

  test('what is no size', async () => {
    for (const flag of ['max-bytes-per-second', 'big-keys']) {
      for (const wrong of ['ten', '', '0', '0mb', '1.5mb', '1e3', '5tb', '10 mb', 'mb', '99999999999gb']) {
        const ran = await runMain(['join', NODE, '127.0.0.1:2', `--${flag}=${wrong}`]);
        assertUsage(ran, new RegExp(`^Not a size for --${flag}: "${wrong}" \\(write `, 'm'), 'join');
      }
    }
  });

  test('a method that does not exist, and limits on one that has none', async () => {
    const join = ['join', NODE, '127.0.0.1:2'];
    assertUsage(await runMain([...join, '--method=magic']), /^Not a method: "magic" \(expected /m, 'join');
    for (const limit of ['--max-keys-per-second=5', '--max-bytes-per-second=5mb']) {
      const ran = await runMain([...join, '--method=atomic', limit]);
      assertUsage(ran, /^--method atomic and --max-(keys|bytes)-per-second do not go together: /m, 'join');
      assertUnderstood(await runMain([...join, '--method=migrate', limit]));
      assertUnderstood(await runMain([...join, limit]));
    }
  });

  test('an option without its value, or with one it does not take', async () => {
    assertUsage(
      await runMain(['list', NODE, '--user']),
      /^Option '--user <value>' argument missing$/m,
      'list',
    );
    assertUsage(
      await runMain(['list', NODE, '-a']),
      /^Option '-a, --pass <value>' argument missing$/m,
      'list',
    );
    assertUsage(
      await runMain(['list', NODE, '--json=1']),
      /^Option '--json' does not take an argument$/m,
      'list',
    );
  });

  test('a password that starts with a dash: says how to write it', async () => {
    const ran = await runMain(['list', NODE, '-a', '-hunter2']);
    assertUsage(ran, /is ambiguous: for a value that starts with a dash write --pass=VALUE$/m, 'list');
    assert.doesNotMatch(ran.stderr, /hunter2/);
    assertUnderstood(await runMain(['list', NODE, '--pass=-hunter2']));
  });

  test('an option of another command', async () => {
    for (const words of [
      ['list', '--dry-run', NODE],
      ['check', '--dry-run', NODE],
      ['join_no_load', '--timeout=5', NODE, '127.0.0.1:2'],
      ['list', '--force', NODE],
      ['start', '--method=atomic', NODE],
    ]) {
      assertUsage(await runMain(words), /^Unknown option '--/, words[0]);
    }
  });

  test('`--user` without a password', async () => {
    assertUsage(await runMain(['list', NODE, '--user', 'me']), /^--user needs a password: /, 'list');
    assertUnderstood(await runMain(['list', NODE, '--user', 'me'], { env: { REDISCLI_AUTH: 'hunter2' } }));
  });

  test('options of TLS without --tls, and halves of pairs', async () => {
    const pem = fileOf('any.pem', 'nothing');
    for (const [flag, value] of Object.entries({ cacert: pem, cert: pem, key: pem, sni: 'name' })) {
      assertUsage(
        await runMain(['list', NODE, `--${flag}`, value]),
        new RegExp(`^--${flag} needs --tls$`, 'm'),
        'list',
      );
    }
    assertUsage(await runMain(['list', NODE, '--insecure']), /^--insecure needs --tls$/m, 'list');
    for (const flag of ['cert', 'key']) {
      const ran = await runMain(['list', NODE, '--tls', `--${flag}`, pem]);
      assertUsage(ran, /^--cert and --key go together$/m, 'list');
    }
  });

  test('files that are not there, or hold something else', async () => {
    const missing = join(dir, 'missing');
    for (const words of [
      ['--pass-file', missing],
      ['--tls', '--cacert', missing],
      ['--tls', '--cert', missing, '--key', missing],
    ]) {
      assertUsage(await runMain(['list', NODE, ...words]), /^Cannot read the file of --\S+: ENOENT/, 'list');
    }
    assertUsage(
      await runMain(['list', NODE, '--pass-file', dir]),
      /^Cannot read the file of --pass-file: EISDIR/,
      'list',
    );
    const other = fileOf('other.pem', 'hunter2');
    for (const words of [
      ['--cacert', other],
      ['--cert', other, '--key', other],
    ]) {
      const ran = await runMain(['list', NODE, '--tls', ...words]);
      assertUsage(ran, /^Cannot use the files of --cacert, --cert and --key: /, 'list');
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  test('with --json is one document as well', async () => {
    for (const [words, command] of [
      [['list', '--json', 'nonsense'], 'list'],
      [['join', '--json'], 'join'],
      [['migrate-slots', '--json', NODE, NODE, 'x'], 'migrate_slots'],
      [['frob', '--json'], null],
    ] as const) {
      const { code, stdout, stderr } = await runMain(words);
      const { version, ok, error, ...rest } = JSON.parse(stdout);
      assert.deepEqual([code, version, ok, rest.command], [2, 1, false, command]);
      assert.equal(error.code, 'USAGE');
      assert.equal(stderr, `${error.message}\n${error.hint}\n`);
    }
  });
});

describe('arguments', () => {
  test('dashes and underscores are the same in the name of a command', async () => {
    for (const name of ['migrate-slots', 'migrate_slots']) {
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2', '0', '4-7']));
    }
    for (const name of ['join-no-load', 'join_no_load'])
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2']));
    for (const name of ['start-multi', 'start_multi'])
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2']));
  });

  test('options stand before, between and after the arguments', async () => {
    const options = ['--dry-run', '--timeout', '500', '--user', 'me', '-a', 'hunter2', '-y'];
    for (const words of [
      [...options, NODE, '127.0.0.1:2'],
      [NODE, ...options, '127.0.0.1:2'],
      [NODE, '127.0.0.1:2', ...options],
    ]) {
      assertUnderstood(await runMain(['join', ...words]));
    }
  });

  test('`--yes` and `-y` are taken by every command', async () => {
    for (const { name } of remote) {
      for (const flag of ['--yes', '-y'])
        assertUnderstood(await runMain([name, flag, ...optionsOf(name), ...argumentsOf(name)]));
    }
  });

  test('`--force` is taken by every command that changes a cluster', async () => {
    for (const { name, flags = {} } of commands) {
      // It writes keys, as any client does, and is in nobody's way
      if ('dry-run' in flags && !['import', 'restore'].includes(name))
        assertUnderstood(await runMain([name, '--force', ...optionsOf(name), ...argumentsOf(name)]));
      else assert.ok(!('force' in flags) || name === 'backup');
    }
  });

  test('`execute` leaves the dashes of its command to the command', async () => {
    for (const words of [
      [NODE, 'CLIENT', 'KILL', '--help', '-x', '--json'],
      ['--master-only', NODE, 'SET', 'key', '-1'],
      [NODE, '--slave-only', 'SET', 'key', '--'],
      ['-a', 'hunter2', NODE, 'GET', '-a'],
      [NODE, '--', '--xyzzy'],
      ['--', NODE, 'GET', '-h'],
    ]) {
      assertUnderstood(await runMain(['execute', ...words]));
    }
    assertUsage(
      await runMain(['execute', NODE, '--xyzzy', 'PING']),
      /^Unknown option '--xyzzy'$/m,
      'execute',
    );
    assert.equal((await runMain(['execute', '--help', NODE, 'PING'])).code, 0);
  });

  test('IPv6 is written with brackets', async () => {
    const { code, stderr } = await runMain(['list', '[::1]:1']);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: Cannot connect to \[::1\]:1: /);
  });
});

describe('password', () => {
  test('`--askpass` asks; where that cannot be done, or is cut short, it ends without a stack trace', async () => {
    const asked: string[] = [];
    const askSecret = async (prompt: string) => {
      asked.push(prompt);
      return 'hunter2';
    };
    assertUnderstood(await runMain(['list', '--askpass', NODE], { askSecret }));
    assert.deepEqual(asked, ['Password: ']);

    const stop = new AbortController();
    const ran = await runMain(['list', '--askpass', NODE], {
      signal: stop.signal,
      askSecret: async () => {
        stop.abort();
        throw stop.signal.reason;
      },
    });
    assert.equal(ran.code, 130);
    assert.match(ran.stderr, /^Interrupted: /);
  });

  test('the secret is in no output of a command that fails, with --json or without', async () => {
    const secret = 'hunter2-and-more';
    const file = fileOf('password', `${secret}\nsecond line\n`);
    const ways: [string[], Record<string, string>][] = [
      [['-a', secret], {}],
      [[`--pass=${secret}`], {}],
      [['--pass-file', file], {}],
      [[], { REDISCLI_AUTH: secret }],
    ];
    for (const { name } of remote) {
      for (const [words, env] of ways) {
        for (const extra of [[], ['--json'], ['--xyzzy'], ['--tls']]) {
          const rest = [...optionsOf(name), ...argumentsOf(name)];
          const { code, stdout, stderr } = await runMain([name, ...words, ...extra, ...rest], { env });
          assert.equal(code, extra[0] === '--xyzzy' ? 2 : 1);
          assert.doesNotMatch(stdout + stderr, /hunter2/);
        }
      }
    }
  });
});
