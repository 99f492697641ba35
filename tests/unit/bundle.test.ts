import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { check, openBundle } from '../../lib/index.ts';
import { anonymous } from '../../lib/model/anonymous.ts';
import type { NodeRecording, Recorded, Recording, Unanswered } from '../../lib/model/recording.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { Recorder, replaying } from '../../lib/nodes/recorder.ts';
import { withoutSecrets } from '../../lib/nodes/secrets.ts';
import { bundleOf, LONGEST_BUNDLE, parseBundle } from '../../lib/operations/bundle-document.ts';
import { type Command, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';

const [A, B] = ['10.9.8.7:6201', 'redis-b.internal:6202'] as const;
const AT = { host: '10.9.8.7', port: 6201 };
const ID = ['1f', '2e', '3d'].map((digits) => digits.repeat(20));
const about = { by: '0.0.0', at: '2026-01-01T00:00:00.000Z', isAnonymous: false };

function recordingOf(...nodes: [string, Record<string, readonly (Recorded | Unanswered)[]>][]): Recording {
  return {
    asked: [A],
    nodes: new Map(
      nodes.map(([address, answers]): [string, NodeRecording] => [
        address,
        {
          answers: new Map(Object.entries(answers).map(([command, all]) => [command, [...all]])),
          keys: new Map([[0, new Map([[5, 2]])]]),
        },
      ]),
    ),
  };
}

/** What came and what went, of the same questions to nodes and to what was recorded of them. */
async function both(
  pipelines: readonly (readonly [commands: readonly Command[], replies: readonly Reply[] | Error])[],
): Promise<void> {
  const recorder = new Recorder();
  const settle = (work: Promise<Reply[]>) => work.catch((error: Error) => String(error));
  const live: unknown[] = [];
  for (const [commands, replies] of pipelines) {
    const send = () => (replies instanceof Error ? Promise.reject(replies) : Promise.resolve([...replies]));
    live.push(await settle(recorder.between(AT, commands, {}, send)));
  }
  const replay = new Connections({}, replaying(recorder));
  const later: unknown[] = [];
  for (const [commands] of pipelines) later.push(await settle(replay.askAll(AT, commands)));
  const shown = (replies: readonly unknown[]) =>
    JSON.stringify(replies, (_, reply) => (reply instanceof ReplyError ? reply.message : reply));
  assert.equal(shown(later), shown(live));
}

describe('A recording', () => {
  const refused = new ReplyError("NOPERM this user has no permissions to run the 'info' command");
  const count = (slot: number): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot];

  test('answers as the nodes did', async () => {
    await both([
      [[['CLUSTER', 'MYID']], ['first']],
      [
        [
          ['CLUSTER', 'MYID'],
          ['INFO', 'server'],
        ],
        ['second', refused],
      ],
      [[['CLUSTER', 'SHARDS']], [['slots', [0, 5], null]]],
    ]);
  });

  test('answers as they did in databases and transactions', async () => {
    await both([
      [
        [['MULTI'], ['INFO', 'keyspace'], count(1), count(2), ['EXEC']],
        ['OK', 'QUEUED', 'QUEUED', 'QUEUED', ['db0:keys=3', 3, 0]],
      ],
      [
        [['SELECT', 1], ['MULTI'], count(1), ['EXEC'], ['SELECT', 0]],
        ['OK', 'OK', 'QUEUED', [7], 'OK'],
      ],
    ]);
    const aborted = new ReplyError('EXECABORT Transaction discarded because of previous errors.');
    await both([
      [
        [['MULTI'], ['INFO', 'keyspace'], count(1), ['EXEC']],
        ['OK', refused, 'QUEUED', aborted],
      ],
    ]);
    const alone = new ReplyError('ERR EXEC without MULTI');
    await both([
      [
        [['MULTI'], count(1), ['EXEC']],
        [refused, 4, alone],
      ],
    ]);
  });

  test('fails as they did, and answers what came after', async () => {
    const lost = new ConnectionError('no answer within 5 ms', { code: 'TIMEOUT', address: A });
    await both([
      [
        [
          ['CLUSTER', 'NODES'],
          ['CLUSTER', 'INFO'],
        ],
        lost,
      ],
      [[['CLUSTER', 'INFO']], ['state']],
      [[['CLUSTER', 'NODES']], ['nodes']],
    ]);
  });

  test('says of anything else that it was not asked', async () => {
    const replay = new Connections({}, replaying(recordingOf([A, {}])));
    const [reply] = await replay.askAll(AT, [['FLUSHALL']]);
    assert.ok(reply instanceof ReplyError);
    await assert.rejects(replay.askAll({ host: 'other', port: 1 }, [['PING']]), { code: 'NOT_RECORDED' });
  });
});

describe('withoutSecrets()', () => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const PASSWORDS = ['hunter2', 'hunter3'] as const;
  const recording = recordingOf([
    A,
    {
      'CONFIG GET requirepass': [['requirepass', PASSWORDS[0]]],
      'CONFIG GET master*': [['masterauth', PASSWORDS[0], 'masteruser', 'repl', 'master-secret', 'x']],
      'CONFIG GET cluster-*': [['cluster-config-file', '/var/lib/secret.conf', 'cluster-node-timeout', '1']],
      'ACL LIST': [
        [
          `user default on #${sha256(PASSWORDS[0])} ~* &* +@all`,
          `user app on #${sha256(PASSWORDS[1])} ~customer:* %R~other:* &channel:* -@all +get (~in-brackets:* +set)`,
        ],
      ],
      'FUNCTION LIST WITHCODE': [[['library_name', 'lib', 'library_code', 'secret code']]],
      'INFO server': ['redis_version:8.6.0\r\nconfig_file:/etc/secret.conf\r\nexecutable:/opt/secret\r\n'],
      'GET customer:1': ['secret value'],
    },
  ]);
  const bare = withoutSecrets(recording);
  const text = JSON.stringify(bundleOf(bare, about));

  test('leaves nothing of them', () => {
    for (const secret of [
      ...PASSWORDS,
      ...PASSWORDS.map(sha256),
      'secret.conf',
      'secret code',
      'master-secret',
      'secret value',
      'customer',
      'other:',
      'channel:',
    ])
      assert.ok(!text.includes(secret), secret);
    assert.ok(!text.includes('in-brackets'));
    for (const kept of [
      'redis_version:8.6.0',
      'cluster-node-timeout',
      'repl',
      '~* &* +@all',
      '+get',
      '+set)',
    ])
      assert.ok(text.includes(kept), kept);
  });

  test('leaves equal what is equal: a password and its hash', () => {
    const answers = bare.nodes.get(A)?.answers;
    const [[, required = ''] = []] = (answers?.get('CONFIG GET requirepass') ?? []) as string[][];
    const [[first = '', second = ''] = []] = (answers?.get('ACL LIST') ?? []) as string[][];
    assert.ok(first.includes(`#${sha256(required)} `));
    assert.ok(!second.includes(sha256(required)));
  });
});

describe('anonymous()', () => {
  const NAMES = [
    '10.9.8.7',
    '10.11.12.13',
    'redis-b',
    'internal',
    'fd12::7',
    '6201',
    '6202',
    '6203',
    'zone-x',
  ];
  const nodes = [
    `${ID[0]} 10.9.8.7:6201@16201,redis-a.internal,shard-id=${ID[2]},nodename=secret myself,master - 0 0 1 connected 0-5 [5->-${ID[1]}]`,
    `${ID[1]} fd12::7:6202@27002 slave ${ID[0]} 0 0 1 connected`,
    `${ID[2]} :0@0 master,noaddr - 0 0 0 disconnected`,
    '',
  ].join('\n');
  const hidden = anonymous(
    recordingOf(
      [
        A,
        {
          'CLUSTER NODES': [nodes],
          'INFO replication': [
            'role:master\r\nmaster_host:redis-b.internal\r\nmaster_port:6202\r\nslave0:ip=fd12::7,port=6202,state=online,offset=1,lag=0\r\nnote:secret words\r\n',
          ],
          'INFO server': [
            `redis_version:8.6.0\r\navailability_zone:zone-x\r\nrun_id:${ID[2]}\r\ntcp_port:6201\r\n`,
          ],
          'CLUSTER SHARDS': [
            [
              [
                ...['slots', [0, 5], 'nodes'],
                [['id', ID[0] ?? '', 'port', 6201, 'ip', '10.9.8.7', 'role', 'master', 'new', 'secret']],
              ],
            ],
          ],
          'CONFIG GET cluster-*': [['cluster-announce-ip', '10.9.8.7', 'cluster-node-timeout', '15000']],
          'ACL LIST': [['user default on', 'user secret-app on']],
        },
      ],
      [
        B,
        {
          'CLUSTER NODES': [
            {
              failed: 'ConnectionError',
              message: `Cannot connect to ${B} at 10.11.12.13:6203: connect ECONNREFUSED 10.11.12.13:6203`,
              code: 'ECONNREFUSED',
            },
            { error: "NOPERM User secret-app has no permissions to run the 'cluster|nodes' command" },
          ],
        },
      ],
    ),
  );
  const text = JSON.stringify(bundleOf(hidden, about));

  test('leaves no name', () => {
    for (const name of [...NAMES, ...ID, 'secret'])
      assert.ok(!new RegExp(`(?<!\\w)${name.replaceAll('.', '\\.')}(?!\\w)`).test(text), name);
    assert.ok(!text.includes('secret'));
  });

  test('puts the same for the same in every place', () => {
    const [seed = '', second = ''] = [...hidden.nodes.keys()];
    const lines = String(hidden.nodes.get(seed)?.answers.get('CLUSTER NODES')?.[0]).split('\n');
    const [id = ''] = (lines[0] ?? '').split(' ');
    assert.equal(hidden.asked[0], seed);
    assert.ok(lines[0]?.includes(` ${seed}@`), lines[0]);
    assert.match(lines[1] ?? '', /^[0-9a-f]{40} fd00::[0-9a-f]+:\d+@\d+ slave /);
    assert.ok(lines[1]?.includes(` slave ${id} `));
    assert.ok(lines[2]?.includes(' :0@0 master,noaddr '));
    const failure = hidden.nodes.get(second)?.answers.get('CLUSTER NODES')?.[0] as Unanswered;
    assert.ok(failure.message.startsWith(`Cannot connect to ${second} at 10.100.`), failure.message);
  });
});

describe('A bundle', () => {
  const document = bundleOf(
    recordingOf([
      A,
      {
        'CLUSTER NODES': ['a\nb\n', { failed: 'ConnectionError', message: 'm', code: 'TIMEOUT' }],
        'CLUSTER INFO': ['a:1\r\n', { error: 'ERR no' }, 5, null, ['deep', ['b\nc']]],
      },
    ]),
    about,
  );

  test('is read as it was written', () => {
    const { at, ...read } = parseBundle(JSON.stringify(document));
    assert.equal(at, about.at);
    assert.deepEqual(bundleOf(read, about), document);
    const heard = { ...document, unlisted: true };
    const { at: _, ...again } = parseBundle(JSON.stringify(heard));
    assert.deepEqual(bundleOf(anonymous(withoutSecrets(again)), about).unlisted, true);
  });

  test('that is damaged, too large or too new is refused with its reason', async () => {
    const text = JSON.stringify(document);
    const cases: readonly (readonly [text: string, reason: RegExp])[] = [
      [text.slice(0, -9), /cut short/],
      ['', /not JSON/],
      ['[]', /no "bundle"/],
      ['null', /no "bundle"/],
      ['{"version":1,"steps":[]}', /no "bundle"/],
      [text.replace('"bundle":1', '"bundle":2'), /version 2.*update/],
      [text.replace(`"asked":["${A}"]`, '"asked":[]'), /asked/],
      [text.replace(`"asked":["${A}"]`, '"asked":["nonsense"]'), /asked\[0\]/],
      [text.replace('"failed"', '"fooled"'), /nodes\[0\]\.answers\.CLUSTER NODES\[1\]/],
      [text.replace('"nodes":[', '"more":1,"nodes":['), /unknown field/],
      [text.replace('["deep",', `${'['.repeat(100)}"a"${']'.repeat(100)},["deep",`), /deep/],
      [' '.repeat(LONGEST_BUNDLE + 1), /maximum/],
    ];
    for (const [wrong, reason] of cases) {
      await assert.rejects(openBundle(wrong), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'BUNDLE_INVALID', wrong.slice(0, 100));
        assert.match(error.message, reason);
        return true;
      });
    }
  });

  test('without a word of its first node is a cluster that cannot be asked', async () => {
    await assert.rejects(check(await openBundle({ ...document, nodes: [] })), { code: 'NOT_RECORDED' });
  });
});
