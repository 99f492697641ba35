// What people read of errors, findings and steps, each once. Other tests hold to codes and fields; this one shows the words in a
// diff of messages.snapshot.txt when they change: REDIS_TRIB_UPDATE_SNAPSHOTS=1 node --import tsx --test tests/unit/messages.test.ts
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe } from 'node:test';
import { checked } from '../../lib/cli/check-view.ts';
import { describeError } from '../../lib/cli/error-view.ts';
import type { Io } from '../../lib/cli/io.ts';
import {
  ClusterError,
  ConnectionError,
  type MovedSoFar,
  NOTHING_SO_FAR,
  ReplyError,
} from '../../lib/errors.ts';
import type { Stopped } from '../../lib/events.ts';
import type { Finding } from '../../lib/findings/finding.ts';
import { type Facts, findingsOf } from '../../lib/findings/findings.ts';
import { inversePlan, parsePlan, planRebalance, planReshard } from '../../lib/index.ts';
import { type Answers, type Expectation, unmet } from '../../lib/model/expectation.ts';
import type { NodeRecord } from '../../lib/model/node.ts';
import type { NodeSetup } from '../../lib/model/setup.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import {
  cannotFence,
  cannotMigrate,
  keyConflict,
  keysAstray,
  keysInDoubt,
  targetNotProven,
} from '../../lib/move/by-migrate/migrate-errors.ts';
import type { Ends } from '../../lib/move/ends.ts';
import { unknownNode } from '../../lib/move/unknown-node.ts';
import { notReached } from '../../lib/nodes/wait-until.ts';
import { planFix } from '../../lib/plan/fix.ts';
import { describeStep, type Plan, type Step } from '../../lib/plan/plan.ts';
import type { PlanView } from '../../lib/plan/plan-view.ts';
import { standingOf } from '../../lib/plan/standing.ts';
import { type Odd, startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { bulk } from '../helpers/made-up-server.ts';
import { openSnapshots } from '../helpers/snapshot.ts';
import {
  type Answer,
  agreedView,
  detailsOf,
  idOf,
  type Line,
  portOf,
  reportOf,
  viewOf,
} from '../helpers/views.ts';

const snapshots = openSnapshots('unit/messages.snapshot.txt');
const dir = mkdtempSync(join(tmpdir(), 'redis-trib-messages-'));
after(() => rmSync(dir, { recursive: true }));
mkdirSync(join(dir, 'full'));
writeFileSync(join(dir, 'full', 'other'), 'not a plan');

const name = (node: number): string => `127.0.0.1:${portOf(node)}`;
const refOf = (node: number) => ({ id: idOf(node), address: name(node) });
const [owns, rest] = ['0-8191', '8192-16383'];
const two: Line[] = [
  { node: 1, slots: owns },
  { node: 2, slots: rest },
];
const pairs: Line[] = [
  ...two,
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
  { node: 4, flags: 'slave', master: 2, epoch: 2 },
];

// ---- Whole command lines, in the words of each dialect -------------------------------------------------------------------

interface Scene {
  readonly title: string;
  readonly reports: readonly Line[] | Readonly<Record<number, Answer>>;
  readonly silent?: readonly number[];
  readonly odd?: Odd;
  /** In which `N1` stands for the address of node 1. */
  readonly native?: string;
  readonly compat?: string;
  readonly io?: Partial<Io>;
}

const refuse =
  (command: string, reply: string): Odd =>
  (_, words) =>
    words.join(' ').startsWith(command) ? `-${reply}\r\n` : undefined;

/** The slots of node 2 have an owner that failed. */
const dead: Line[] = [
  { node: 1, slots: '0-8190' },
  { node: 2, flags: 'master,fail', slots: rest, link: 'disconnected' },
  { node: 3, slots: '8191' },
];
const saysNo: Partial<Io> = { canAsk: () => true, ask: async () => 'no' };

const scenes: readonly Scene[] = [
  { title: 'A node that is down', reports: two, native: 'check N9', compat: 'check N9' },
  { title: 'None of several nodes answers', reports: two, native: 'check N8,N9' },
  {
    title: 'A password is asked for',
    reports: two,
    odd: refuse('CLUSTER', 'NOAUTH Authentication required.'),
    native: 'check N1',
    compat: 'check N1',
  },
  {
    title: 'A wrong password',
    reports: two,
    odd: refuse('AUTH', 'WRONGPASS invalid username-password pair or user is disabled.'),
    native: 'check N1 -a wrong',
    compat: 'check N1 -a wrong',
  },
  {
    title: 'A password for a node without one',
    reports: two,
    odd: refuse('AUTH', 'ERR AUTH <password> called without any password configured for the default user.'),
    native: 'check N1 -a wrong',
    compat: 'check N1 -a wrong',
  },
  {
    title: 'A user without the right',
    reports: two,
    odd: refuse('CLUSTER NODES', "NOPERM User trib has no permissions to run the 'cluster|nodes' command"),
    native: 'check N1',
    compat: 'check N1',
  },
  {
    title: 'An unknown command',
    reports: two,
    odd: refuse('CLUSTER NODES', "ERR unknown command 'CLUSTER'"),
    native: 'check N1',
    compat: 'check N1',
  },
  {
    title: 'A server without cluster mode',
    reports: two,
    odd: refuse('CLUSTER', 'ERR This instance has cluster support disabled'),
    native: 'check N1',
    compat: 'check N1',
  },
  {
    title: 'A reply that makes no sense',
    reports: two,
    odd: (_, words) => (words[1] === 'NODES' ? bulk('hello world\n') : undefined),
    native: 'check N1',
    compat: 'check N1',
  },
  {
    title: 'Another operator',
    reports: two,
    odd: (_, words) =>
      words[1] === 'LIST'
        ? bulk('id=1 addr=10.0.0.9:1 name=redis-trib:change:00000000 age=7 cmd=x\n')
        : undefined,
    native: 'migrate_slots N1 N2 5',
    compat: `reshard N1 --cluster-from ${idOf(1)} --cluster-to ${idOf(2)} --cluster-slots 5 --cluster-yes`,
  },
  {
    title: 'A node in no cluster',
    reports: { 1: { lines: [{ node: 1 }], state: 'fail' } },
    native: 'quit N1',
  },
  { title: 'The last node', reports: [{ node: 1, slots: '0-16383' }], native: 'quit N1' },
  { title: 'A master with replicas', reports: pairs, native: 'quit N1' },
  { title: 'More nodes', reports: two, native: 'shutdown N1' },
  { title: 'A member joins', reports: two, native: 'join N1 N2', compat: 'add-node N2 N1' },
  {
    title: 'A member with another share joins',
    reports: [
      { node: 1, slots: '0-16000' },
      { node: 2, slots: '16001-16383' },
    ],
    native: 'join N1 N2',
  },
  { title: 'A node joins itself', reports: two, native: 'join N1 N1', compat: 'add-node N1 N1' },
  { title: 'A replica as the target', reports: pairs, native: 'migrate_slots N1 N4 5' },
  { title: 'Slots of another', reports: two, native: 'migrate_slots N1 N2 5 9000' },
  {
    title: 'No such node',
    reports: two,
    native: 'del_node N1 ffffffffffff',
    compat: 'del-node N1 ffffffffffff',
  },
  {
    title: 'An id that two nodes share',
    reports: two,
    native: 'del_node N1 000000000000',
  },
  {
    title: 'A master with slots is to leave',
    reports: two,
    native: `del_node N1 ${idOf(2)}`,
    compat: `del-node N1 ${idOf(2)}`,
  },
  { title: 'No replica elsewhere', reports: two, native: 'drain N1 N2' },
  {
    title: 'No replica to take the place of a master that is restarted',
    reports: two,
    native: 'restart N1 --exec true',
  },
  {
    title: 'More slots than there are',
    reports: two,
    native: 'reshard N1 --from N1 --to N2 --slots 9000 --yes',
  },
  {
    title: 'Slots that are not served',
    reports: dead,
    silent: [2],
    native: 'migrate_slots N1 N3 5',
    compat: `reshard N1 --cluster-from ${idOf(1)} --cluster-to ${idOf(3)} --cluster-slots 5 --cluster-yes`,
  },
  {
    title: 'Slots of a failed master',
    reports: dead,
    silent: [2],
    native: 'fix N1 --yes',
    compat: 'fix N1 --cluster-yes',
  },
  {
    title: 'A node that does not answer',
    reports: two,
    silent: [2],
    native: 'rebalance N1 --yes --agree-timeout 100',
  },
  {
    title: 'Nodes that disagree',
    reports: {
      1: { lines: two },
      2: {
        lines: [
          { node: 1, slots: '0-8100' },
          { node: 2, slots: '8101-16383' },
        ],
      },
    },
    native: 'rebalance N1 --yes --agree-timeout 100',
  },
  {
    title: 'Slots that a node does not take',
    reports: { 1: { lines: [{ node: 1 }], state: 'fail' } },
    odd: refuse('CLUSTER ADDSLOTS', 'ERR Slot 0 is already busy'),
    native: 'start N1',
  },
  {
    title: 'A refused reset',
    reports: [{ node: 1, slots: '0-16383' }],
    odd: refuse('CLUSTER RESET', "ERR CLUSTER RESET can't be called with master nodes containing keys"),
    native: 'shutdown N1',
  },
  {
    title: 'A failover that does not happen',
    reports: pairs,
    native: 'failover N3 --agree-timeout 1000',
  },
  {
    title: 'A failover to a replica of a replica',
    reports: [...pairs, { node: 5, flags: 'slave', master: 3, epoch: 1 }],
    native: 'failover N5 --mode takeover',
  },
  {
    title: 'A failover to a replica of a master without slots',
    reports: [...pairs, { node: 5 }, { node: 6, flags: 'slave', master: 5, epoch: 5 }],
    native: 'failover N6',
  },
  {
    title: 'A node timeout that a node does not take',
    reports: two,
    odd: refuse('CONFIG SET', "NOPERM User trib has no permissions to run the 'config|set' command"),
    native: 'set_timeout N1 5000',
    compat: 'set-timeout N1 5000',
  },
  {
    title: 'An open slot',
    reports: [{ node: 1, slots: `${owns} [5->-${idOf(2)}]` }, two[1] as Line],
    native: `backup N1 --dir ${dir}/open`,
  },
  {
    title: 'A directory that holds something',
    reports: two,
    native: `backup N1 --dir ${dir}/full`,
    compat: `backup N1 ${dir}/full`,
  },
  { title: 'A directory without a backup', reports: two, native: `restore N1 --yes --dir ${dir}/full` },
  {
    title: 'A source that is in a cluster',
    reports: two,
    native: 'import N1 --from N2 --yes',
    compat: 'import N1 --cluster-from N2',
  },
  { title: 'A plan that is not one', reports: two, native: `apply ${dir}/full/other --yes` },
  { title: 'A no', reports: two, native: 'rebalance N1 --weight N1=2', io: saysNo },
  {
    title: 'Nobody to ask about slots',
    reports: [
      { node: 1, slots: owns },
      { node: 2, slots: '8192-16382' },
    ],
    native: 'fix N1',
  },
  { title: 'A method that the servers lack', reports: two, native: 'migrate_slots N1 N2 5 --method atomic' },
  { title: 'Nothing that counts CPU time', reports: two, native: 'rebalance N1 --by cpu --yes' },
  { title: 'A name of no command', reports: two, native: 'chekc N1', compat: 'chekc N1' },
  { title: 'A name of no option', reports: two, native: 'check N1 --josn', compat: 'check N1 --josn' },
  { title: 'Too few arguments', reports: two, native: 'join N1', compat: 'add-node N1' },
  { title: 'Something other than an address', reports: two, native: 'check N', compat: 'check N' },
  { title: 'Something other than slots', reports: two, native: 'migrate_slots N1 N2 16384' },
  { title: 'Something other than a number', reports: two, native: 'join N1 N2 --timeout ten' },
  { title: 'Something other than a size', reports: two, native: 'join N1 N2 --big-keys ten' },
  {
    title: 'Something other than a weight',
    reports: two,
    native: 'rebalance N1 --yes --weight a',
    compat: 'rebalance N1 --cluster-weight a',
  },
  { title: 'Nobody to ask', reports: two, native: 'rebalance N1' },
  { title: 'A user without a password', reports: two, native: 'check N1 --user me' },
  { title: 'An option of TLS without TLS', reports: two, native: 'check N1 --insecure' },
];

/** In place of what differs between runs. */
function steady(text: string): string {
  return text
    .replaceAll(dir, 'DIR')
    .replace(/\b\d+(\.\d+)? (s|ms)\b/g, 'N $2')
    .replace(/ -p \d{5} /g, ' -p PORT ');
}

async function printed({ reports, silent = [], odd, io }: Scene, line: string): Promise<string> {
  await using cluster = await startMadeUpCluster(reports, { silent, odd });
  const words = line.replace(/\bN(\d)\b/g, (_, node) => cluster.address(Number(node))).split(' ');
  const { code, stdout, stderr } = await runMain(words, io);
  return `${steady(cluster.plain(stderr === '' ? stdout : stderr))}(${code})`;
}

describe('Command lines', { concurrency: 8 }, () => {
  for (const scene of scenes) {
    const { title, native, compat } = scene;
    if (native !== undefined) snapshots.check(`${title}: ${steady(native)}`, () => printed(scene, native));
    if (compat !== undefined)
      snapshots.check(`${title}: ${steady(`--cluster ${compat}`)}`, () =>
        printed(scene, `--cluster ${compat}`),
      );
  }
});

// ---- Errors that take a server to come about: as the code makes them -----------------------------------------------------

const ends = {
  source: refOf(1),
  target: refOf(2),
  targetAddress: { host: '127.0.0.1', port: portOf(2) },
  migrateTo: { host: '127.0.0.1', port: portOf(9) },
  targetReport: reportOf(2, { lines: two }),
} as Ends;
const refusal = Object.assign(new ReplyError('NOPERM no permissions'), {
  address: name(1),
  command: 'MIGRATE',
});
const plan: Plan = planReshard(agreedView(two), { from: [idOf(1)], to: idOf(2), slots: [[0, 99]] });

const errors: Readonly<Record<string, () => unknown>> = {
  'A key with two values': () => keyConflict(ends, [{ slot: 5, keys: ['a', 'b'] }]),
  'A batch that cannot be moved': () => cannotMigrate(ends, 5, refusal),
  'A batch that cannot be moved, with keys of unknown whereabouts': () =>
    cannotMigrate(ends, 5, refusal, ['a']),
  'A MIGRATE in flight that cannot be ruled out': () => cannotFence(ends, 5, refusal),
  'A target that is not where keys are sent': () => targetNotProven(ends, 'node x answers there'),
  'Keys that went elsewhere': () => keysAstray(ends, 12),
  'A stranger that got a copy': () => targetNotProven(ends, 'it does not arrive', { copied: 'a' }),
  'A member that does not know the target': () => unknownNode(refOf(2), [refOf(1)]),
  'Keys that may have been deleted': () => keysInDoubt(ends, ['a', 'b']),
  'A wait that gives up': () => notReached('the nodes to know one another', 59_900, ['a', 'b']),
  'A step that cannot be taken back': () =>
    inversePlan({ ...plan, steps: [{ type: 'reset', node: refOf(2) }] }),
  'A plan of an unknown version': () => parsePlan('{"version":2}'),
  'Weights that add up to nothing': () =>
    planRebalance(agreedView(two), { weights: { [idOf(1)]: 0, [idOf(2)]: 0 } }),
  'A peer that does not speak TLS': () =>
    connectionError('EPROTO', 'it does not answer in TLS', 'not-spoken'),
  'A peer that may expect TLS': () =>
    connectionError('CLOSED', 'the peer closed the connection (it may expect TLS)', 'expected'),
  'A certificate of an unknown authority': () =>
    connectionError('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate', 'untrusted'),
};

function connectionError(code: string, message: string, tls: ConnectionError['tls']): ConnectionError {
  return new ConnectionError(`Cannot connect to ${name(1)}: ${message}`, {
    code,
    address: name(1),
    sent: false,
    tls,
  });
}

const typed = { dialect: 'native', values: {} } as const;

/** What is thrown or returned. */
function outcomeOf(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    return error;
  }
}

describe('Errors', () => {
  for (const [title, make] of Object.entries(errors))
    snapshots.check(title, () =>
      describeError(outcomeOf(make), { interrupted: false, password: undefined, typed }),
    );
});

describe('An error of an operation that had begun', () => {
  const failed = (moved: MovedSoFar) =>
    new ClusterError('MIGRATE_FAILED', 'It failed', { moved, openSlots: [3] });
  const context = { interrupted: false, password: undefined, typed };
  for (const [title, moved] of Object.entries({
    'Failed after slots were moved': { slots: 12, planned: 100, keys: 34, bytes: 0 },
    'Failed before a slot was moved': { ...NOTHING_SO_FAR, planned: 100 },
    'Failed after keys were copied': { ...NOTHING_SO_FAR, keys: 1 },
  }))
    snapshots.check(title, () => describeError(failed(moved), context));
});

describe('An interruption', () => {
  const interrupted = { interrupted: true, password: undefined, typed };
  const stopped = (part: Partial<Stopped>): Stopped => ({
    type: 'stopped',
    moved: NOTHING_SO_FAR,
    ...{ openSlots: [], silent: [], resumable: 'same-call', next: [{ do: 'retry' }] },
    ...part,
  });
  const moved = { slots: 12, planned: 100, keys: 34, bytes: 0 };
  for (const [title, context] of Object.entries({
    'Interrupted before anything was planned': interrupted,
    'Interrupted with no slot open': { ...interrupted, stopped: stopped({ moved }) },
    'Interrupted before a slot had moved': {
      ...interrupted,
      stopped: stopped({ moved: { ...NOTHING_SO_FAR, planned: 100 } }),
    },
    'Interrupted with open slots': { ...interrupted, stopped: stopped({ openSlots: [3, 4, 9] }) },
    'Interrupted beside a node that does not answer': {
      ...interrupted,
      stopped: stopped({ moved, openSlots: [3], silent: ['127.0.0.1:7001'] }),
    },
    'Interrupted when the rest of a number of slots is left': {
      ...interrupted,
      stopped: stopped({ moved, resumable: 'rest', next: [{ do: 'retry-rest', slots: 88 }] }),
    },
    'Interrupted during a failover': {
      ...interrupted,
      stopped: stopped({ failovers: ['127.0.0.1:7003'] }),
    },
    'Interrupted while keys were copied': {
      ...interrupted,
      stopped: stopped({ moved: { ...NOTHING_SO_FAR, keys: 5 } }),
    },
  }))
    snapshots.check(title, () => describeError(new Error('stop'), context));
});

// ---- What check finds ------------------------------------------------------------------------------------------------------

async function shown(findings: readonly Finding[], view: ClusterView): Promise<string> {
  const { text } = await checked({ ok: false, findings, view: { ...view, nodes: [] }, details: new Map() });
  return text
    .split('\n')
    .filter((line) => !line.startsWith('[OK]'))
    .join('\n');
}

const MB = 1024 * 1024;
const known = (fields: Readonly<Record<number, Parameters<typeof detailsOf>[0] | Error>>): Facts => ({
  details: new Map(
    Object.entries(fields).map(([node, own]) => [
      idOf(Number(node)),
      own instanceof Error ? own : detailsOf(own),
    ]),
  ),
});
const memory = (counted: number, max: number, policy = 'noeviction') => ({
  memory: { used: counted, counted, max, policy },
});

const sixNodes: readonly Line[] = [
  { node: 1, slots: '0-5460' },
  { node: 2, slots: '5461-10922' },
  { node: 3, slots: '10923-16383' },
  ...[1, 2, 3].map((master): Line => ({ node: master + 3, flags: 'slave', master, epoch: master })),
];

/** The cluster with each node on its host. */
function onHosts(lines: readonly Line[], hosts: Readonly<Record<number, number>>): ClusterView {
  const view = agreedView(lines);
  const hostOf = new Map(Object.entries(hosts).map(([node, host]) => [idOf(Number(node)), `10.0.0.${host}`]));
  const move = (node: NodeRecord): NodeRecord => ({
    ...node,
    address: { ...node.address, host: hostOf.get(node.id) ?? '' },
  });
  const reports = new Map(
    [...view.reports].map(([id, report]) => [id, { ...report, records: report.records.map(move) }]),
  );
  return { ...view, reports, nodes: view.nodes.map(move) };
}

interface SetupFields {
  readonly settings?: Readonly<Record<string, string>>;
  readonly libraries?: Readonly<Record<string, string>>;
  readonly login?: NodeSetup['login'];
  readonly password?: number;
  readonly user?: string;
  readonly shardId?: string;
}

function setup({ settings, libraries = {}, login, password, user, shardId = 'a' }: SetupFields): NodeSetup {
  const usual = { 'cluster-node-timeout': '0', save: '0', maxmemory: '0', ...settings };
  const secrets = password === undefined ? [] : [password];
  const open = { isOn: true, needsNoPassword: password === undefined, secrets, rules: '' };
  return {
    settings: new Map(Object.entries(usual)),
    libraries: new Map(Object.entries(libraries)),
    login: login ?? { user: '', secret: undefined },
    users: new Map(['default', ...(user ? [user] : [])].map((name) => [name, open])),
    shardId,
  };
}

const sick: Readonly<Record<string, [ClusterView, Facts?]>> = {
  'Slots without an owner': [
    agreedView([
      { node: 1, slots: owns },
      { node: 2, slots: '8193-16382' },
    ]),
  ],
  'A failed master and its slots': [agreedView(dead, [2])],
  'A node that does not answer, and is not failed': [agreedView(two, [2])],
  'Open slots': [
    agreedView([
      { node: 1, slots: `${owns} [7->-${idOf(2)}]` },
      { node: 2, slots: `${rest} [7-<-${idOf(1)}] [9-<-${idOf(5)}]` },
    ]),
  ],
  'Slots that two masters claim': [
    viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-8200' },
          { node: 2, slots: '8201-16383' },
        ],
      },
      2: { lines: two },
    }),
  ],
  'A node that does not know another': [viewOf({ 1: { lines: two }, 2: { lines: [two[1] as Line] } })],
  'A node that does not know another, and claims its slots': [
    viewOf({ 1: { lines: two }, 2: { lines: [{ node: 2, slots: '8191-16383' }] } }),
  ],
  'A node that says fail, a link that is down, a config epoch of two masters': [
    viewOf({
      1: {
        lines: [
          { node: 1, epoch: 5, slots: owns },
          { node: 2, epoch: 5, slots: rest, link: 'disconnected' },
        ],
        state: 'fail',
      },
      2: {
        lines: [
          { node: 1, epoch: 5, slots: owns },
          { node: 2, epoch: 5, slots: rest },
        ],
      },
    }),
  ],
  'A role that nodes disagree about': [
    viewOf({
      1: { lines: pairs },
      2: { lines: pairs.map((line) => (line.node === 3 ? { node: 3, epoch: 1 } : line)) },
      3: { lines: pairs },
      4: { lines: pairs },
    }),
  ],
  'A master that nodes disagree about': [
    viewOf({
      1: { lines: pairs },
      2: { lines: pairs.map((line) => (line.node === 3 ? { ...line, master: 2 } : line)) },
      3: { lines: pairs },
      4: { lines: pairs },
    }),
  ],
  'A config epoch that nodes disagree about': [
    viewOf({
      1: { lines: pairs },
      2: { lines: pairs.map((line) => (line.node === 1 ? { ...line, epoch: 9 } : line)) },
      3: { lines: pairs },
      4: { lines: pairs },
    }),
  ],
  'A master without a replica': [agreedView(pairs.slice(0, 3))],
  'Replication that is down, copies or lags': [
    agreedView([...pairs, { node: 5, flags: 'slave', master: 1, epoch: 1 }]),
    known({
      1: {
        offset: 100 * MB,
        replicas: [{ host: '127.0.0.1', port: portOf(5), offset: 50 * MB, lagSeconds: 60 }],
      },
      3: { link: { status: 'down', downSeconds: 7 } },
      4: { link: { status: 'copying', downSeconds: 7 } },
      5: {},
    }),
  ],
  'A link to a master that was never up': [agreedView(pairs), known({ 3: { link: { status: 'down' } } })],
  'Replicas that follow or ask the wrong node': [
    agreedView([...pairs, { node: 5, flags: 'slave', master: 3, epoch: 1 }, { node: 6 }]),
    {
      ...known({
        1: { replicationId: 'a' },
        3: { link: { status: 'down', asks: { host: '127.0.0.1', port: 7009 } } },
        4: { link: { status: 'up', asks: { host: '127.0.0.1', port: 7009 } }, replicationId: 'b' },
        2: { replicationId: 'c' },
      }),
      setups: new Map([
        [idOf(1), { shardId: 'x' }],
        [idOf(6), { shardId: 'x' }],
      ]),
    },
  ],
  'A mark on a replica': [
    agreedView(pairs.map((line) => (line.node === 3 ? { ...line, slots: `[7->-${idOf(2)}]` } : line))),
  ],
  'Two nodes in one zone': [
    agreedView(pairs),
    {
      zones: new Map([
        [idOf(1), 'a'],
        [idOf(3), 'a'],
      ]),
    },
  ],
  'Memory, policies and versions': [
    agreedView(pairs),
    known({ 1: memory(95, 100), 2: {}, 3: { ...memory(1, 0, 'allkeys-lru'), version: 'Valkey 9.1.0' } }),
  ],
  'A node that says nothing of itself, and a save that failed': [
    agreedView(two),
    known({ 1: new Error('NOPERM'), 2: { isSaveFailing: true } }),
  ],
  'Most masters on one host': [onHosts(sixNodes, { 1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3 })],
  'Most masters on one host, and no replica elsewhere': [
    onHosts(
      sixNodes.map((line) => (line.node > 3 ? { node: line.node } : line)),
      { 1: 1, 2: 1, 3: 2, 4: 3, 5: 3, 6: 3 },
    ),
  ],
  'Most masters on one of two hosts': [onHosts(sixNodes, { 1: 1, 2: 1, 3: 2, 4: 2, 5: 2, 6: 1 })],
  'Two replicas on one host': [
    onHosts([...pairs, { node: 5, flags: 'slave', master: 1, epoch: 1 }], { 1: 1, 2: 3, 3: 2, 4: 1, 5: 2 }),
  ],
  'A master without slots': [agreedView([...two, { node: 3 }])],
  'Nodes that are set up otherwise': [
    agreedView(pairs),
    {
      setups: new Map([
        [
          idOf(1),
          setup({ settings: { 'cluster-node-timeout': '1', save: '1' }, libraries: { lib: 'x', more: 'x' } }),
        ],
        [idOf(2), setup({ libraries: { lib: 'y' } })],
        [idOf(3), setup({ settings: { maxmemory: '1' }, shardId: 'b', user: 'app' })],
        [idOf(4), setup({})],
      ]),
    },
  ],
  'Nodes that could not replicate others': [
    agreedView(pairs),
    {
      setups: new Map([
        [idOf(1), setup({ password: 1 })],
        [idOf(2), setup({ password: 1, login: { user: '', secret: 2 } })],
        [idOf(3), setup({ password: 1, login: { user: 'nobody', secret: 1 } })],
        [idOf(4), setup({ password: 1, login: { user: '', secret: 1 } })],
      ]),
    },
  ],
  'A masterauth where there is no password': [
    agreedView(pairs),
    {
      setups: new Map([
        [idOf(1), setup({})],
        [idOf(3), setup({ login: { user: '', secret: 1 } })],
      ]),
    },
  ],
  'One id at two addresses': [
    agreedView(two),
    { sharedIds: [{ id: idOf(1), addresses: [name(1), '127.0.0.1:7009'] }] },
  ],
};

describe('Findings', () => {
  for (const [title, [view, beside]] of Object.entries(sick))
    snapshots.check(title, () => shown(findingsOf(view, beside), view));
});

// ---- What nodes do not say yet, and how a cluster differs from a plan ---------------------------------------------------------

const members = [refOf(1), refOf(2)];
const healthy: Readonly<Record<number, Answer | Error>> = { 1: { lines: two }, 2: { lines: two } };
const waits: Readonly<Record<string, [Expectation, Readonly<Record<number, Answer | Error>>]>> = {
  'A member that does not answer': [{ members }, { ...healthy, 2: new Error('connect ECONNREFUSED') }],
  'A member that was not asked': [{ members }, { 1: { lines: two } }],
  'A member that does not know another': [{ members }, { ...healthy, 1: { lines: [two[0] as Line] } }],
  'A member that another says has failed': [
    { members },
    { ...healthy, 1: { lines: [two[0] as Line, { node: 2, slots: rest, flags: 'master,fail?' }] } },
  ],
  'A member without a link to another': [
    { members },
    { ...healthy, 1: { lines: [two[0] as Line, { node: 2, slots: rest, link: 'disconnected' }] } },
  ],
  'A member that still knows a node that left': [
    { members, gone: [idOf(9)] },
    { ...healthy, 1: { lines: [...two, { node: 9 }] } },
  ],
  'A member that sees another owner': [{ members, owners: [{ id: idOf(2), slots: [[100, 101]] }] }, healthy],
  'A member that sees a master instead of a replica': [
    { members, replicas: [{ id: idOf(3), masterId: idOf(1) }] },
    { ...healthy, 1: { lines: [...two, { node: 3 }] } },
  ],
  'A member that reports cluster_state:fail': [{ members }, { ...healthy, 1: { lines: two, state: 'fail' } }],
};

describe('What is waited for', () => {
  for (const [title, [expectation, answers]] of Object.entries(waits))
    snapshots.check(title, () => {
      const given: Answers = new Map(
        Object.entries(answers).map(([node, answer]) => [
          idOf(Number(node)),
          answer instanceof Error ? answer : reportOf(Number(node), answer),
        ]),
      );
      return unmet(expectation, given)
        .map(({ text }) => text)
        .join('\n');
    });
});

describe('What differs from a plan', () => {
  const seen = (
    lines: readonly Line[],
    silent: readonly number[] = [],
    more: Partial<PlanView> = {},
  ): PlanView => {
    const view = agreedView(lines, silent);
    const none = new Map<string, never>();
    return {
      view,
      members: new Set(view.nodes.map(({ id }) => id)),
      ...{ otherIds: none, keys: none, reached: new Set<string>(), copying: new Set<string>() },
      ...more,
    };
  };
  const otherIds = new Map([[idOf(2), { id: idOf(7), isFresh: true }]]);
  for (const [title, now] of Object.entries({
    'Slots that have another owner': seen([
      { node: 1, slots: '0-199 210-8191' },
      { node: 2, slots: '200-209 8192-16383' },
    ]),
    'Slots that have none': seen([{ node: 1, slots: '0-8190' }, two[1] as Line]),
    'A node that came in': seen([...two, { node: 4 }]),
    'A node that left': seen(two.slice(0, 1)),
    'A node that was replaced': seen(two.slice(0, 1), [], { otherIds }),
    'A node that is silent': seen(two, [2]),
    'Slots that are open': seen([{ node: 1, slots: `${owns} [500->-${idOf(2)}]` }, two[1] as Line]),
    'A master that is a replica': seen([
      { node: 1, flags: 'slave', master: 2 },
      { node: 2, slots: '0-16383' },
    ]),
  }))
    snapshots.check(title, () =>
      standingOf(plan, now)
        .differences.map(({ text }) => text)
        .join('\n'),
    );
});

// ---- Slots that fix leaves, and the steps of plans -----------------------------------------------------------------------------

describe('Slots that fix leaves as they are', () => {
  const [to, from] = [
    (node: number, slot: number) => `[${slot}->-${idOf(node)}]`,
    (node: number, slot: number) => `[${slot}-<-${idOf(node)}]`,
  ];
  for (const [title, view] of Object.entries({
    'Those whose owner or target does not answer': agreedView(
      [
        { node: 1, slots: `${owns} ${to(2, 5)}` },
        { node: 2, slots: rest },
        { node: 3, slots: from(2, 9000) },
      ],
      [2],
    ),
    'Those that no master owns': agreedView([{ node: 1, slots: `0-4 ${from(2, 5)}` }, { node: 2 }]),
  }))
    snapshots.check(title, () =>
      planFix(view)
        .undecided.map(({ slot, reason }) => `${slot}: ${reason}`)
        .join('\n'),
    );
});

describe('Steps', () => {
  const [a, b] = [refOf(1), refOf(2)];
  const by = Array.from({ length: 9 }, (_, index) => refOf(index + 2));
  const slots = [
    [0, 5],
    [9, 9],
  ] as const;
  const steps: readonly Step[] = [
    { type: 'assign-slots', node: a, slots: [[0, 5]], configEpoch: 3, maxSlots: 9 },
    { type: 'meet', nodes: [a], to: [b], serving: true },
    { type: 'meet', nodes: [a, b], to: [], serving: true },
    { type: 'meet-again', nodes: [a], members: [a, b], serving: true },
    { type: 'meet-again', nodes: [a, b], members: [a, b], serving: true, isFast: true },
    { type: 'replicate', replica: b, master: a, isAgain: true },
    { type: 'load-functions', node: a, from: b, libraries: ['one', 'two'] },
    { type: 'load-functions', node: a, from: b, libraries: ['one'], replaces: ['one', 'own'] },
    { type: 'replicate', replica: b, master: a },
    { type: 'move-slots', source: a, target: b, slots },
    { type: 'move-slots', source: a, target: b, slots: [[9, 9]] },
    { type: 'close-slots', node: a, owner: b, slots: [[9, 9]] },
    { type: 'take-slots', node: a, from: [b], slots: [[9, 9]] },
    { type: 'take-slots', node: a, from: [], slots: [[9, 9]] },
    { type: 'failover', replica: b, master: a, mode: 'graceful' },
    { type: 'failover', replica: b, master: a, mode: 'takeover' },
    { type: 'forget', node: a, by: [b] },
    { type: 'forget', node: a, by },
    { type: 'reset', node: a },
    {
      type: 'restart',
      nodes: [
        { ...a, runId: '' },
        { ...b, runId: '' },
      ],
    },
  ];
  snapshots.check('Every type of step', () => steps.map(describeStep).join('\n'));
});
