import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Address } from '../../lib/model/address.ts';
import type { Connections, Login } from '../../lib/nodes/connections.ts';
import type { Context } from '../../lib/nodes/context.ts';
import { hindranceOf } from '../../lib/nodes/followers.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';

const [follower, master] = [1, 2].map((port) => ({ host: 'h', port })) as [Address, Address];
const hashes = { sesame: 'a'.repeat(64) };
const refusal = new ReplyError('WRONGPASS invalid username-password pair');
const denied = new ReplyError('NOPERM no');

interface World {
  /** What the follower answers to CONFIG GET master*. */
  readonly login?: Reply;
  /** What the master answers to ACL LIST. */
  readonly users?: Reply;
  readonly certificates?: string;
  /** How the master answers AUTH. */
  readonly tried?: 'accepted' | Error;
  /** What the master answers to ACL DRYRUN. */
  readonly mayCopy?: Reply;
}

async function hindrance({
  login = ['masterauth', 'sesame'],
  users = [`user default on #${hashes.sesame} +@all`],
  certificates = 'off',
  tried = 'accepted',
  mayCopy = 'OK',
}: World) {
  const logins: Login[] = [];
  const replyOf = ({ port }: Address, words: readonly unknown[]): Reply => {
    const [command, verb, name] = words.map(String);
    if (command === 'CONFIG' && name === 'requirepass') return ['requirepass', 'sesame'];
    if (command === 'CONFIG' && name === 'master*') return port === follower.port ? login : [];
    if (command === 'CONFIG') return ['tls-auth-clients-user', certificates];
    return verb === 'DRYRUN' ? mayCopy : users;
  };
  const connections = {
    askAll: async (address: Address, commands: readonly (readonly unknown[])[]) =>
      commands.map((words) => replyOf(address, words)),
    tryLogin: async (_: Address, given: Login) => {
      logins.push(given);
      if (tried !== 'accepted') throw tried;
    },
  } as unknown as Connections;
  const found = await hindranceOf({ connections } as Context, follower, master);
  assert.doesNotMatch(JSON.stringify(found ?? {}), /sesame|[0-9a-f]{64}/);
  return { found, logins };
}

describe('hindranceOf()', () => {
  const rows: readonly [string, World, RegExp | undefined, (readonly string[])?][] = [
    ['a login that the master accepts', {}, undefined],
    ['one that a module accepts, and no user', { users: ['user default off'] }, undefined],
    [
      'one that is refused',
      { tried: refusal },
      /^cannot follow h:2: its masterauth is not accepted: WRONGPASS/,
    ],
    [
      'one that is refused for its user',
      { login: ['masterauth', 'sesame', 'masteruser', 'gone'], tried: refusal },
      /its masteruser is unknown there/,
      ['masteruser', 'masterauth'],
    ],
    [
      'none',
      { login: ['masterauth', ''], tried: new ReplyError('NOAUTH no') },
      /it has no masterauth: NOAUTH/,
    ],
    [
      'none, and a master that is out of reach',
      { login: ['masterauth', ''], tried: new Error('no') },
      /it has no masterauth$/,
    ],
    ['one that fits, and a master that is out of reach', { tried: new Error('no') }, undefined],
    [
      'one that is refused by a master that hides its users',
      { users: denied, tried: refusal },
      /not accepted/,
    ],
    [
      'one that lacks rights',
      { mayCopy: 'no permissions to run psync' },
      /cannot follow h:2: no permissions/,
      [],
    ],
  ];
  for (const [what, world, says, settings = ['masterauth']] of rows) {
    test(`with ${what} finds ${says ?? 'nothing'}`, async () => {
      const { found } = await hindrance(world);
      if (!says) return assert.equal(found, undefined);
      assert.match(found?.says ?? '', says);
      const configured = found?.next.flatMap((next) => (next.do === 'configure' ? next.settings : [])) ?? [];
      assert.deepEqual(configured, settings);
    });
  }

  test('tries nothing if the node does not show its login, or certificates log in', async () => {
    for (const world of [{ login: [] }, { login: denied }, { certificates: 'CN' }]) {
      assert.deepEqual(await hindrance({ ...world, tried: refusal }), { found: undefined, logins: [] });
    }
  });

  test('tries what the node would send', async () => {
    const { logins } = await hindrance({ login: ['masterauth', 'p\xc3\xa4ss', 'masteruser', 'app'] });
    assert.deepEqual(logins, [{ password: 'päss', username: 'app' }]);
  });
});
