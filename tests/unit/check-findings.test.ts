import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { detailsOf as readDetails } from '../../lib/apply/inspect.ts';
import { parseInfo } from '../../lib/apply/node-info.ts';
import type { NodeDetails } from '../../lib/model/details.ts';
import type { Finding, FindingKind } from '../../lib/model/finding.ts';
import { type Beside, findingsOf } from '../../lib/model/findings.ts';
import { parseClusterNodes } from '../../lib/model/node.ts';
import { NodeLines } from '../../lib/model/node-lines.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { agreedView, detailsOf, idOf, type Line, nodesText, viewOf } from '../helpers/views.ts';

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

function found(view: ClusterView, kind: FindingKind, beside: Beside = {}): Finding[] {
  return findingsOf(view, beside).filter((finding) => finding.kind === kind);
}

function told(fields: Readonly<Record<number, Partial<NodeDetails> | Error>>): Beside {
  const details = new Map(
    Object.entries(fields).map(([node, own]): [string, NodeDetails | Error] => [
      idOf(Number(node)),
      own instanceof Error ? own : detailsOf(own),
    ]),
  );
  return { details };
}

function messages(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, message }) => `${severity}: ${message}`);
}

test('every finding says what to do next', () => {
  const view = viewOf({
    1: {
      lines: [halves[0] as Line, { node: 2, epoch: 1, slots: '9000-16383 [9-<-abc]', link: 'x' }],
      state: 'fail',
    },
    2: { lines: [halves[1] as Line, { node: 1, epoch: 1, slots: '0-8191' }] },
  });
  const all = findingsOf(view, told({ 1: new Error('no'), 2: { isSaveFailing: true } }));
  assert.ok(all.length > 4, 'there are findings');
  for (const { hint, kind } of all) assert.ok(hint.length > 0, `${kind} has no hint`);
});

describe('masters without a replica', () => {
  test('are a warning where others have one, and nothing where nobody has', () => {
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

describe('replication', () => {
  const kindsOf = (own: Partial<NodeDetails>, master: Partial<NodeDetails> = {}) =>
    findingsOf(agreedView(whole), told({ 1: master, 3: own })).map(({ kind, severity }) => [kind, severity]);

  test('that is up is no finding', () => {
    assert.deepEqual(kindsOf({ link: { status: 'up', downSeconds: 0 } }), []);
  });

  test('that is down, or begins, is one', () => {
    assert.deepEqual(kindsOf({ link: { status: 'down', downSeconds: 7 } }), [
      ['replica-link-down', 'warning'],
    ]);
    assert.deepEqual(kindsOf({ link: { status: 'copying', downSeconds: 7 } }), [['replica-copying', 'info']]);
  });

  test('that is down says for how long, where the server knows', () => {
    const toldOf = (status: string, seconds: string) => {
      const lines = [
        'role:slave',
        `master_link_status:${status}`,
        `master_link_down_since_seconds:${seconds}`,
      ];
      const { link } = readDetails(parseInfo(lines.join('\r\n')));
      assert.ok(link);
      return messages(found(agreedView(whole), 'replica-link-down', told({ 3: { link } })));
    };
    const start = 'warning: 127.0.0.1:7003 has had no link to its master 127.0.0.1:7001';
    assert.deepEqual(toldOf('down', '7'), [`${start} for 7 s`]);
    // Of a link that never was up: Redis 7.0 and newer, then Redis 6.0, which counts from 1970
    assert.deepEqual(toldOf('down', '-1'), [`${start} yet`]);
    assert.deepEqual(toldOf('down', '1795490039'), [`${start} yet`]);
    assert.deepEqual(toldOf('up', '7'), []);
  });

  test('is not told of where the master is gone', () => {
    const link = { status: 'down', downSeconds: 7 } as const;
    assert.deepEqual(found(agreedView(whole, [1]), 'replica-link-down', told({ 3: { link } })), []);
  });

  test('that lags by bytes and by seconds is one, and by one of them is not', () => {
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
  });
});

describe('placement', () => {
  test('in one zone is a warning, or worth knowing where another replica stands apart', () => {
    const zones = (third: string, fifth?: string) => ({
      zones: new Map([
        [idOf(1), 'a'],
        [idOf(3), third],
        ...(fifth ? [[idOf(5), fifth] as const] : []),
      ] as const),
    });
    assert.deepEqual(found(agreedView(whole), 'same-zone', zones('b')), []);
    assert.deepEqual(messages(found(agreedView(whole), 'same-zone', zones('a'))), [
      'warning: 127.0.0.1:7003 is in the same zone as its master 127.0.0.1:7001: a',
    ]);
    const more = agreedView([...whole, { node: 5, flags: 'slave', master: 1, epoch: 1 }]);
    assert.deepEqual(
      found(more, 'same-zone', zones('a', 'b')).map(({ severity }) => severity),
      ['info'],
    );
  });

  test('on one host is told of where there are others', () => {
    const view = agreedView(whole);
    assert.deepEqual(found(view, 'same-host'), []);
    const nodes = view.nodes.map((node) =>
      node.id === idOf(2) ? { ...node, address: { ...node.address, host: '127.0.0.2' } } : node,
    );
    assert.deepEqual(messages(found({ ...view, nodes }, 'same-host')), [
      'warning: 127.0.0.1:7003 is on the same host as its master 127.0.0.1:7001: 127.0.0.1',
    ]);
  });
});

describe('what nodes tell of themselves', () => {
  const memory = (counted: number, max = 100, policy = 'noeviction') => ({
    memory: { used: counted, counted, max, policy },
  });

  test('memory from 90 % of maxmemory', () => {
    const percent = (counted: number, max = 100) =>
      found(agreedView(halves), 'memory-high', told({ 1: memory(counted, max) })).length;
    assert.deepEqual([percent(89), percent(90), percent(90, 0)], [0, 1, 0]);
  });

  test('another maxmemory-policy, another version', () => {
    const view = agreedView(whole);
    const other = { ...memory(1, 0, 'allkeys-lru'), version: 'Valkey 9.1.0' };
    const findings = findingsOf(view, told({ 1: {}, 2: {}, 3: other }));
    assert.deepEqual(messages(findings), [
      'warning: maxmemory-policy differs: noeviction on 127.0.0.1:7001 and 127.0.0.1:7002, allkeys-lru on 127.0.0.1:7003',
      'warning: Server version differs: Redis 8.6.0 on 127.0.0.1:7001 and 127.0.0.1:7002, Valkey 9.1.0 on 127.0.0.1:7003',
    ]);
    assert.deepEqual(findings[0]?.nodes, ['127.0.0.1:7003']);
    assert.deepEqual(findingsOf(view, told({ 1: {}, 2: {}, 3: {} })), []);
  });

  test('nothing, or a save that failed', () => {
    const findings = findingsOf(
      agreedView(halves),
      told({ 1: new Error('NOPERM'), 2: { isSaveFailing: true } }),
    );
    assert.deepEqual(
      findings.map(({ kind, nodes }) => [kind, nodes]),
      [
        ['node-silent', ['127.0.0.1:7001']],
        ['save-failing', ['127.0.0.1:7002']],
      ],
    );
  });

  test('one id at two addresses is an error', () => {
    const sharedIds = [{ id: idOf(1), addresses: ['127.0.0.1:7001', '127.0.0.1:7009'] }];
    assert.deepEqual(messages(findingsOf(agreedView(halves), { sharedIds })), [
      `error: 127.0.0.1:7001 and 127.0.0.1:7009 answer with one node id, ${idOf(1)}`,
    ]);
  });
});

describe('nodes that disagree', () => {
  test('a node that lists itself where another is, since a server with its id was there, is a warning', () => {
    const view = agreedView(halves);
    const report = view.reports.get(idOf(2));
    assert.ok(report);
    const address = { host: '127.0.0.1', port: 7001 };
    const records = report.records.map((one) => (one.id === idOf(2) ? { ...one, address } : one));
    const myself = { ...report.myself, address };
    const reports = new Map([...view.reports, [idOf(2), { ...report, records, myself }]]);
    assert.deepEqual(messages(findingsOf({ ...view, reports })), [
      'warning: 127.0.0.1:7002 lists itself at the address of 127.0.0.1:7001: it sends clients there for its slots',
    ]);
  });

  const says = (line: Line) =>
    viewOf({
      1: { lines: whole },
      2: { lines: [...whole.filter(({ node }) => node !== line.node), line] },
      3: { lines: whole },
      4: { lines: whole },
    });

  test('are named with what they say: the master, the role and the epoch', () => {
    assert.deepEqual(
      messages(found(says({ node: 3, flags: 'slave', master: 2, epoch: 1 }), 'nodes-disagree')),
      [
        'error: The master of 127.0.0.1:7003 is 127.0.0.1:7001 to 127.0.0.1:7001, 127.0.0.1:7003 and 127.0.0.1:7004, 127.0.0.1:7002 to 127.0.0.1:7002',
      ],
    );
    assert.deepEqual(messages(found(says({ node: 3, flags: 'master', epoch: 1 }), 'nodes-disagree')), [
      'error: The role of 127.0.0.1:7003 is replica to 127.0.0.1:7001, 127.0.0.1:7003 and 127.0.0.1:7004, master to 127.0.0.1:7002',
    ]);
    assert.deepEqual(messages(found(says({ node: 1, epoch: 9, slots: '0-8191' }), 'nodes-disagree')), [
      'info: The config epoch of 127.0.0.1:7001 is 1 to 127.0.0.1:7001, 127.0.0.1:7003 and 127.0.0.1:7004, 9 to 127.0.0.1:7002',
    ]);
  });

  test('about an address are a warning; what a node says of its own does not count', () => {
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
    assert.deepEqual(messages(found(moved(2), 'nodes-disagree')), [
      'warning: The address of 127.0.0.1:7001 is 127.0.0.1:7001 to 127.0.0.1:7003 and 127.0.0.1:7004, 10.0.0.1:7001 to 127.0.0.1:7002',
    ]);
  });
});

describe('nodes that are hardly there', () => {
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

  test('in handshake are worth knowing', () => {
    const view = agreedView(halves);
    const [report] = view.reports.values();
    assert.ok(report, 'a node answers');
    const inHandshake = [{ ...report.myself, id: 'x', address: { host: '127.0.0.1', port: 7009 } }];
    const reports = new Map(view.reports).set(report.myself.id, { ...report, inHandshake });
    assert.deepEqual(messages(findingsOf({ ...view, reports })), [
      'info: 127.0.0.1:7009 is in handshake with 127.0.0.1:7001',
    ]);
  });
});

test('a slot that only a replica holds for open is worth knowing', () => {
  const marked = { ...(replicas[0] as Line), slots: `[7->-${idOf(2)}]` };
  const lines = [...halves, marked, replicas[1] as Line];
  assert.deepEqual(
    findingsOf(agreedView(lines)).map(({ kind, severity, slots }) => [kind, severity, slots]),
    [['replica-mark', 'info', [[7, 7]]]],
  );
  const open = lines.map((line) => (line.node === 1 ? { ...line, slots: `0-8191 [7->-${idOf(2)}]` } : line));
  assert.deepEqual(found(agreedView(open), 'replica-mark'), []);
});

describe('`NodeLines`', () => {
  test('reads what `parseClusterNodes()` reads, and lines that say the same once', () => {
    const lines = new NodeLines();
    const texts = [1, 2, 3].map((observer) =>
      nodesText(observer, whole).replaceAll(' 0 0 ', ` ${observer} 17000000000${observer} `),
    );
    const read = texts.map((text) => lines.parse(Buffer.from(`${text}\n`)));
    for (const [index, text] of texts.entries()) assert.deepEqual(read[index], parseClusterNodes(text));
    assert.equal(read[0]?.[3], read[1]?.[3]);
    assert.notEqual(read[0]?.[0], read[1]?.[0], 'a line with myself is another');
  });

  test('tells apart what differs in one place', () => {
    const line = `${idOf(1)} 127.0.0.1:7001@17001 master - 0 5 1 connected 0-10`;
    const others = ['@17002 ', 'slave', ' 2 connected', 'disconnected', '0-11'].map((words, index) =>
      line.replace([/@17001 /, /master/, / 1 connected/, /connected/, /0-10/][index] as RegExp, words),
    );
    const lines = new NodeLines();
    for (const text of [line, ...others, `${line}1`, line.slice(0, -1), line]) {
      assert.deepEqual(lines.parse(Buffer.from(`${text}\r\n\n`)), parseClusterNodes(text));
    }
    assert.throws(() => lines.parse(Buffer.from('nonsense')), TypeError);
  });
});
