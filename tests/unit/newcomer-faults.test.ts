import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import {
  loginRefused,
  type NewcomerRole,
  type NodeFacts,
  newcomerFaults,
} from '../../lib/findings/newcomer-faults.ts';
import { type AclUser, type Credentials, isSameLogin, loginObstacle } from '../../lib/model/login.ts';
import { readCredentials } from '../../lib/nodes/credentials.ts';
import { readsRdb } from '../../lib/rdb/versions.ts';
import { ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';

const [P, Q] = [1, 2];
const open: AclUser = { isOn: true, needsNoPassword: true, secrets: [], rules: '' };
const off: AclUser = { ...open, isOn: false, needsNoPassword: false };
const withP: AclUser = { ...open, needsNoPassword: false, secrets: [P] };
const withQ: AclUser = { ...withP, secrets: [Q] };

const usersOf = (users: Readonly<Record<string, AclUser>>) => new Map(Object.entries(users));

/** A node that needs no password, and has none. */
function factsOf(address: string, facts: Partial<NodeFacts> = {}): NodeFacts {
  return {
    address,
    server: 'Redis 8.0.2',
    rdb: 12,
    snapshot: 12,
    isRelaxed: false,
    login: { user: '', secret: undefined },
    users: usersOf({ default: open }),
    libraries: [],
    databases: 1,
    ...facts,
  };
}

const secret: Partial<NodeFacts> = {
  users: usersOf({ default: withP }),
  login: { user: '', secret: P },
};

describe('newcomerFaults()', () => {
  type Row = [name: string, newcomer: Partial<NodeFacts>, member: Partial<NodeFacts>, expected: string[]];
  const asMaster: Row[] = [
    ['like the others', {}, {}, []],
    ['like the others, with a password', secret, secret, []],
    ['that says nothing', { rdb: undefined, login: undefined, users: undefined }, secret, []],
    ['beside a member that says nothing', secret, { rdb: undefined, login: undefined, users: undefined }, []],
    [
      'that requires no password',
      {},
      secret,
      ['CREDENTIALS_DIFFER forced new', 'CREDENTIALS_DIFFER forced new'],
    ],
    ['without masterauth', { users: secret.users }, secret, ['CREDENTIALS_DIFFER forced new']],
    [
      'with another password',
      { ...secret, users: usersOf({ default: withQ }) },
      secret,
      ['CREDENTIALS_DIFFER forced new', 'CREDENTIALS_DIFFER forced member'],
    ],
    [
      'that lacks an ACL user',
      {},
      { users: usersOf({ default: open, app: withP }) },
      ['CREDENTIALS_DIFFER forced new'],
    ],
    ['that lacks a user that is off', {}, { users: usersOf({ default: open, app: off }) }, []],
    ['with a user more', { users: usersOf({ default: open, app: withP }) }, {}, []],
    [
      'like a cluster in which nobody could follow',
      { users: secret.users },
      { users: secret.users },
      ['CREDENTIALS_DIFFER warned new'],
    ],
    ['too old', { rdb: 10 }, {}, ['TARGET_TOO_OLD forced new']],
    ['that tries to read newer versions', { rdb: 10, isRelaxed: true }, {}, []],
    ['newer than the others', { rdb: 13 }, {}, ['TARGET_TOO_OLD warned new']],
    ['with fewer databases', { databases: 1 }, { databases: 16 }, ['DATABASES_DIFFER refused new']],
    ['with more databases', { databases: 16 }, { databases: 4 }, []],
    ['that does not say how many databases it has', { databases: undefined }, { databases: 16 }, []],
    ['with functions of its own', { libraries: ['own'] }, {}, ['NODE_NOT_EMPTY refused new']],
    ['with functions of the others', { libraries: ['own'] }, { libraries: ['own', 'more'] }, []],
  ];
  const asReplica: Row[] = [
    ['like its master', secret, secret, []],
    ['without masterauth', { users: secret.users }, secret, ['CREDENTIALS_DIFFER refused new']],
    [
      'that its master could not follow',
      secret,
      { users: secret.users },
      ['CREDENTIALS_DIFFER forced member'],
    ],
    [
      'with a masterauth that its master refuses',
      { login: { user: '', secret: P } },
      {},
      ['CREDENTIALS_DIFFER refused new'],
    ],
    [
      'with a user for following',
      {
        users: usersOf({ default: open, follower: withP }),
        login: { user: 'follower', secret: P },
      },
      { users: usersOf({ default: open, follower: withP }), login: { user: 'follower', secret: P } },
      [],
    ],
    ['with fewer databases', { databases: 4 }, { databases: 16 }, ['DATABASES_DIFFER refused new']],
    ['too old', { rdb: 11, snapshot: 11 }, {}, ['TARGET_TOO_OLD refused new']],
    ['of a master that sends old snapshots', { rdb: 11, snapshot: 11 }, { rdb: 80, snapshot: 11 }, []],
    ['newer than its master', { rdb: 13, snapshot: 13 }, {}, ['TARGET_TOO_OLD warned new']],
  ];
  const roles: readonly [string, Row[], (member: NodeFacts) => NewcomerRole][] = [
    ['a master', asMaster, () => ({ kind: 'master' })],
    ['a replica', asReplica, (master) => ({ kind: 'replica', master })],
  ];
  for (const [what, rows, roleOf] of roles) {
    for (const [name, newcomer, other, expected] of rows) {
      it(`about ${what} ${name}: ${expected.join(', ') || 'nothing'}`, () => {
        const member = factsOf('member', other);
        const faults = newcomerFaults(factsOf('new', newcomer), [member], roleOf(member));
        assert.deepEqual(
          faults.map(({ code, how, address }) => `${code} ${how} ${address}`),
          expected,
        );
      });
    }
  }

  it('minds no version among the founders of a cluster', () => {
    const role: NewcomerRole = { kind: 'founder' };
    assert.deepEqual(newcomerFaults(factsOf('new', { rdb: 9 }), [factsOf('member')], role), []);
  });

  it('counts only a user that every member has', () => {
    const [one, other] = [factsOf('one', { users: usersOf({ default: open, app: withP }) }), factsOf('two')];
    assert.deepEqual(newcomerFaults(factsOf('new'), [one, other], { kind: 'master' }), []);
  });

  const user = fc.constantFrom(open, off, withP, withQ);
  const facts = fc.record({
    users: fc.option(fc.dictionary(fc.constantFrom('default', 'app'), user).map(usersOf), { nil: undefined }),
    login: fc.option(
      fc.record({ user: fc.constantFrom('', 'app'), secret: fc.constantFrom(undefined, P, Q) }),
      { nil: undefined },
    ),
    rdb: fc.constantFrom(undefined, 9, 10, 11, 12, 13, 80),
    libraries: fc.constantFrom([], ['own']),
  });

  it('never refuses a twin of the only member for its users, its version or its functions', () => {
    fc.assert(
      fc.property(facts, (same) => {
        const own = { ...same, snapshot: same.rdb };
        const faults = newcomerFaults(factsOf('new', own), [factsOf('member', own)], { kind: 'master' });
        assert.deepEqual(
          faults.filter(({ how }) => how !== 'warned'),
          [],
        );
      }),
    );
  });
});

describe('loginRefused()', () => {
  const reply = (code: string, message: string) => ({ code, message });
  const rows: [reply: ReturnType<typeof reply>, user: string | undefined, act: string | undefined][] = [
    [reply('ERR', 'ERR AUTH <password> called without any password configured'), undefined, 'configure'],
    [reply('NOAUTH', 'NOAUTH Authentication required.'), undefined, 'configure'],
    [reply('WRONGPASS', 'WRONGPASS invalid'), undefined, 'configure'],
    [reply('WRONGPASS', 'WRONGPASS invalid'), 'app', 'command'],
    [reply('NOPERM', 'NOPERM this user'), 'app', undefined],
    [reply('LOADING', 'LOADING'), undefined, undefined],
  ];
  for (const [error, user, act] of rows) {
    it(`of ${error.code} for ${user ?? 'the default user'} advises ${act ?? 'nothing'}`, () => {
      assert.equal(loginRefused('new', 'member', error, user)?.next?.[0]?.do, act);
    });
  }
});

describe('loginObstacle()', () => {
  const needsP = { users: usersOf({ default: withP }) };
  const rows: [user: string, secret: number | undefined, master: Credentials, string | undefined][] = [
    ['', undefined, { users: usersOf({ default: open }) }, undefined],
    ['', undefined, needsP, 'no-masterauth'],
    ['', undefined, { users: usersOf({ default: off }) }, 'no-masterauth'],
    ['', P, needsP, undefined],
    ['', P, { users: usersOf({ default: withQ }) }, 'other-masterauth'],
    ['', P, { users: usersOf({ default: open }) }, 'no-password-there'],
    ['default', P, { users: usersOf({ default: open }) }, undefined],
    ['app', P, { users: usersOf({ default: open }) }, 'masteruser-unknown'],
    ['app', P, { users: usersOf({ default: open, app: off }) }, 'masteruser-off'],
    ['app', P, { users: usersOf({ default: withQ, app: withP }) }, undefined],
    ['app', undefined, { users: usersOf({ default: open, app: withP }) }, undefined],
    // A master that does not show its users, or nothing at all.
    ['', undefined, { requires: { secret: P } }, 'no-masterauth'],
    ['', Q, { requires: { secret: P } }, 'other-masterauth'],
    ['', P, { requires: { secret: P } }, undefined],
    ['app', Q, { requires: { secret: P } }, undefined],
    ['', P, {}, undefined],
    ['', undefined, {}, undefined],
    ['', undefined, { ...needsP, trustsCertificates: true }, undefined],
  ];
  for (const [user, secret, master, expected] of rows) {
    it(`of "${user}" with ${secret ? `secret ${secret}` : 'no secret'} at ${JSON.stringify({ ...master, users: master.users && [...master.users] })} is ${expected}`, () => {
      assert.equal(loginObstacle({ login: { user, secret } }, master), expected);
      assert.equal(loginObstacle({}, master), undefined);
    });
  }
});

describe('readCredentials()', () => {
  const [hashP, hashQ] = ['a'.repeat(64), 'b'.repeat(64)];

  it('reads who may log in, and with which passwords', async () => {
    const lines = [
      'user default on nopass sanitize-payload ~* &* +@all',
      `user app on #${hashP} #${hashQ} ~app:* +get (~x -@all)`,
      'user gone off -@all',
      'nonsense',
    ];
    const [read] = await readCredentials([[['requirepass', ''], ['masterauth', ''], [], lines]]);
    assert.deepEqual(read, {
      login: { user: '', secret: undefined },
      requires: { secret: undefined },
      users: usersOf({
        default: { ...open, rules: 'on nopass sanitize-payload ~* &* +@all' },
        app: { ...open, needsNoPassword: false, secrets: [0, 1], rules: 'on ~app:* +get (~x -@all)' },
        gone: { ...off, rules: 'off -@all' },
      }),
      trustsCertificates: false,
    });
  });

  it('takes what a node does not show for unknown', async () => {
    const refused = new ReplyError('NOPERM');
    const hidden = [[], [], [], ['user default on nopass']];
    const [all, settings, nothing] = await readCredentials([
      [refused, refused, refused, refused],
      hidden,
      [],
    ]);
    for (const one of [all, settings, nothing]) {
      assert.equal(one?.login, undefined);
      assert.equal(one?.requires, undefined);
    }
    assert.ok(settings?.users?.get('default')?.needsNoPassword);
  });

  it('shows no secret, and equal ones of several nodes as equal numbers', async () => {
    const hash = createHash('sha256').update('S3CRET').digest('hex');
    const read = await readCredentials([
      [['requirepass', ''], ['masterauth', 'S3CRET', 'masteruser', 'app'], [], []],
      [['requirepass', 'S3CRET'], ['masterauth', 'OTH3R'], [], [`user app on #${hash} +@all`]],
    ]);
    assert.equal(read[0]?.login?.secret, read[1]?.users?.get('app')?.secrets[0]);
    assert.equal(read[0]?.login?.secret, read[1]?.requires?.secret);
    assert.notEqual(read[0]?.login?.secret, read[1]?.login?.secret);
    assert.doesNotMatch(inspect(read, { depth: 9 }), /S3CRET|OTH3R|[0-9a-f]{64}/);
  });
});

describe('isSameLogin()', () => {
  it('is true of users that one password opens', () => {
    const both: AclUser = { ...withP, secrets: [P, Q] };
    assert.equal(isSameLogin(both, withQ), true);
    assert.equal(isSameLogin(withP, withQ), false);
    assert.equal(isSameLogin(open, withP), false);
    assert.equal(isSameLogin(off, { ...off, secrets: [P] }), true);
    assert.equal(isSameLogin(off, open), false);
  });
});

describe('readsRdb()', () => {
  // As measured: RESTORE on the one of what DUMP gave on the other.
  const versions = {
    'Redis 6.0': 9,
    'Redis 7.0': 10,
    'Redis 8.0': 12,
    'Redis 8.6': 13,
    'Valkey 8.1': 11,
    'Valkey 9.1': 80,
  };
  const read: Readonly<Record<string, string>> = {
    'Redis 6.0': '9',
    'Redis 7.0': '9 10',
    'Redis 8.0': '9 10 11 12',
    'Redis 8.6': '9 10 11 12 13',
    'Valkey 8.1': '9 10 11',
    'Valkey 9.1': '9 10 11 80',
  };
  for (const [reader, own] of Object.entries(versions)) {
    it(`knows what ${reader} reads`, () => {
      const found = Object.values(versions).filter((written) => readsRdb(own, written));
      assert.equal(found.sort((a, b) => a - b).join(' '), read[reader]);
    });
  }
});
