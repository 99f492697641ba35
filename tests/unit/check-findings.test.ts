import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Finding, FindingKind } from '../../lib/findings/finding.ts';
import { type Facts, findingsOf } from '../../lib/findings/findings.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import { NodeLines } from '../../lib/model/node-lines.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { detailsOf as readDetails } from '../../lib/nodes/inspect.ts';
import { parseInfo } from '../../lib/nodes/node-info.ts';
import {
  agreedView,
  detailsOf,
  idOf,
  type Line,
  nodesText,
  readLineByLine,
  viewOf,
} from '../helpers/views.ts';

const MB = 1024 * 1024;
const halves: Line[] = [
  { node: 1, slots: '0-8191' },
  { node: 2, slots: '8192-16383' },
];
const replicas: Line[] = [
  { node: 3, flags: 'slave', master: 1, epoch: 1 },
  { node: 4, flags: 'slave', master: 2, epoch: 2 },
];
const whole = [...halves, ...replicas];

function found(view: ClusterView, kind: FindingKind, beside: Facts = {}): Finding[] {
  return findingsOf(view, beside).filter((finding) => finding.kind === kind);
}

function details(fields: Readonly<Record<number, Partial<NodeDetails> | Error>>): Facts {
  const known = new Map(
    Object.entries(fields).map(([node, own]): [string, NodeDetails | Error] => [
      idOf(Number(node)),
      own instanceof Error ? own : detailsOf(own),
    ]),
  );
  return { details: known };
}

/** The severity of each finding, and the last part of the address of each node. */
function shown(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, nodes }) =>
    [severity, ...nodes.map((name) => name.split(':').at(-1))].join(' '),
  );
}

test('Every finding says what to do next', () => {
  const view = viewOf({
    1: {
      lines: [halves[0] as Line, { node: 2, epoch: 1, slots: '9000-16383 [9-<-abc]', link: 'x' }],
      state: 'fail',
    },
    2: { lines: [halves[1] as Line, { node: 1, epoch: 1, slots: '0-8191' }] },
  });
  const all = findingsOf(view, details({ 1: new Error('no'), 2: { isSaveFailing: true } }));
  assert.ok(all.length > 4, 'there are findings');
  for (const { hint, next, kind } of all) assert.ok(hint || next?.length, `${kind} has no advice`);
});

describe('Masters without a replica', () => {
  test('are a warning if others have one, and no finding if none has', () => {
    assert.deepEqual(found(agreedView(halves), 'master-without-replica'), []);
    assert.deepEqual(found(agreedView(whole), 'master-without-replica'), []);
    const [finding, ...more] = found(agreedView([...halves, replicas[0] as Line]), 'master-without-replica');
    assert.deepEqual([finding?.severity, finding?.nodes, more], ['warning', ['127.0.0.1:7002'], []]);
  });

  test('may have replicas that are dead', () => {
    const finding = found(agreedView(whole, [4]), 'master-without-replica');
    assert.deepEqual(
      finding.map(({ nodes }) => nodes),
      [['127.0.0.1:7002']],
    );
  });

  test('may be masters without slots', () => {
    assert.deepEqual(found(agreedView([...whole, { node: 5 }]), 'master-without-replica'), []);
  });
});

describe('Replication', () => {
  const kindsOf = (own: Partial<NodeDetails>, master: Partial<NodeDetails> = {}) =>
    findingsOf(agreedView(whole), details({ 1: master, 3: own })).map(({ kind, severity }) => [
      kind,
      severity,
    ]);

  test('is no finding if it is up', () => {
    assert.deepEqual(kindsOf({ link: { status: 'up', downSeconds: 0 } }), []);
  });

  test('is a finding if it is down or copying', () => {
    assert.deepEqual(kindsOf({ link: { status: 'down', downSeconds: 7 } }), [
      ['replica-link-down', 'warning'],
    ]);
    assert.deepEqual(kindsOf({ link: { status: 'copying', downSeconds: 7 } }), [['replica-copying', 'info']]);
  });

  test('is down for a time that the finding names, if the server knows it', () => {
    const read = (status: string, seconds: string) => {
      const lines = [
        'role:slave',
        `master_link_status:${status}`,
        `master_link_down_since_seconds:${seconds}`,
      ];
      const { link } = readDetails(parseInfo(lines.join('\r\n')));
      assert.ok(link);
      const [finding] = found(agreedView(whole), 'replica-link-down', details({ 3: { link } }));
      assert.deepEqual(finding?.nodes, finding && ['127.0.0.1:7003', '127.0.0.1:7001']);
      return finding?.message;
    };
    const never = read('down', '-1');
    assert.match(read('down', '7') ?? '', /\b7 s\b/);
    // A link that was never up: Redis 7.0 and newer say -1, Redis 6.0 counts from 1970.
    assert.doesNotMatch(never ?? '', /\d s\b/);
    assert.equal(read('down', '1795490039'), never);
    assert.equal(read('up', '7'), undefined);
  });

  test('is no finding if the master is gone', () => {
    const link = { status: 'down', downSeconds: 7 } as const;
    assert.deepEqual(found(agreedView(whole, [1]), 'replica-link-down', details({ 3: { link } })), []);
  });

  test('is a finding if it lags by bytes and by seconds, but not by one of them', () => {
    const lag = (bytes: number, lagSeconds: number) =>
      kindsOf(
        {},
        {
          offset: 100 * MB,
          replicas: [{ host: '127.0.0.1', port: 7003, offset: 100 * MB - bytes, lagSeconds }],
        },
      );
    assert.deepEqual(lag(2 * MB, 5), [['replica-lagging', 'warning']]);
    assert.deepEqual(lag(2 * MB, 0), []);
    assert.deepEqual(lag(100, 60), []);
    assert.deepEqual(lag(80 * MB, 0), [['replica-lagging', 'warning']]);
    // It has never said anything.
    assert.deepEqual(lag(100 * MB, 2), [['replica-lagging', 'warning']]);
  });

  test('is taken out only if it was listened to and has never said what it has received', () => {
    const acts = (
      entry: { offset: number; lagSeconds: number; isOnline?: boolean },
      { replica = {}, mute = [3] }: { replica?: Partial<NodeDetails> | Error; mute?: number[] } = {},
    ) =>
      found(agreedView(whole), 'replica-lagging', {
        ...details({
          1: { offset: 100, replicas: [{ host: '127.0.0.1', port: 7003, ...entry }] },
          3: replica instanceof Error ? replica : { link: { status: 'up' }, ...replica },
        }),
        mute: new Set(mute.map(idOf)),
      }).map(({ next = [] }) => next.map((one) => one.do));
    assert.deepEqual(acts({ offset: 0, lagSeconds: 3 }), [['del-node', 'replicate']]);
    assert.deepEqual(acts({ offset: 0, lagSeconds: 3 }, { mute: [] }), [['check']]);
    assert.deepEqual(acts({ offset: 9, lagSeconds: 0 }, { replica: { offset: -1 } }), [
      ['del-node', 'replicate'],
    ]);
    // It says so every second.
    assert.deepEqual(acts({ offset: 0, lagSeconds: 2 }), []);
    assert.deepEqual(acts({ offset: 1, lagSeconds: 60 }), []);
    assert.deepEqual(acts({ offset: 0, lagSeconds: 60, isOnline: false }), []);
    // It says nothing to us either.
    assert.deepEqual(acts({ offset: 0, lagSeconds: 60 }, { replica: new Error('frozen') }), []);
  });
});

describe('Placement', () => {
  test('in one zone is a warning, or an info if another replica is elsewhere', () => {
    const zones = (third: string, fifth?: string) => ({
      zones: new Map([
        [idOf(1), 'a'],
        [idOf(3), third],
        ...(fifth ? [[idOf(5), fifth] as const] : []),
      ] as const),
    });
    assert.deepEqual(found(agreedView(whole), 'same-zone', zones('b')), []);
    assert.deepEqual(shown(found(agreedView(whole), 'same-zone', zones('a'))), ['warning 7003 7001']);
    const more = agreedView([...whole, { node: 5, flags: 'slave', master: 1, epoch: 1 }]);
    assert.deepEqual(
      found(more, 'same-zone', zones('a', 'b')).map(({ severity }) => severity),
      ['info'],
    );
  });

  test('on one host is a finding if there are other hosts', () => {
    const view = agreedView(whole);
    assert.deepEqual(found(view, 'same-host'), []);
    const nodes = view.nodes.map((node) =>
      node.id === idOf(2) ? { ...node, address: { ...node.address, host: '127.0.0.2' } } : node,
    );
    assert.deepEqual(shown(found({ ...view, nodes }, 'same-host')), ['warning 7003 7001']);
  });

  test('on one host is no finding beside a node whose address is lost', () => {
    const view = agreedView(whole);
    const nodes = view.nodes.map((node) =>
      node.id === idOf(2) ? { ...node, address: { ...node.address, host: '' } } : node,
    );
    assert.deepEqual(found({ ...view, nodes }, 'same-host'), []);
  });
});

describe('What nodes report of themselves', () => {
  const memory = (counted: number, max = 100, policy = 'noeviction') => ({
    memory: { used: counted, counted, max, policy },
  });

  test('is a finding for memory from 90 % of maxmemory', () => {
    const percent = (counted: number, max = 100) =>
      found(agreedView(halves), 'memory-high', details({ 1: memory(counted, max) })).length;
    assert.deepEqual([percent(89), percent(90), percent(90, 0)], [0, 1, 0]);
  });

  test('is a finding for a different maxmemory-policy or version', () => {
    const view = agreedView(whole);
    const other = { ...memory(1, 0, 'allkeys-lru'), version: 'Valkey 9.1.0' };
    const findings = findingsOf(view, details({ 1: {}, 2: {}, 3: other }));
    assert.deepEqual(
      findings.map(({ kind, severity, nodes }) => [kind, severity, ...nodes]),
      [
        ['memory-policy-differs', 'warning', '127.0.0.1:7003'],
        ['version-differs', 'warning', '127.0.0.1:7003'],
      ],
    );
    assert.deepEqual(findingsOf(view, details({ 1: {}, 2: {}, 3: {} })), []);
  });

  test('is a finding if it is nothing, or a failed save', () => {
    const findings = findingsOf(
      agreedView(halves),
      details({ 1: new Error('NOPERM'), 2: { isSaveFailing: true } }),
    );
    assert.deepEqual(
      findings.map(({ kind, nodes }) => [kind, nodes]),
      [
        ['node-silent', ['127.0.0.1:7001']],
        ['save-failing', ['127.0.0.1:7002']],
      ],
    );
  });

  test('is an error for one id at two addresses', () => {
    const sharedIds = [{ id: idOf(1), addresses: ['127.0.0.1:7001', '127.0.0.1:7009'] }];
    const [finding, ...more] = findingsOf(agreedView(halves), { sharedIds });
    assert.deepEqual([finding?.kind, shown(finding ? [finding] : [])], ['duplicate-id', ['error 7001 7009']]);
    assert.deepEqual(more, []);
  });
});

describe('Nodes that disagree', () => {
  test('are a warning if one lists itself at the address of another, as after a server with its id ran there', () => {
    const view = agreedView(halves);
    const report = view.reports.get(idOf(2));
    assert.ok(report);
    const address = { host: '127.0.0.1', port: 7001 };
    const records = report.records.map((one) => (one.id === idOf(2) ? { ...one, address } : one));
    const myself = { ...report.myself, address };
    const reports = new Map([...view.reports, [idOf(2), { ...report, records, myself }]]);
    const findings = findingsOf({ ...view, reports });
    assert.deepEqual(
      findings.map(({ kind, severity, nodes }) => [kind, severity, nodes[0]]),
      [['nodes-disagree', 'warning', '127.0.0.1:7002']],
    );
  });

  const says = (line: Line) =>
    viewOf({
      1: { lines: whole },
      2: { lines: [...whole.filter(({ node }) => node !== line.node), line] },
      3: { lines: whole },
      4: { lines: whole },
    });

  test('are named, for a master, a role and a config epoch', () => {
    const about = (line: Line) => shown(found(says(line), 'nodes-disagree'));
    assert.deepEqual(about({ node: 3, flags: 'slave', master: 2, epoch: 1 }), ['error 7003 7002']);
    assert.deepEqual(about({ node: 3, flags: 'master', epoch: 1 }), ['error 7003 7002']);
    assert.deepEqual(about({ node: 1, epoch: 9, slots: '0-8191' }), ['info 7001 7002']);
  });

  test('about an address are a warning, but what a node says of its own does not count', () => {
    const view = agreedView(whole);
    const moved = (observer: number) => {
      const reports = new Map(view.reports);
      const report = reports.get(idOf(observer));
      assert.ok(report, 'the observer answers');
      const records = report.records.map((record) =>
        record.id === idOf(1) ? { ...record, address: { host: '10.0.0.1', port: 7001 } } : record,
      );
      reports.set(idOf(observer), { ...report, records });
      return { ...view, reports };
    };
    assert.deepEqual(found(moved(1), 'nodes-disagree'), []);
    assert.deepEqual(shown(found(moved(2), 'nodes-disagree')), ['warning 7001 7003 7004']);
  });
});

describe('Nodes', () => {
  test('without an address are a warning, once', () => {
    const view = agreedView([...halves, { node: 7, flags: 'slave,noaddr', master: 1, epoch: 1 }], [7]);
    const nodes = view.nodes.map((node) =>
      node.id === idOf(7) ? { ...node, address: { host: '', port: 0 } } : node,
    );
    assert.deepEqual(
      findingsOf({ ...view, nodes }).map(({ kind, severity }) => [kind, severity]),
      [['node-no-address', 'warning']],
    );
  });

  test('that announce a port in their IP address are an error, by whichever member lists them', () => {
    for (const observer of [1, 2]) {
      const view = agreedView(halves);
      const reports = new Map(
        [...view.reports].map(([id, report]) => {
          const records = report.records.map((record) =>
            record.id === idOf(1) && id === idOf(observer)
              ? { ...record, address: { host: '127.0.0.1:7001', port: 7001 } }
              : record,
          );
          return [id, { ...report, records }] as const;
        }),
      );
      const [bad, ...more] = found({ ...view, reports }, 'node-bad-address');
      assert.deepEqual(bad?.nodes, ['127.0.0.1:7001']);
      assert.deepEqual(bad?.next, [
        { do: 'configure', node: '127.0.0.1:7001', settings: ['cluster-announce-ip'] },
      ]);
      assert.equal(more.length, 0);
    }
  });

  test('in handshake are an info, and an error of a node that answers there and that no member knows', () => {
    const view = agreedView(halves);
    const [report] = view.reports.values();
    assert.ok(report, 'a node answers');
    const inHandshake = [{ ...report.myself, id: 'x', address: { host: '127.0.0.1', port: 7009 } }];
    const reports = new Map(view.reports).set(report.myself.id, { ...report, inHandshake });
    const [finding, ...more] = findingsOf({ ...view, reports });
    assert.deepEqual([finding?.kind, finding?.severity, more], ['node-in-handshake', 'info', []]);
    const introduced = new Set(['127.0.0.1:7009']);
    const [grave] = findingsOf({ ...view, reports }, { introduced });
    assert.deepEqual([grave?.kind, grave?.severity], ['node-in-handshake', 'error']);
  });
});

test('A slot that is open only on a replica is an error', () => {
  const marked = { ...(replicas[0] as Line), slots: `[7->-${idOf(2)}]` };
  const lines = [...halves, marked, replicas[1] as Line];
  assert.deepEqual(
    findingsOf(agreedView(lines)).map(({ kind, severity, slots }) => [kind, severity, slots]),
    [['replica-mark', 'error', [[7, 7]]]],
  );
  const open = lines.map((line) => (line.node === 1 ? { ...line, slots: `0-8191 [7->-${idOf(2)}]` } : line));
  assert.deepEqual(found(agreedView(open), 'replica-mark'), []);
});

describe('`NodeLines`', () => {
  test('reads what `parseNodeLine()` reads, and parses equal lines once', () => {
    const lines = new NodeLines();
    const texts = [1, 2, 3].map((observer) =>
      nodesText(observer, whole).replaceAll(' 0 0 ', ` ${observer} 17000000000${observer} `),
    );
    const read = texts.map((text) => lines.parse(Buffer.from(`${text}\n`)));
    for (const [index, text] of texts.entries()) assert.deepEqual(read[index], readLineByLine(text));
    assert.equal(read[0]?.[3], read[1]?.[3]);
    assert.notEqual(read[0]?.[0], read[1]?.[0], 'a line with "myself" is a different one');
  });

  test('distinguishes lines that differ in one place', () => {
    const line = `${idOf(1)} 127.0.0.1:7001@17001 master - 0 5 1 connected 0-10`;
    const others = ['@17002 ', 'slave', ' 2 connected', 'disconnected', '0-11'].map((words, index) =>
      line.replace([/@17001 /, /master/, / 1 connected/, /connected/, /0-10/][index] as RegExp, words),
    );
    const lines = new NodeLines();
    for (const text of [line, ...others, `${line}1`, line.slice(0, -1), line]) {
      assert.deepEqual(lines.parse(Buffer.from(`${text}\r\n\n`)), readLineByLine(text));
    }
    assert.throws(() => lines.parse(Buffer.from('nonsense')), TypeError);
  });
});
