import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import type { Finding, FindingKind } from '../../lib/findings/finding.ts';
import { findingsOf } from '../../lib/findings/findings.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import { readSetups } from '../../lib/nodes/setup.ts';
import { type Reply, ReplyError } from '../../resp/index.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, detailsOf, idOf, type Line } from '../helpers/views.ts';

const whole: readonly Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
  { node: 4, flags: 'slave', master: 2, epoch: 2 },
];
const masters = whole.slice(0, 2);

/** What a node is set up with, as its configuration says it. */
interface Own {
  readonly config?: Readonly<Record<string, string>>;
  readonly users?: Readonly<Record<string, string>>;
  readonly libraries?: Readonly<Record<string, string>>;
  readonly shardId?: string;
  /** What it refuses. */
  readonly refuses?: readonly ('config' | 'users' | 'libraries')[];
}

const DEFAULTS = {
  'cluster-node-timeout': '15000',
  'cluster-require-full-coverage': 'yes',
  'cluster-announce-ip': '',
  maxmemory: '0',
  appendonly: 'no',
  save: '3600 1',
  requirepass: '',
  masterauth: '',
  masteruser: '',
};
const hashOf = (password: string): string => createHash('sha256').update(password, 'latin1').digest('hex');

function repliesOf({ config = {}, users = {}, libraries = {}, shardId, refuses = [] }: Own): Reply[] {
  const all: Readonly<Record<string, string>> = { ...DEFAULTS, ...config };
  const refused = new ReplyError('NOPERM this user has no permissions');
  const get = (isMeant: (name: string) => boolean): Reply =>
    refuses.includes('config')
      ? refused
      : Object.entries(all).flatMap(([name, value]) => (isMeant(name) ? [name, value] : []));
  const password = all.requirepass;
  const known = {
    default: password ? `on #${hashOf(password)} ~* &* +@all` : 'on nopass ~* &* +@all',
    ...users,
  };
  return [
    get((name) => name.startsWith('cluster-')),
    ...[
      'maxmemory',
      'appendonly',
      'save',
      'min-replicas-to-write',
      'stop-writes-on-bgsave-error',
      'requirepass',
    ].map((one) => get((name) => name === one)),
    get((name) => name.startsWith('master')),
    get((name) => name.startsWith('tls-auth-clients')),
    refuses.includes('users')
      ? refused
      : Object.entries(known).map(([name, rules]) => `user ${name} ${rules}`),
    refuses.includes('libraries')
      ? refused
      : Object.entries(libraries).map(([name, code]) => [
          ...['library_name', name, 'engine', 'LUA', 'functions', []],
          ...['library_code', code],
        ]),
    shardId?.repeat(40) ?? new ReplyError('ERR unknown subcommand'),
  ];
}

async function findingsFor(
  nodes: Readonly<Record<number, Own>>,
  lines: readonly Line[] = whole,
  versions: Readonly<Record<number, string>> = {},
): Promise<Finding[]> {
  const answers = new Map(lines.map(({ node }) => [idOf(node), repliesOf(nodes[node] ?? {})]));
  const details = new Map(
    lines.map(({ node }): [string, NodeDetails] => [
      idOf(node),
      detailsOf({ version: versions[node] ?? 'Redis 8.6.0' }),
    ]),
  );
  const setups = await readSetups(answers);
  return findingsOf(agreedView(lines), { setups, details }).filter(({ kind }) => kind !== 'version-differs');
}

const shown = (findings: readonly Finding[]): string[] =>
  findings.map(({ severity, kind, nodes }) =>
    [severity, kind, ...nodes.map((name) => name.slice(-1))].join(' '),
  );

const all = (own: Own, lines = whole): Record<number, Own> =>
  Object.fromEntries(lines.map(({ node }) => [node, own]));
const secured = { config: { requirepass: 'sesame', masterauth: 'sesame' } };
const operator = { users: { trib: `on #${hashOf('open')} ~* +@all` } };
const asTrib = { config: { masteruser: 'trib', masterauth: 'open' }, ...operator };

describe('Nodes that are set up alike', () => {
  for (const [title, own] of Object.entries<Own>({
    'with defaults': {},
    'with a password': secured,
    'with a user for replication': asTrib,
    'with functions': { libraries: { lib: '#!lua name=lib' } },
    'that refuse to say': { refuses: ['config', 'users', 'libraries'] },
    'that refuse to show users': { ...secured, refuses: ['users'] },
  })) {
    test(`${title} are no finding`, async () => {
      assert.deepEqual(shown(await findingsFor(all(own))), []);
    });
  }

  test('but for one that refuses are no finding', async () => {
    const refuses = ['config', 'users', 'libraries'] as const;
    assert.deepEqual(shown(await findingsFor({ ...all(secured), 2: { ...secured, refuses } })), []);
  });

  test('but for what is their own are no finding', async () => {
    const nodes = {
      1: { config: { 'cluster-announce-ip': '10.0.0.1', maxmemory: '1' } },
      3: { config: { maxmemory: '1' } },
    };
    assert.deepEqual(shown(await findingsFor(nodes)), []);
    // A common layout: replicas save, masters do not.
    const saves = { config: { save: '60 1', appendonly: 'yes' } };
    assert.deepEqual(shown(await findingsFor({ 3: saves, 4: saves })), []);
  });

  test('with passwords, of which most clusters have one, load no cryptography', async () => {
    const setups = await readSetups(new Map([1, 2].map((node) => [idOf(node), repliesOf(secured)])));
    const [one, two] = setups.values();
    assert.deepEqual(one, two);
    assert.equal(one?.users?.get('default')?.secrets[0], one?.login?.secret);
    assert.equal(one?.requires?.secret, one?.login?.secret);
  });
});

describe('A node that could not replicate', () => {
  const rows: readonly [string, Record<number, Own>, readonly string[]][] = [
    [
      'without masterauth',
      { ...all(secured), 1: { config: { requirepass: 'sesame' } } },
      ['warning cannot-follow 1 2 3 4'],
    ],
    [
      'with another masterauth',
      { ...all(secured), 1: { config: { ...secured.config, masterauth: 'old' } } },
      ['warning cannot-follow 1 2 3 4'],
    ],
    [
      'whose masteruser is unknown',
      { ...all(asTrib), 1: { config: { masteruser: 'gone', masterauth: 'open' }, ...operator } },
      ['warning cannot-follow 1 2 3 4'],
    ],
    [
      'whose masteruser is off',
      all({ ...asTrib, users: { trib: `off #${hashOf('open')} ~* +@all` } }),
      [1, 2, 3, 4].map(
        (node) => `warning cannot-follow ${[node, ...[1, 2, 3, 4].filter((one) => one !== node)].join(' ')}`,
      ),
    ],
    [
      'with a masterauth, to a node that requires none',
      { ...all(secured), 2: { config: { masterauth: 'sesame' } } },
      [
        'warning cannot-follow 1 2',
        'warning cannot-follow 3 2',
        'warning cannot-follow 4 2',
        'warning users-differ 2',
      ],
    ],
  ];
  for (const [title, nodes, wanted] of rows) {
    test(title, async () => {
      const findings = await findingsFor(nodes);
      assert.deepEqual(shown(findings), wanted);
      assert.doesNotMatch(inspect(findings, { depth: 9 }), /sesame|old|open|[0-9a-f]{64}/);
    });
  }

  test('is told by requirepass if it refuses to show users', async () => {
    const blind = { ...secured, refuses: ['users'] } as const;
    for (const masterauth of ['', 'old']) {
      const one = { ...blind, config: { ...secured.config, masterauth } };
      assert.deepEqual(shown(await findingsFor({ ...all(blind), 1: one })), [
        'warning cannot-follow 1 2 3 4',
      ]);
    }
  });

  test('is no finding if certificates log in', async () => {
    const config = { requirepass: 'sesame', 'tls-auth-clients-user': 'CN' };
    assert.deepEqual(shown(await findingsFor(all({ config }))), []);
  });

  test('is no finding in a cluster without replicas', async () => {
    const nodes = all({ config: { requirepass: 'sesame' } }, masters);
    assert.deepEqual(shown(await findingsFor(nodes, masters)), []);
  });

  test('is advised to be given its masterauth', async () => {
    const [finding] = await findingsFor({ ...all(secured), 1: { config: { requirepass: 'sesame' } } });
    assert.deepEqual(finding?.next, [{ do: 'configure', node: '127.0.0.1:7001', settings: ['masterauth'] }]);
  });
});

describe('Nodes that are set up otherwise', () => {
  const differs: readonly [string, Record<number, Own>, readonly string[], RegExp][] = [
    [
      'a setting by which nodes judge',
      { 4: { config: { 'cluster-node-timeout': '999' } } },
      ['warning settings-differ 4'],
      /cluster-node-timeout/,
    ],
    [
      'a node timeout that a killed run has left on all',
      all({ config: { 'cluster-node-timeout': '2001' } }),
      ['warning settings-differ 1 2 3 4'],
      /still 2001/,
    ],
    [
      'a setting of masters',
      { 2: { config: { appendonly: 'yes' } } },
      ['info settings-differ 2'],
      /appendonly/,
    ],
    [
      'the memory of a replica',
      { 3: { config: { maxmemory: '999' } } },
      ['warning settings-differ 3 1'],
      /maxmemory/,
    ],
    [
      'fewer databases',
      { ...all({ config: { 'cluster-databases': '9999' } }), 2: { config: { 'cluster-databases': '999' } } },
      ['warning settings-differ 2'],
      /fewer databases/,
    ],
    ['a user that one lacks', { ...all(operator), 3: {} }, ['warning users-differ 3'], /lacks "trib"/],
    ['a user that only one has', { 3: operator }, ['warning users-differ 3'], /has "trib" besides/],
    [
      'a user with another password',
      { ...all(operator), 3: { users: { trib: `on #${hashOf('999')} ~* +@all` } } },
      ['warning users-differ 3'],
      /passwords or rules for "trib"/,
    ],
    [
      'a user with other rules',
      { ...all(operator), 3: { users: { trib: `on #${hashOf('open')} ~999 +@all` } } },
      ['warning users-differ 3'],
      /trib/,
    ],
    [
      'functions that a master lacks',
      { 1: { libraries: { lib: '999' } }, 3: { libraries: { lib: '999' } } },
      ['warning functions-differ 2'],
      /lacks "lib"/,
    ],
    [
      'functions with other code',
      { 1: { libraries: { lib: '999' } }, 2: { libraries: { lib: '9999' } } },
      ['warning functions-differ 2'],
      /other code for "lib"/,
    ],
    [
      'shard ids of a replica and its master',
      { 1: { shardId: 'a' }, 2: { shardId: 'b' }, 3: { shardId: 'b' }, 4: { shardId: 'b' } },
      ['warning shards-differ 3 1'],
      /shard id/,
    ],
  ];
  for (const [title, nodes, wanted, words] of differs) {
    test(`by ${title}: names only`, async () => {
      const findings = await findingsFor(nodes);
      assert.deepEqual(shown(findings), wanted);
      assert.match(findings[0]?.message ?? '', words);
      assert.doesNotMatch(inspect(findings, { depth: 9 }), /999|[0-9a-f]{64}/);
    });
  }

  test('of another version may write rules otherwise, and lack settings', async () => {
    const other = { ...operator.users, default: 'on nopass ~* +@all' };
    const nodes = {
      ...all(operator),
      3: { users: other },
      4: { ...operator, config: { 'cluster-new': 'yes' } },
    };
    assert.deepEqual(shown(await findingsFor(nodes, whole, { 3: 'Redis 6.0.20' })), []);
    assert.deepEqual(shown(await findingsFor(nodes)), ['warning users-differ 3']);
  });

  test('of two halves, one is named', async () => {
    const slow = { config: { 'cluster-node-timeout': '30000' } };
    assert.deepEqual(shown(await findingsFor({ 3: slow, 4: slow })), [
      'warning settings-differ 3',
      'warning settings-differ 4',
    ]);
    assert.deepEqual(shown(await findingsFor({ 1: slow, 4: slow })), [
      'warning settings-differ 2',
      'warning settings-differ 3',
    ]);
  });

  test('are named by no value, whatever the values are', async () => {
    const secret = fc.stringMatching(/^[QZ]{6,12}$/);
    await fc.assert(
      fc.asyncProperty(fc.array(secret, { minLength: 12, maxLength: 12 }), async (secrets) => {
        const nodes = Object.fromEntries(
          whole.map(({ node }): [number, Own] => {
            const [password = '', auth = '', code = ''] = secrets.slice((node - 1) * 3);
            return [
              node,
              {
                config: { requirepass: password, masterauth: auth, save: code },
                users: { app: `on #${hashOf(auth)} ~${code} +@all` },
                libraries: { lib: code },
              },
            ];
          }),
        );
        const text = inspect(await findingsFor(nodes), { depth: 9 });
        for (const value of secrets) {
          assert.ok(!text.includes(value) && !text.includes(hashOf(value)), 'a finding shows a value');
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('Members that list a replica in another shard than its master', () => {
  const listed = (lists: Readonly<Record<number, readonly (readonly number[])[]>>): string[] => {
    const shards = new Map(
      Object.entries(lists).map(([node, groups]) => [idOf(Number(node)), groups.map((ids) => ids.map(idOf))]),
    );
    const setups = new Map(whole.map(({ node }) => [idOf(node), { shardId: 'a' }]));
    return shown(findingsOf(agreedView(whole), { setups, shards }));
  };
  const right = [
    [1, 3],
    [2, 4],
  ];

  test('are none if all list them together, or do not list them', () => {
    assert.deepEqual(
      listed({
        1: right,
        2: [
          [2, 4],
          [3, 1],
        ],
        3: [[1], [2, 4]],
        4: [],
      }),
      [],
    );
  });

  test('are named with the replica', () => {
    assert.deepEqual(listed({ 1: right, 2: [[1], [3], [2, 4]], 4: [[1], [2, 4, 3]] }), [
      'warning shards-differ 3 1 2 4',
    ]);
  });
});

test('Findings on setups are of these kinds, and each says what to do next', async () => {
  const kinds: readonly FindingKind[] = [
    'cannot-follow',
    'functions-differ',
    'settings-differ',
    'shards-differ',
    'users-differ',
  ];
  const findings = await findingsFor({
    1: { ...secured, shardId: 'a', libraries: { lib: 'x' } },
    2: { config: { appendonly: 'yes' } },
    3: { shardId: 'b' },
  });
  assert.deepEqual([...new Set(findings.map(({ kind }) => kind))].sort(), kinds);
  for (const { hint, next, kind } of findings) assert.ok(hint || next?.length, `${kind} has no advice`);
});
