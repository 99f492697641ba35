import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isReady, stepDown, waitFor } from '../../lib/index.ts';
import { doubts } from '../../lib/operations/is-ready.ts';
import { lacks, type Observed, type WaitCondition } from '../../lib/operations/wait-for.ts';
import { type Odd, startMadeUpCluster } from '../helpers/made-up-cluster.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { bulk } from '../helpers/made-up-server.ts';
import { type Answer, agreedView, detailsOf, idOf, type Line, reportOf, viewOf } from '../helpers/views.ts';

const lines: Line[] = [
  { node: 1, slots: '0-5000' },
  { node: 2, slots: '5001-10000' },
  { node: 3, slots: '10001-16383' },
  { node: 4, flags: 'slave', master: 1, epoch: 1 },
];
const changed = (node: number, fields: Partial<Line>): Line[] =>
  lines.map((line) => (line.node === node ? { ...line, ...fields } : line));

describe('doubts() about a node', () => {
  const saying = (...reports: (readonly Line[])[]) =>
    reports.map((some, index) => ({ name: `${index}`, records: reportOf(2, { lines: some }).records }));
  const of = (node: number, ...reports: (readonly Line[])[]) =>
    doubts(reportOf(node, { lines }).myself, saying(...reports)).length;
  const without = lines.filter(({ node }) => node !== 1);
  const table: readonly (readonly [string, number, number])[] = [
    ['none, if others know it', of(1, lines, lines, lines), 0],
    ['none, if no other answers', of(1), 0],
    ['none, if one of three does not know it', of(1, lines, without, lines), 0],
    ['none, if one of two does not', of(1, lines, without), 0],
    ['some, if two of three do not', of(1, lines, without, without), 2],
    ['some, if they consider it failed', of(1, changed(1, { flags: 'master,fail' })), 1],
    ['some, if they consider it a replica', of(1, changed(1, { flags: 'slave', master: 2, slots: '' })), 1],
    ['some, if they consider it a replica of another', of(4, changed(4, { master: 2 })), 1],
    ['some, if another took its slots', of(1, changed(2, { epoch: 9, slots: '5000-10000' })), 1],
    ['none, if another claims them with a lower epoch', of(3, changed(2, { slots: '5000-10001' })), 0],
  ];
  for (const [what, found, expected] of table) test(what, () => assert.equal(found, expected));
});

describe('lacks()', () => {
  const up = detailsOf({ link: { status: 'up' } });
  const below = { host: '127.0.0.1', port: 7004, offset: 0, lagSeconds: 0 };
  const replicas = [below];
  const details = new Map([1, 2, 3].map((node) => [idOf(node), detailsOf(node === 1 ? { replicas } : {})]));
  const observed = (fields: Partial<Observed> = {}): Observed => ({
    answering: 4,
    silent: [],
    strangers: [],
    view: agreedView(lines),
    details: new Map([...details, [idOf(4), up]]),
    ...fields,
  });
  const none: Observed = { answering: 0, silent: ['a:1 does not answer'], strangers: [] };
  const all: WaitCondition[] = [{ nodes: 4 }, 'listening', 'serving', 'in-sync', 'agreed'];
  const lacking = (seen: Observed) => all.filter((one) => lacks(one, seen).length > 0);
  const copying = new Map([...details, [idOf(4), detailsOf({ link: { status: 'copying' } })]]);
  const failing: Record<number, Answer> = Object.fromEntries(
    [1, 2, 3, 4].map((node) => [node, { lines, state: node === 2 ? 'fail' : 'ok' }]),
  );
  const unknown: Record<number, Answer> = Object.fromEntries(
    [1, 2, 3, 4].map((node) => [node, { lines: node === 2 ? lines.slice(0, 3) : lines }]),
  );
  const dead = changed(4, { flags: 'slave,fail', link: 'disconnected' });
  const table: readonly (readonly [string, Observed, readonly WaitCondition[]])[] = [
    ['nothing of a healthy cluster', observed(), []],
    ['everything if no node answers', none, all],
    ['nodes', observed({ answering: 3 }), [{ nodes: 4 }]],
    ['listening, of an address that does not answer', observed({ silent: ['a:1'] }), ['listening']],
    [
      'listening, in-sync and agreed, of a silent replica',
      observed({ view: agreedView(lines, [4]) }),
      ['listening', 'in-sync', 'agreed'],
    ],
    [
      'listening, serving and agreed, of a silent master that others are linked to',
      observed({ view: agreedView(lines, [2]) }),
      ['listening', 'serving', 'agreed'],
    ],
    ['nothing, of a dead replica', observed({ view: agreedView(dead, [4]) }), []],
    ['in-sync, of a replica that copies', observed({ details: copying }), ['in-sync']],
    [
      'in-sync, of a replica that follows a replica',
      observed({
        view: agreedView([...lines, { node: 5, flags: 'slave', master: 4, epoch: 1 }]),
        details: new Map([
          ...details,
          [idOf(4), { ...up, replicas: [{ ...below, port: 7005 }] }],
          [idOf(5), up],
        ]),
      }),
      ['in-sync'],
    ],
    ['serving, of a node in cluster_state:fail', observed({ view: viewOf(failing) }), ['serving']],
    ['agreed, of a node that does not know another', observed({ view: viewOf(unknown) }), ['agreed']],
    ['agreed, of one that is in another cluster', observed({ strangers: ['a:1'] }), ['agreed']],
    [
      'serving, of a slot of nobody',
      observed({ view: agreedView(changed(3, { slots: '10001-16382' })) }),
      ['serving'],
    ],
  ];
  for (const [what, seen, expected] of table) test(what, () => assert.deepEqual(lacking(seen), expected));
});

describe('isReady()', () => {
  const asked = async (
    node: number,
    odd?: Odd,
    reports: readonly Line[] | Readonly<Record<number, Answer>> = lines,
  ) => {
    await using cluster = await startMadeUpCluster(reports, { odd });
    return await isReady(cluster.address(node));
  };

  test('is ok of a master and of a linked replica', async () => {
    assert.deepEqual((await asked(1)).missing, []);
    assert.deepEqual((await asked(4)).missing, []);
  });

  test('is not of a node that is loading, whether it refuses or only says so', async () => {
    const refuses: Odd = (_, [word]) => (word === 'CLUSTER' ? '-LOADING Redis is loading\r\n' : undefined);
    const says: Odd = (_, [word]) => (word === 'INFO' ? bulk('role:master\r\nloading:1\r\n') : undefined);
    for (const odd of [refuses, says]) {
      const { ok, missing } = await asked(1, odd);
      assert.deepEqual([ok, missing.length], [false, 1]);
    }
  });

  test('is not of a replica without a link, or of a node that reports cluster_state:fail', async () => {
    const down: Odd = (_, [word]) =>
      word === 'INFO' ? bulk('role:slave\r\nmaster_link_status:down\r\n') : undefined;
    assert.equal((await asked(4, down)).missing.length, 1);
    const failing = Object.fromEntries(lines.map(({ node }) => [node, { lines, state: 'fail' as const }]));
    assert.equal((await asked(1, undefined, failing)).missing.length, 1);
  });

  test('is not of a replica that follows a replica: it sends every client away', async () => {
    const chained = [...lines, { node: 5, flags: 'slave', master: 4, epoch: 1 }];
    const reports = Object.fromEntries(chained.map(({ node }) => [node, { lines: chained }]));
    assert.equal((await asked(5, undefined, reports)).missing.length, 1);
    assert.equal((await asked(4, undefined, reports)).ok, true);
  });

  test('does not wait for others that hang', async () => {
    const started = performance.now();
    const hangs: Odd = (node, [word, sub]) =>
      node !== 1 && word === 'CLUSTER' && sub === 'NODES' ? '' : undefined;
    assert.equal((await asked(1, hangs)).ok, true);
    assert.ok(performance.now() - started < 3000);
  });
});

describe('waitFor()', () => {
  test('ends in time and says what is missing, if nodes hang, are gone, or have no name', async () => {
    await using cluster = await startMadeUpCluster(lines, { odd: (node) => (node === 1 ? '' : undefined) });
    for (const nodes of [[cluster.address(1)], ['127.0.0.1:1'], ['no-such-host.invalid:7000']]) {
      const started = performance.now();
      await assert.rejects(waitFor(nodes, { timeout: 300 }), { code: 'NOT_REACHED' });
      assert.ok(performance.now() - started < 2000, `${nodes}`);
    }
  });

  test('takes what any of several nodes reports', async () => {
    await using cluster = await startMadeUpCluster(lines);
    const { nodes } = await waitFor(['127.0.0.1:1', cluster.address(2)], { timeout: 5000 });
    assert.equal(nodes, 4);
    await assert.rejects(
      waitFor(['127.0.0.1:1', cluster.address(2)], { timeout: 300, conditions: ['listening'] }),
      { code: 'NOT_REACHED' },
    );
    const ran = await runMain([
      'wait',
      `127.0.0.1:1,${cluster.address(2)}`,
      '--for',
      'nodes=4,serving',
      '--json',
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.deepEqual(JSON.parse(ran.stdout).conditions, [{ nodes: 4 }, 'serving']);
  });

  test('refuses conditions that it does not know', async () => {
    const { code, stderr } = await runMain(['wait', '127.0.0.1:1', '--for', 'served']);
    assert.equal(code, 2);
    assert.match(stderr, /"served"/);
  });
});

describe('stepDown()', () => {
  const stepping = async (
    node: number,
    options: Parameters<typeof stepDown>[1],
    odd?: Odd,
    some: readonly Line[] = lines,
  ) => {
    await using cluster = await startMadeUpCluster(some, { odd });
    const started = performance.now();
    const end = await stepDown(cluster.address(node), options).catch((error) => error);
    return { end, elapsedMs: performance.now() - started };
  };

  test('asks a replica, or a master without slots, nothing but what it is', async () => {
    const asked: string[] = [];
    const odd: Odd = (_, words) => {
      asked.push(words.slice(0, 2).join(' '));
      return undefined;
    };
    const empty = [...lines, { node: 5 }];
    for (const node of [4, 5]) {
      const { end } = await stepping(node, {}, odd, empty);
      assert.deepEqual([end.applied, end.plan.steps], [true, []]);
    }
    assert.deepEqual(new Set(asked), new Set(['CLIENT SETNAME', 'CLUSTER NODES', 'CLUSTER INFO']));
  });

  test('rejects at once for a master without a replica', async () => {
    const { end, elapsedMs } = await stepping(2, {});
    assert.equal(end.code, 'NO_REPLICA');
    assert.ok(elapsedMs < 2000);
  });

  test('waits for a master that has not heard of the failover that replaced it', async () => {
    const since = lines.flatMap((line): Line[] => {
      if (line.node === 1) return [{ node: 1, flags: 'slave', master: 4, epoch: 9 }];
      return line.node === 4 ? [{ node: 4, slots: '0-5000', epoch: 9 }] : [line];
    });
    const reports = Object.fromEntries(
      [1, 2, 3, 4].map((node) => [node, { lines: node === 1 ? lines : since }]),
    );
    await using cluster = await startMadeUpCluster(reports);
    await assert.rejects(stepDown(cluster.address(1), { within: 500 }), { code: 'NOT_REACHED' });
  });

  test('ends within its time, whatever hangs', async () => {
    const stages: readonly Odd[] = [
      () => '',
      (node) => (node === 4 ? '' : undefined),
      (node, [word]) => (node === 4 && word === 'INFO' ? '' : undefined),
      (_, [word, sub]) => (word === 'CLIENT' && sub === 'LIST' ? '' : undefined),
      (_, [word, sub]) => (word === 'CLUSTER' && sub === 'FAILOVER' ? '' : undefined),
      // It never takes over.
      () => undefined,
    ];
    for (const [index, odd] of stages.entries()) {
      const { end, elapsedMs } = await stepping(1, { within: 400 }, odd);
      assert.equal(end.code, 'NOT_REACHED', `${index}: ${end}`);
      assert.ok(elapsedMs < 1500, `${index}: ${elapsedMs} ms`);
    }
  });

  test('ends soon with the reason of its signal, before it asks a replica to take over', async () => {
    const stop = new AbortController();
    const copying: Odd = (node, [word]) => {
      if (node !== 4 || word !== 'INFO') return undefined;
      stop.abort(new Error('Not today'));
      return bulk('role:slave\r\nmaster_link_status:down\r\n');
    };
    const { end, elapsedMs } = await stepping(1, { signal: stop.signal }, copying);
    assert.equal(end, stop.signal.reason);
    assert.ok(elapsedMs < 3000);
  });

  test('says what may still happen when its signal aborts after a replica was asked', async () => {
    const stop = new AbortController();
    const asked: Odd = (_, [word, sub]) => {
      if (word === 'CLUSTER' && sub === 'FAILOVER') stop.abort(new Error('Not today'));
      return undefined;
    };
    const { end } = await stepping(1, { signal: stop.signal }, asked);
    assert.deepEqual([end.code, end.cause === stop.signal.reason], ['ABORTED', true], `${end}`);
    assert.match(`${end}`, /failover to \S+ may still happen/);
  });

  test('says what it waited for', async () => {
    const copying: Odd = (node, [word]) =>
      node === 4 && word === 'INFO'
        ? bulk('role:slave\r\nmaster_link_status:down\r\nmaster_sync_in_progress:1\r\n')
        : undefined;
    const { end } = await stepping(1, { within: 400 }, copying);
    assert.match(end.message, /is still copying its master/);
  });
});
