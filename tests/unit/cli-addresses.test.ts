import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { findCommand } from '../../lib/cli/commands.ts';
import type { FlagValues } from '../../lib/cli/flags.ts';
import { UsageError } from '../../lib/cli/io.ts';
import { profilesFile, readProfile } from '../../lib/cli/profiles.ts';
import { parseRedisUrl } from '../../lib/cli/redis-url.ts';
import { settleLine, withoutUrls } from '../../lib/cli/settle-line.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';
import { fc } from '../helpers/properties.ts';

const SECRET = 'hunter2';
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-profiles-'));
after(() => rmSync(dir, { recursive: true }));

function fileOf(profiles: unknown, mode = 0o600): string {
  const file = join(dir, 'redis-trib.json');
  writeFileSync(file, typeof profiles === 'string' ? profiles : JSON.stringify(profiles));
  chmodSync(file, mode);
  return file;
}

function settled(
  line: string,
  env: Record<string, string> = {},
  values: FlagValues = {},
): { positionals: readonly string[]; values: FlagValues } {
  const [name = '', ...positionals] = line.split(' ');
  const command = findCommand(name);
  assert.ok(command);
  return settleLine(command, { positionals, values }, { env });
}

function assertRefused(run: () => unknown, what: RegExp): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, what);
    assert.doesNotMatch(error.message, /hunter2/);
    return true;
  });
}

describe('parseRedisUrl()', () => {
  test('reads host, port, user, password and TLS', () => {
    const plain = { address: '10.0.0.1:7000', tls: false };
    for (const [url, read] of [
      ['redis://10.0.0.1:7000', plain],
      ['REDIS://10.0.0.1:7000/', plain],
      ['valkey://10.0.0.1:7000/0', plain],
      ['redis://10.0.0.1', { ...plain, address: '10.0.0.1:6379' }],
      ['rediss://db.example:7000', { address: 'db.example:7000', tls: true }],
      ['redis://[::1]:7000', { ...plain, address: '[::1]:7000' }],
      ['redis://[::1]', { ...plain, address: '[::1]:6379' }],
      ['redis://me:hunter2@10.0.0.1:7000', { ...plain, user: 'me', password: SECRET }],
      ['redis://:hunter2@10.0.0.1:7000', { ...plain, password: SECRET }],
      // As redis-cli does: parseRedisUri.
      ['redis://hunter2@10.0.0.1:7000', { ...plain, password: SECRET }],
      ['redis://me:@10.0.0.1:7000', { ...plain, user: 'me' }],
      ['redis://:a%40%2C%25@10.0.0.1:7000', { ...plain, password: 'a@,%' }],
      ['redis://:a@b/c#d?e:f@10.0.0.1:7000', { ...plain, password: 'a@b/c#d?e:f' }],
    ] as const) {
      assert.deepEqual(parseRedisUrl(url), read, url);
    }
  });

  test('refuses everything else, and never repeats it', () => {
    for (const url of [
      'redis://',
      'redis://:hunter2@',
      'redis://:hunter2@:7000',
      'redis://:hunter2@h:0',
      'redis://:hunter2@h:7000/1',
      'redis://:hunter2@h:7000/00',
      'redis://:hunter2@h:7000/0/0',
      'redis://:hunter2@h:7000?db=0',
      'redis://:hunter2@h:7000#x',
      'redis://:hunter2%@h:7000',
      'redis://:hunter2@a b:7000',
      'http://:hunter2@h:7000',
    ]) {
      assertRefused(() => parseRedisUrl(url), /^(Not an address|A cluster has only|Not a URL)/);
    }
  });

  test('says that it is the port, if it is', () => {
    for (const url of ['redis://h:99999', 'redis://:hunter2@[::1]:0'])
      assertRefused(() => parseRedisUrl(url), /its port must be a number from 1 to 65535/);
  });

  test('reads back every user and password that is encoded', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(text, text, (user, password) => {
        const url = `rediss://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h:1`;
        assert.deepEqual(parseRedisUrl(url), { address: 'h:1', tls: true, user, password });
      }),
    );
  });
});

describe('URLs in a line', () => {
  const url = 'rediss://me:hunter2@10.0.0.1:7000';

  test('stand wherever an address does', () => {
    const values = { from: `all,${url}`, to: url, of: url, weight: [`${url}=2`], zone: [`${url}=a`] };
    assert.deepEqual(settled(`reshard ${url},h:2`, {}, values), {
      positionals: ['10.0.0.1:7000,h:2'],
      values: {
        ...{ from: 'all,10.0.0.1:7000', to: '10.0.0.1:7000', of: '10.0.0.1:7000' },
        ...{ weight: ['10.0.0.1:7000=2'], zone: ['10.0.0.1:7000=a'] },
        ...{ user: 'me', pass: SECRET, tls: true },
      },
    });
  });

  test('are left alone in a command for the servers', () => {
    const { positionals } = settled('execute h:1 SET key redis://x:1');
    assert.deepEqual(positionals, ['h:1', 'SET', 'key', 'redis://x:1']);
  });

  test('give the source of an import a user and a password of its own', () => {
    const { values } = settled('import redis://:one@h:1', {}, { from: url });
    assert.deepEqual(values, {
      ...{ from: '10.0.0.1:7000', pass: 'one' },
      ...{ 'from-user': 'me', 'from-pass': SECRET, 'from-tls': true },
    });
  });

  test('must not contradict each other or the options', () => {
    for (const [line, values] of [
      ['join redis://:hunter2@a:1 redis://:hunter22@b:1', {}],
      ['join redis://a:hunter2@a:1 redis://b:hunter2@b:1', {}],
      ['join redis://:hunter2@a:1 rediss://b:1', {}],
      ['list redis://:hunter2@a:1', { pass: 'x' }],
      ['list redis://:hunter2@a:1', { 'pass-file': 'x' }],
      ['list redis://me:hunter2@a:1', { user: 'you' }],
      ['list a:1', { map: ['redis://:hunter2@a:1=b:1'] }],
      ['list redis://:hunter2,x@a:1', {}],
    ] as const) {
      assertRefused(() => settled(line, {}, values), /./);
    }
    settled('join redis://:x@a:1 redis://b:1', {}, { tls: true, user: 'me' });
  });

  test('log in with what they say, in both dialects, and never show it', async () => {
    await using server = await startMadeUp(() => '-ERR hunter2 is not right\r\n');
    for (const argv of [
      ['list', `redis://me:hunter2@${server.address}/0`],
      ['list', `redis://me:hunter2@${server.address}`, '--json'],
      ['--cluster', 'check', `redis://me:hunter2@${server.address}`],
    ]) {
      const before = server.commands.length;
      const { code, stdout, stderr } = await runMain(argv);
      assert.equal(code, 1, argv.join(' '));
      assert.ok(
        server.commands.slice(before).some((words) => words.join(' ').includes('AUTH me hunter2')),
        argv.join(' '),
      );
      assert.doesNotMatch(stdout + stderr, /hunter2/);
    }
    for (const argv of [
      [`redis://:hunter2@${server.address}`],
      ['list', `redis://:hunter2@${server.address}/3`],
      ['-a', 'x', `redis://:hunter2@${server.address}`, '--cluster', 'check'],
      ['--cluster', 'check', `redis://:hunter2@${server.address}/3`],
      ['list', `redis://:hunter2@${server.address}`, '--json', '--xyzzy'],
    ]) {
      const { code, stdout, stderr } = await runMain(argv);
      assert.equal(code, 2, argv.join(' '));
      assert.doesNotMatch(stdout + stderr, /hunter2/, argv.join(' '));
    }
  });

  test('are taken by `--cluster import` for its source, too', () => {
    const line = { positionals: ['a:1'], values: { from: url } };
    assert.deepEqual(withoutUrls(line, { words: 1, source: true }).values, {
      ...{ from: '10.0.0.1:7000', 'from-user': 'me', 'from-pass': SECRET, 'from-tls': true },
    });
  });
});

describe('REDIS_TRIB_CLUSTER', () => {
  const env = { REDIS_TRIB_CLUSTER: 'h:1,h:2' };

  test('stands for a cluster that the line leaves out', () => {
    for (const [line, positionals] of [
      ['check', ['h:1,h:2']],
      ['check h:3', ['h:3']],
      ['join h:3', ['h:1,h:2', 'h:3']],
      ['add_node h:3', ['h:3', 'h:1,h:2']],
      ['del_node abcd', ['h:1,h:2', 'abcd']],
      ['call PING', ['h:1,h:2', 'PING']],
      ['set_timeout 5000', ['h:1,h:2', '5000']],
    ] as const) {
      assert.deepEqual(settled(line, env).positionals, positionals, line);
    }
  });

  test('never turns the address of a cluster into the node to act on, nor names a node', () => {
    for (const line of ['del_node h:3', 'drain h:3', 'quit', 'step_down', 'shutdown', 'migrate_slots h:3 5'])
      assert.deepEqual(settled(line, env).positionals, line.split(' ').slice(1), line);
  });

  test('may be a URL or a profile', () => {
    const file = fileOf({ prod: { cluster: ['h:3', 'h:4'], tls: true } });
    const url = settled('check', { REDIS_TRIB_CLUSTER: 'redis://:hunter2@h:1' });
    assert.deepEqual(url, { positionals: ['h:1'], values: { pass: SECRET } });
    const profile = settled('check', { REDIS_TRIB_CLUSTER: '@prod', REDIS_TRIB_CONFIG: file });
    assert.deepEqual(profile, { positionals: ['h:3,h:4'], values: { tls: true } });
  });
});

describe('A profile', () => {
  const prod = {
    cluster: ['10.0.0.1:7000', '10.0.0.2:7000'],
    user: 'ops',
    'pass-file': 'password',
    tls: true,
    cacert: '/etc/ca.pem',
    map: { '10.0.0.1:7000': 'localhost:1' },
    zone: ['10.0.0.1=a'],
    'max-keys-per-second': 5000,
  };
  const config = () => ({ REDIS_TRIB_CONFIG: fileOf({ prod }) });

  test('stands for a cluster, with the options that the command has', () => {
    const all = {
      ...{ user: 'ops', 'pass-file': join(dir, 'password'), tls: true, cacert: '/etc/ca.pem' },
      map: ['10.0.0.1:7000=localhost:1'],
    };
    const nodes = '10.0.0.1:7000,10.0.0.2:7000';
    assert.deepEqual(settled('list @prod', config()), { positionals: [nodes], values: all });
    const zone = { ...all, zone: ['10.0.0.1=a'] };
    assert.deepEqual(settled('check @prod', config()), { positionals: [nodes], values: zone });
    const limits = { ...all, 'max-keys-per-second': '5000' };
    assert.deepEqual(settled('join @prod h:3', config()), { positionals: [nodes, 'h:3'], values: limits });
  });

  test('gives way to the options of the line, and to its password however it is given', () => {
    const { values } = settled('list @prod', config(), { user: 'me', askpass: true });
    assert.deepEqual([values.user, values.askpass, values['pass-file']], ['me', true, undefined]);
  });

  test('by --profile serves a command that names a node, and stands for a cluster that is left out', () => {
    const line = settled('quit h:1', config(), { profile: 'prod' });
    assert.deepEqual([line.positionals, line.values.user], [['h:1'], 'ops']);
    assert.equal(settled('check', config(), { profile: 'prod' }).positionals.length, 1);
  });

  test('is not a node', () => {
    for (const line of ['quit @prod', 'replicate @prod h:1', 'join h:1 @prod', 'add_node @prod h:1'])
      assertRefused(() => settled(line, config()), /is one node/);
  });

  test('that does not exist, or says what is not a setting, is refused', () => {
    const broken: [unknown, RegExp][] = [
      [{}, /it has none/],
      [{ other: {} }, /it has other/],
      ['{"prod": {"pass": "hunter2", }}', /^Not JSON/],
      [[prod], /^Not profiles/],
      [{ prod: { yes: true } }, /Not a setting: "yes"/],
      [{ prod: { force: true } }, /Not a setting/],
      [{ prod: { toString: 'x' } }, /Not a setting/],
      [{ prod: { tls: 'hunter2' } }, /Not a value for "tls"/],
      [{ prod: { user: ['hunter2'] } }, /Not a value for "user"/],
      [{ prod: { cluster: [1] } }, /Not nodes/],
      [{ prod: { user: 'me' } }, /has no "cluster"/],
    ];
    for (const [profiles, what] of broken) {
      const env = { REDIS_TRIB_CONFIG: fileOf(profiles) };
      assertRefused(() => settled('check @prod', env), what);
    }
    assertRefused(() => settled('check @prod', { REDIS_TRIB_CONFIG: join(dir, 'missing') }), /ENOENT/);
  });

  test('with a password is refused if others can read it', () => {
    const profiles = { prod: { cluster: 'h:1', pass: SECRET } };
    for (const mode of [0o644, 0o640, 0o604])
      assertRefused(() => readProfile('prod', fileOf(profiles, mode)), /chmod 600/);
    assert.equal(readProfile('prod', fileOf(profiles)).values.pass, SECRET);
    readProfile('prod', fileOf({ prod }, 0o644));
  });

  test('is looked for where the environment says, and needs no home', () => {
    assert.equal(profilesFile({ env: { REDIS_TRIB_CONFIG: '/x', HOME: '/home/me' } }), '/x');
    assert.equal(profilesFile({ env: { XDG_CONFIG_HOME: '/c', HOME: '/h' } }), join('/c', 'redis-trib.json'));
    assert.equal(profilesFile({ env: { HOME: '/h' } }), join('/h', '.config', 'redis-trib.json'));
    assertRefused(() => profilesFile({ env: {} }), /REDIS_TRIB_CONFIG/);
  });

  test('without any file or home hinders no command that names none', async () => {
    mkdirSync(join(dir, 'empty'));
    const { code } = await runMain(['list', '127.0.0.1:1'], { env: { HOME: join(dir, 'empty') } });
    assert.equal(code, 1);
  });

  test('that is unknown is told with those that were meant', async () => {
    const { code, stderr } = await runMain(['check', '@prd'], { env: config() });
    assert.equal(code, 2);
    assert.match(stderr, /^No profile "prd" .*it has prod\nDid you mean prod\?/);
  });
});
