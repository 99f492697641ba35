import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { commands } from '../../lib/cli/commands.ts';
import { splitWords } from '../../lib/cli/exec.ts';
import { connectionFlags, moveFlags } from '../../lib/cli/flags.ts';
import { topics } from '../../lib/cli/topics.ts';
import { type Ran, runMain } from '../helpers/made-up-io.ts';
import { bulk, startMadeUp } from '../helpers/made-up-server.ts';

// Nothing listens on port 1: a command line that is understood ends with exit code 1, not 2.
const NODE = '127.0.0.1:1';
const remote = commands.filter(({ isLocal }) => !isLocal);
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

const dir = mkdtempSync(join(tmpdir(), 'redis-trib-cli-'));
after(() => rmSync(dir, { recursive: true }));
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

// A cluster that does not answer.
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

/** Wrong usage: code 2, nothing on stdout, a line that names what is wrong and a line that says where to look. */
function assertUsage(ran: Ran, what: string, help = ''): void {
  assert.deepEqual([ran.code, ran.stdout], [2, ''], ran.stderr);
  assert.ok(ran.stderr.split('\n')[0]?.includes(what), ran.stderr);
  assert.equal(ran.stderr.split('\n').length, 3, `two lines: ${ran.stderr}`);
  assert.ok(ran.stderr.endsWith(`\nSee: redis-trib ${help}${help && ' '}--help\n`), ran.stderr);
  assert.doesNotMatch(ran.stderr, /^ +at /m, 'no stack trace');
}

function assertUnderstood(ran: Ran): void {
  assert.equal(ran.code, 1, ran.stderr);
  assert.equal(ran.stdout, '');
  assert.match(ran.stderr, /^Error: .*127\.0\.0\.1:\d+.*\nNext: .*\n$/);
}

/** Arguments of a command. No node answers at these addresses. */
function argumentsOf(name: string): string[] {
  const least = commands.find((command) => command.name === name)?.arity[0] ?? 0;
  const words = [NODE, '127.0.0.1:2', '3'].slice(0, least);
  if (commands.find((command) => command.name === name)?.usage === 'FILE') return [planFile];
  if (name === 'set_timeout') return [NODE, '5000'];
  if (name === 'explain') return [NODE, 'key'];
  if (name === 'replace') return [NODE, 'abcdef=127.0.0.1:2'];
  if (['del_node', 'drain', 'ok_to_stop'].includes(name)) return [NODE, 'abcdef'];
  return name === 'execute' || name === 'call' ? [NODE, 'PING'] : words;
}

/** Options that a command needs if there is no terminal. */
function optionsOf(name: string): string[] {
  const asks = commands.find((command) => command.name === name)?.asks === true ? ['--yes'] : [];
  if (name === 'wait') return ['--timeout', '1'];
  if (name === 'ensure') return ['--masters', '1'];
  if (name === 'import') return ['--yes', '--from', NODE];
  if (name === 'restore') return ['--yes', '--dir', backupFolder];
  if (name === 'bundle') return ['--output', join(dir, 'bundle.json')];
  if (name === 'backup') return ['--dir', join(dir, 'backup')];
  return name === 'reshard' ? [...asks, '--from', 'all', '--to', NODE, '--slots', '1'] : asks;
}

describe('Help', () => {
  test('shows every command on stdout, for `--help`, `-h` and `help`', async () => {
    for (const word of ['--help', '-h', 'help']) {
      const { code, stdout, stderr } = await runMain([word], { columns: () => 120 });
      assert.deepEqual([code, stderr], [0, '']);
      const listed = stdout.slice(0, stdout.indexOf('\nOptions of every command:'));
      for (const { name, usage, summary } of commands) {
        const lines = listed
          .split('\n')
          .filter((text) => text.startsWith(`  ${`${name} ${usage}`.trimEnd()} `));
        assert.equal(lines.length, 1, name);
        assert.ok(lines[0]?.endsWith(` ${summary}`), name);
      }
      for (const [name, summary] of Object.entries(topics)) {
        assert.match(stdout, new RegExp(`^ {2}${name} +${summary}$`, 'm'));
      }
      assert.match(stdout, /Exit codes: 0 .*, 1 .*, 2 .*, 130 /);
    }
  });

  test('groups the commands by what one wants', async () => {
    const { stdout } = await runMain(['help']);
    const titles = [...stdout.matchAll(/^(\w[\w ]+):$/gm)].map(([, title]) => title);
    assert.deepEqual(titles, [
      ...['Build', 'Grow and shrink', 'Move slots', 'Look', 'Repair', 'Maintain', 'Plans', 'Data', 'Other'],
      ...['Options of every command', 'Topics'],
    ]);
  });

  test('has pages of their own for options that commands share, to which the commands point', async () => {
    const [connection, moving, join] = await Promise.all(
      [
        ['help', 'connection'],
        ['help', 'moving'],
        ['join', '--help'],
      ].map((words) => runMain(words, { columns: () => 120 })),
    );
    for (const [name, { help }] of Object.entries(connectionFlags))
      assert.match(connection?.stdout ?? '', new RegExp(`--${name}\\b.*${help.slice(0, 12)}`));
    for (const name of Object.keys(moveFlags))
      assert.match(moving?.stdout ?? '', new RegExp(`--${name} .+ `));
    assert.match(moving?.stdout ?? '', /options of ensure, join, .*rebalance/);
    for (const page of ['connection', 'moving'])
      assert.match(join?.stdout ?? '', new RegExp(`help ${page}$`, 'm'));
    assert.doesNotMatch((await runMain(['check', '--help'])).stdout, /help moving/);
  });

  test('of a command begins with the options that are its own', async () => {
    const { stdout } = await runMain(['reshard', '--help']);
    const shown = [...stdout.matchAll(/^ {2}(?:-\w, | {4})--([\w-]+)/gm)].map(([, name]) => name);
    assert.deepEqual(shown.slice(0, 4), ['from', 'to', 'slots', 'dry-run']);
  });

  test('is short without a command, on stderr as wrong usage: a terminal of 80×24 shows all of it', async () => {
    const { code, stdout, stderr } = await runMain([]);
    assert.deepEqual([code, stdout], [2, '']);
    const lines = stderr.trimEnd().split('\n');
    assert.ok(lines.length < 24 && lines.every((line) => line.length <= 80), stderr);
    for (const { name } of commands) assert.match(stderr, new RegExp(` ${name}(?= |$)`, 'm'));
    assert.match(stderr, /redis-trib --help/);
  });

  test('fits into the terminal, and says in every one what each command and option is for', async () => {
    const wordsOf = (text: string): string => text.replaceAll(/\s+/g, ' ');
    for (const columns of [72, 80, 120]) {
      for (const words of [['--help'], ['help', 'connection'], ['help', 'moving'], ['restore', '--help']]) {
        const { stdout } = await runMain(words, { columns: () => columns });
        for (const line of stdout.split('\n')) assert.ok(line.length <= columns, `${columns}: ${line}`);
        for (const { summary } of words[0] === '--help' ? commands : [])
          assert.ok(wordsOf(stdout).includes(summary), summary);
        for (const { help } of Object.values(words[1] === 'moving' ? moveFlags : {}))
          assert.ok(wordsOf(stdout).includes(help), help);
      }
    }
  });

  for (const { name, usage, example, flags = {} } of commands) {
    test(`for \`${name}\` shows its usage, its options and an example`, async () => {
      const { code, stdout, stderr } = await runMain([name, '--help']);
      assert.deepEqual([code, stderr], [0, '']);
      assert.ok(stdout.startsWith(`${`Usage: redis-trib ${name} [OPTION...] ${usage}`.trimEnd()}\n`));
      assert.ok(stdout.includes(`\nExample:\n  redis-trib ${name} ${example}\n`));
      const reaching = remote.some((command) => command.name === name) ? ['user', 'tls'] : [];
      for (const flag of [...Object.keys(flags), 'json', ...reaching]) {
        assert.match(stdout, new RegExp(`--${flag}\\b`));
      }
      assert.equal((await runMain([name, '-h'])).stdout, stdout);
      for (const word of [name, name.replaceAll('_', '-')]) {
        const helped = (await runMain(['help', word])).stdout;
        if (Object.hasOwn(topics, word)) assert.ok(helped.startsWith(stdout), 'the document follows');
        else assert.equal(helped, stdout);
      }
    });

    if (!remote.some((command) => command.name === name)) continue;
    test(`for \`${name}\` has an example that is understood`, async () => {
      const words = usage === 'FILE' ? [planFile] : splitWords(example);
      const gone = AbortSignal.abort(new Error('Not today'));
      const { code } = await runMain([name, ...words], { signal: gone, canAsk: () => true });
      assert.equal(code, 130);
    });
  }

  test('has no line wider than the terminal, but for examples to be copied', async () => {
    const pages = [[], ...commands.map(({ name }) => [name])].map((words) => [...words, '--help']);
    for (const page of [...pages, ['--cluster', 'help']]) {
      const { stdout } = await runMain(page);
      const lines = stdout.split('\n').filter((line) => !line.startsWith('  redis-trib '));
      for (const line of lines) assert.ok(line.length <= 80, line);
    }
  });

  test('has no sentence that a line of the source ends', () => {
    for (const { name, details = '' } of commands)
      for (const line of details.split('\n'))
        assert.match(line, /^$|[.:)]$|redis-trib help [a-z]+$/, `${name}: ${line}`);
  });

  test('for a command or topic that does not exist is wrong usage', async () => {
    assertUsage(await runMain(['help', 'frob']), '"frob"');
  });
});

describe('Version', () => {
  test("`--version` and `-V` show the package's version", async () => {
    for (const word of ['--version', '-V']) {
      assert.deepEqual(await runMain([word]), { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
    }
  });
});

describe('Wrong usage:', () => {
  test('a command that does not exist', async () => {
    assertUsage(await runMain(['frob', NODE]), '"frob"');
    assertUsage(await runMain(['', NODE]), '""');
    assertUsage(await runMain(['toString']), '"toString"');
  });

  test('suggests a similar name, if there is one', async () => {
    for (const [words, meant] of [
      [['reblance', NODE], 'rebalance'],
      [['delnode', NODE], 'del_node'],
      [['chekc', NODE], 'check'],
      [['lsit', NODE], 'list'],
      [['help', 'migrate'], 'migrate_slots'],
      [['rebalance', NODE, '--use-empty'], '--use-empty-masters'],
      [['rebalance', NODE, '--cluster-weight', 'a=2'], '--weight'],
      [['rebalance', NODE, '--treshold=3'], '--threshold'],
      [['check', NODE, '--frobnicate'], undefined],
      [['check', NODE, '--c'], undefined],
      [['zzz', NODE], undefined],
    ] as const) {
      const { code, stderr } = await runMain(words);
      assert.deepEqual([code, / (\S+)\? See: /.exec(stderr)?.[1]], [2, meant], words.join(' '));
    }
  });

  test('says what was meant by habits from redis-cli, and by slips', async () => {
    for (const [line, hint] of [
      [`cluster check ${NODE}`, 'Did you mean redis-trib --cluster check, or redis-trib check? See: '],
      ['cluster', 'Did you mean redis-trib --cluster, or redis-trib COMMAND? See: '],
      [`--clustr check ${NODE}`, 'Did you mean --cluster? See: '],
      [`--cluster chek ${NODE}`, 'Did you mean check? See: redis-trib --cluster help'],
      [`--cluster check ${NODE} --cluster-replica5`, 'Did you mean --cluster-replicas? See: '],
      ['-p 7000', 'Name the node as host:port, after the command. See: '],
      ['check -p 7000', 'Name the node as host:port, after the command. See: redis-trib check --help'],
      ['check -h 127.0.0.1 -p 7000', 'Name the node as host:port, after the command. See: '],
      [`--tls list ${NODE}`, 'See: '],
    ] as const) {
      const { code, stderr } = await runMain(line.split(' '));
      assert.deepEqual([code, stderr.split('\n')[1]?.startsWith(hint)], [2, true], `${line}: ${stderr}`);
    }
  });

  test('an option before the command, whose value is not repeated', async () => {
    assertUsage(await runMain(['--tls', 'list', NODE]), '"--tls"');
    for (const word of ['--pass=hunter2', '-ahunter2']) {
      const ran = await runMain([word, 'list', NODE]);
      assertUsage(ran, word.startsWith('--') ? '"--pass"' : '"-a"');
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  test('slots are taken with commas, too', async () => {
    const words = ['migrate_slots', NODE, '127.0.0.1:2'];
    assertUnderstood(await runMain([...words, '0-10,20', '30']));
    for (const wrong of ['0,', ',0', '0,,2', '0, 2'])
      assert.equal((await runMain([...words, wrong])).code, 2, wrong);
  });

  for (const { name, arity, isLocal } of commands) {
    const words = argumentsOf(name);
    test(`\`${name}\`: an option that does not exist`, async () => {
      assertUsage(await runMain([name, '--xyzzy', ...words]), "'--xyzzy'", name);
      assertUsage(await runMain([name, '-z', ...words]), "'-z'", name);
    });

    test(`\`${name}\`: too few arguments, or too many`, async () => {
      const usage = commands.find((command) => command.name === name)?.usage ?? '';
      if (words.length > 0) {
        const few = await runMain([name, ...words.slice(0, -1)]);
        assertUsage(few, usage, name);
        assertUsage(await runMain([name]), usage, name);
      }
      if (arity[1] === Number.POSITIVE_INFINITY) return;
      assertUsage(await runMain([name, ...words, NODE]), name, name);
    });

    test(`\`${name}\`: not an address`, async () => {
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
          const ran = await runMain([name, ...optionsOf(name), ...words.with(index, wrong)]);
          assertUsage(ran, `"${wrong}"`, name);
        }
      }
    });
  }

  test('a URL of something else, which is not repeated because it may hold a password', async () => {
    for (const url of ['http://:hunter2@127.0.0.1:7000', 'me:hunter2@127.0.0.1:7000']) {
      const ran = await runMain(['list', url]);
      assertUsage(ran, 'host:port', 'list');
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  test('not a slot', async () => {
    for (const wrong of ['x', '16384', '-5', '5-', '7-4', '1.5', '', '0-16384', '1e3', '0x10']) {
      const ran = await runMain(['migrate_slots', NODE, '127.0.0.1:2', '0', '--', wrong]);
      assertUsage(ran, `"${wrong}"`, 'migrate_slots');
    }
  });

  test('not a number', async () => {
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
        assertUsage(ran, `--${flag}: "${wrong}"`, 'join');
      }
    }
    assertUsage(await runMain(['start', NODE, '--max-slots', '0']), '--max-slots: "0"', 'start');
  });

  test('not a size', async () => {
    for (const flag of ['max-bytes-per-second', 'big-keys']) {
      for (const wrong of ['ten', '', '0', '0mb', '1.5mb', '1e3', '5tb', '10 mb', 'mb', '99999999999gb']) {
        const ran = await runMain(['join', NODE, '127.0.0.1:2', `--${flag}=${wrong}`]);
        assertUsage(ran, `--${flag}: "${wrong}"`, 'join');
      }
    }
  });

  test('a method that does not exist, or limits on one without limits', async () => {
    const join = ['join', NODE, '127.0.0.1:2'];
    assertUsage(await runMain([...join, '--method=magic']), '"magic"', 'join');
    for (const limit of ['--max-keys-per-second=5', '--max-bytes-per-second=5mb']) {
      const ran = await runMain([...join, '--method=atomic', limit]);
      assertUsage(ran, limit.split('=')[0] ?? '', 'join');
      assertUnderstood(await runMain([...join, '--method=migrate', limit]));
      assertUnderstood(await runMain([...join, limit]));
    }
  });

  test('an option without its value, or with one it does not take', async () => {
    assertUsage(await runMain(['list', NODE, '--user']), '--user', 'list');
    assertUsage(await runMain(['list', NODE, '-a']), '--pass', 'list');
    assertUsage(await runMain(['list', NODE, '--json=1']), '--json', 'list');
  });

  test('a password that starts with a dash, with the way to write it', async () => {
    const ran = await runMain(['list', NODE, '-a', '-hunter2']);
    assertUsage(ran, '--pass=VALUE', 'list');
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
      assertUsage(await runMain(words), `'${words[1]?.split('=')[0]}'`, words[0]);
    }
  });

  test('`--user` without a password', async () => {
    assertUsage(await runMain(['list', NODE, '--user', 'me']), '--user', 'list');
    assertUnderstood(await runMain(['list', NODE, '--user', 'me'], { env: { REDISCLI_AUTH: 'hunter2' } }));
  });

  test('options of TLS without --tls, and only one of a pair', async () => {
    const pem = fileOf('any.pem', 'nothing');
    for (const [flag, value] of Object.entries({ cacert: pem, cert: pem, key: pem, sni: 'name' })) {
      assertUsage(await runMain(['list', NODE, `--${flag}`, value]), `--${flag}`, 'list');
    }
    assertUsage(await runMain(['list', NODE, '--insecure']), '--insecure', 'list');
    for (const flag of ['cert', 'key']) {
      const ran = await runMain(['list', NODE, '--tls', `--${flag}`, pem]);
      assertUsage(ran, '--cert', 'list');
    }
  });

  test('files that do not exist, or contain something else', async () => {
    const missing = join(dir, 'missing');
    for (const words of [
      ['--pass-file', missing],
      ['--tls', '--cacert', missing],
      ['--tls', '--cert', missing, '--key', missing],
    ]) {
      assertUsage(await runMain(['list', NODE, ...words]), 'ENOENT', 'list');
    }
    assertUsage(await runMain(['list', NODE, '--pass-file', dir]), 'EISDIR', 'list');
    const other = fileOf('other.pem', 'hunter2');
    for (const words of [
      ['--cacert', other],
      ['--cert', other, '--key', other],
    ]) {
      const ran = await runMain(['list', NODE, '--tls', ...words]);
      assertUsage(ran, '--cacert', 'list');
      assert.doesNotMatch(ran.stderr, /hunter2/);
    }
  });

  test('with --json, also one document', async () => {
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
      assert.equal(stderr.split('\n')[0], error.message);
    }
  });
});

describe('Arguments', () => {
  test('treat dashes and underscores in the name of a command alike', async () => {
    for (const name of ['migrate-slots', 'migrate_slots']) {
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2', '0', '4-7']));
    }
    for (const name of ['join-no-load', 'join_no_load'])
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2']));
    for (const name of ['start-multi', 'start_multi'])
      assertUnderstood(await runMain([name, NODE, '127.0.0.1:2']));
  });

  test('may have options before, between and after them', async () => {
    const options = ['--dry-run', '--timeout', '500', '--user', 'me', '-a', 'hunter2', '-y'];
    for (const words of [
      [...options, NODE, '127.0.0.1:2'],
      [NODE, ...options, '127.0.0.1:2'],
      [NODE, '127.0.0.1:2', ...options],
    ]) {
      assertUnderstood(await runMain(['join', ...words]));
    }
  });

  test('may include `--yes` or `-y` for every command', async () => {
    for (const { name } of remote) {
      for (const flag of ['--yes', '-y'])
        assertUnderstood(await runMain([name, flag, ...optionsOf(name), ...argumentsOf(name)]));
    }
  });

  test('may include `--force` for every command that changes a cluster', async () => {
    for (const { name, flags = {} } of commands) {
      if ('dry-run' in flags)
        assertUnderstood(await runMain([name, '--force', ...optionsOf(name), ...argumentsOf(name)]));
      else assert.ok(!('force' in flags) || name === 'backup');
    }
  });

  test('of `execute` leave the dashes of its command alone', async () => {
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
    assertUsage(await runMain(['execute', NODE, '--xyzzy', 'PING']), "'--xyzzy'", 'execute');
    assert.equal((await runMain(['execute', '--help', NODE, 'PING'])).code, 0);
  });

  test('may be IPv6 addresses in brackets', async () => {
    const { code, stderr } = await runMain(['list', '[::1]:1']);
    assert.equal(code, 1);
    assert.ok(stderr.includes('[::1]:1'), stderr);
  });
});

test('An argument that only the library can judge is wrong usage too', async () => {
  const id = 'a'.repeat(40);
  await using server = await startMadeUp(([word = '', second = ''], port) => {
    if (word === 'INFO') return bulk('');
    if (word !== 'CLUSTER') return '+OK\r\n';
    if (second === 'NODES') return bulk(`${id} 127.0.0.1:${port}@1 myself,master - 0 0 0 connected\n`);
    return bulk('cluster_state:fail\r\ncluster_slots_assigned:0\r\ncluster_known_nodes:1\r\n');
  });
  const argv = ['create', server.address, '--replicas', '1', '--yes'];
  assertUsage(await runMain(argv), 'Too few nodes', 'create');
  const { code, stdout } = await runMain([...argv, '--json']);
  assert.deepEqual([code, JSON.parse(stdout).error.code], [2, 'USAGE']);
});

describe('A password', () => {
  test('is asked for by `--askpass`, which ends without a stack trace if it is interrupted', async () => {
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
    assert.deepEqual([ran.code, ran.stderr], [130, 'Interrupted: nothing was changed\n']);
  });

  test('is in no output of a command that fails, with or without --json', async () => {
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
