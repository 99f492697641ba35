import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Finding, FindingKind } from '../../lib/findings/finding.ts';
import { findingsOf } from '../../lib/findings/findings.ts';
import type { NodeRecord } from '../../lib/model/node.ts';
import { createShares } from '../../lib/model/slot.ts';
import type { ClusterView } from '../../lib/model/view.ts';
import { planSpread } from '../../lib/plan/spread.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line } from '../helpers/views.ts';

const KINDS: readonly FindingKind[] = [
  'masters-same-host',
  'masters-same-zone',
  'replicas-same-host',
  'replicas-same-zone',
  'same-host',
  'same-zone',
];

interface Shard {
  /** Host of the master, then of each replica. */
  readonly hosts: readonly number[];
  readonly isEmpty?: boolean;
}

/** A cluster of these shards. Nodes are numbered in turn: all of the first shard, then all of the next. */
function clusterOf(shards: readonly Shard[], dead: readonly number[] = []): ClusterView {
  const owners = shards.filter(({ isEmpty }) => !isEmpty);
  const shares = createShares(Math.max(1, owners.length));
  let node = 0;
  const placed: { readonly line: Line; readonly host: number }[] = shards.flatMap((shard) => {
    const master = node + 1;
    return shard.hosts.map((host, index) => {
      node++;
      const range = shares[owners.indexOf(shard)];
      const slots = shard.isEmpty || !range ? '' : `${range[0]}-${range[1]}`;
      const failed = dead.includes(node) ? ',fail' : '';
      const line: Line =
        index === 0
          ? { node, slots, flags: `master${failed}` }
          : { node, flags: `slave${failed}`, master, epoch: master };
      return { line, host };
    });
  });
  const view = agreedView(
    placed.map(({ line }) => line),
    dead,
  );
  const hostOf = new Map(placed.map(({ line, host }) => [idOf(line.node), `10.0.0.${host}`]));
  const move = (record: NodeRecord): NodeRecord => ({
    ...record,
    address: { ...record.address, host: hostOf.get(record.id) ?? '' },
  });
  const reports = new Map(
    [...view.reports].map(([id, report]) => [
      id,
      {
        ...report,
        address: move(report.myself).address,
        myself: move(report.myself),
        records: report.records.map(move),
      },
    ]),
  );
  return { ...view, reports, nodes: view.nodes.map(move) };
}

const shards = (...hosts: (readonly number[])[]): Shard[] => hosts.map((each) => ({ hosts: each }));

function placementOf(view: ClusterView, zones?: ReadonlyMap<string, string>): Finding[] {
  return findingsOf(view, zones ? { zones } : {}).filter(({ kind }) => KINDS.includes(kind));
}

const shown = (findings: readonly Finding[]): string[] =>
  findings.map(({ severity, kind, nodes }) =>
    [severity, kind, ...nodes.map((name) => name.split(':').at(-1))].join(' '),
  );

/** The cluster after a failover to the node at this address. */
function afterFailover(view: ClusterView, name: string): ClusterView {
  const replica = view.nodes.find(({ address }) => `${address.host}:${address.port}` === name);
  const master = view.nodes.find(({ id }) => id === replica?.masterId);
  assert.ok(replica && master, `${name} is a replica`);
  const swap = (record: NodeRecord): NodeRecord => {
    if (record.id === replica.id)
      return { ...record, role: 'master', masterId: null, flags: ['master'], slots: master.slots };
    if (record.id === master.id)
      return { ...record, role: 'replica', masterId: replica.id, flags: ['slave'], slots: [] };
    return record.masterId === master.id ? { ...record, masterId: replica.id } : record;
  };
  const reports = new Map(
    [...view.reports].map(([id, report]) => [
      id,
      { ...report, myself: swap(report.myself), records: report.records.map(swap) },
    ]),
  );
  return { ...view, reports, nodes: view.nodes.map(swap) };
}

/** The cluster after a replica has been given another master. */
function afterMove(view: ClusterView, replicaId: string, masterId: string): ClusterView {
  const move = (record: NodeRecord): NodeRecord =>
    record.id === replicaId ? { ...record, masterId } : record;
  const reports = new Map(
    [...view.reports].map(([id, report]) => [
      id,
      { ...report, myself: move(report.myself), records: report.records.map(move) },
    ]),
  );
  return { ...view, reports, nodes: view.nodes.map(move) };
}

describe('Masters on one host', () => {
  for (const [title, layout, wanted] of [
    ['all nodes are on one host', shards([1, 1], [1, 1], [1, 1]), []],
    ['each has a host of its own', shards([1, 2], [2, 3], [3, 1]), []],
    ['two of three', shards([1, 2], [1, 3], [2, 3]), ['warning masters-same-host 7001 7003']],
    [
      'two hosts: one always has most of three',
      shards([1, 2], [2, 1], [1, 2]),
      ['info masters-same-host 7001 7005'],
    ],
    ['two hosts with half each', shards([1, 2], [2, 1], [1, 2], [2, 1]), []],
    ['four masters on three hosts: one always has half', shards([1], [2], [3], [1]), []],
    [
      'half of four, and four hosts',
      shards([1], [1], [2], [3], [4])
        .slice(0, 4)
        .concat({ hosts: [4], isEmpty: true }),
      ['warning masters-same-host 7001 7002'],
    ],
    ['one master with slots', shards([1, 2, 3]), []],
    ['two masters', shards([1], [2]), []],
    [
      'masters without slots have no vote',
      [...shards([1], [2], [3]), { hosts: [1], isEmpty: true }, { hosts: [1], isEmpty: true }],
      [],
    ],
  ] as const) {
    test(title, () => {
      assert.deepEqual(shown(placementOf(clusterOf(layout))), wanted);
    });
  }

  test('a host of which nothing answers is none', () => {
    assert.deepEqual(shown(placementOf(clusterOf(shards([1], [1], [2]), [3]))), []);
  });

  test('localhost, as somebody typed it, is the host that others list', () => {
    const view = clusterOf(shards([1, 1], [1, 1], [1, 1]));
    const seed = { host: 'localhost', port: view.seed.port };
    const nodes = view.nodes.map((node) => (node.id === view.seedId ? { ...node, address: seed } : node));
    assert.deepEqual(placementOf({ ...view, seed, nodes }), []);
  });

  test('in one zone, if zones are known', () => {
    const view = clusterOf(shards([1, 2], [2, 3], [3, 1]));
    const zones = new Map(
      [1, 2, 3, 4, 5, 6].map((node) => [idOf(node), { 4: 'b', 5: 'b', 6: 'c' }[node] ?? 'a']),
    );
    assert.deepEqual(shown(placementOf(view, zones)), [
      'warning same-zone 7002 7001',
      'warning masters-same-zone 7001 7003',
    ]);
  });

  test('is to be spread, if failovers help that make no other host crowded', () => {
    const [finding, ...more] = placementOf(clusterOf(shards([1, 2], [1, 3], [1, 2], [2, 3], [3, 1])));
    assert.deepEqual([finding?.next, more], [[{ do: 'spread', cluster: '127.0.0.1:7001' }], []]);
  });

  test('names none if no replica can help', () => {
    const [finding] = placementOf(
      clusterOf(
        shards([1], [1], [2], [3])
          .slice(0, 3)
          .concat({ hosts: [3], isEmpty: true }),
      ),
    );
    assert.equal(finding?.kind, 'masters-same-host');
    assert.equal(finding.next, undefined);
    assert.match(finding.hint ?? '', /replicas/);
  });
});

describe('Replicas of one master on one host', () => {
  for (const [title, layout, wanted] of [
    [
      'while another host has no node of the shard',
      shards([1, 2, 2], [2, 3], [3, 1]),
      ['info replicas-same-host 7002 7003 7001'],
    ],
    ['while each host has one', shards([1, 2, 3, 2], [2, 3], [3, 1]), []],
    [
      'beside their master, which is another finding',
      shards([1, 1, 1, 2], [2, 1], [3, 1]),
      ['info same-host 7002 7001', 'info same-host 7003 7001'],
    ],
  ] as const) {
    test(title, () => {
      assert.deepEqual(shown(placementOf(clusterOf(layout))).sort(), [...wanted].sort());
    });
  }
});

describe('Masters with more replicas than others', () => {
  const uneven = (view: ClusterView, zones?: ReadonlyMap<string, string>): Finding[] =>
    findingsOf(view, zones ? { zones } : {}).filter(({ kind }) => kind === 'replicas-uneven');

  for (const [title, layout, wanted] of [
    ['one more is as even as it gets', shards([1, 2, 3], [2, 3], [3, 1]), []],
    ['two more', shards([1, 2, 3, 4], [2, 3]), ['info replicas-uneven 7001 7005']],
    ['two, where another has none', shards([1, 2, 3], [2]), ['info replicas-uneven 7001 7004']],
    ['all that could move would be beside the other master', shards([1, 2, 2, 2], [2, 3]), []],
    ['a master without slots needs none', [...shards([1, 2, 3, 4]), { hosts: [2], isEmpty: true }], []],
  ] as const) {
    test(title, () => assert.deepEqual(shown(uneven(clusterOf(layout))), wanted));
  }

  test('are none if no replica answers', () => {
    const view = clusterOf(shards([1, 2, 3, 4], [2, 3]), [2, 3, 4]);
    assert.deepEqual(uneven(view), []);
  });

  test('of any shape are none after the cluster is spread, and are a reason to spread it', () => {
    const host = fc.integer({ min: 1, max: 4 });
    const shard = fc.array(host, { minLength: 1, maxLength: 6 });
    let found = 0;
    fc.assert(
      fc.property(fc.array(shard, { minLength: 1, maxLength: 6 }), (hosts) => {
        const view = clusterOf(shards(...hosts));
        const ready = new Set(view.nodes.flatMap(({ id, role }) => (role === 'replica' ? [id] : [])));
        const { steps } = planSpread(view, { zones: new Map(), ready });
        if (uneven(view).length > 0) {
          found++;
          assert.ok(steps.length > 0, 'it would be changed');
        }
        let after = view;
        for (const step of steps) {
          if (step.type === 'failover') after = afterFailover(after, step.replica.address);
          else if (step.type === 'replicate') after = afterMove(after, step.replica.id, step.master.id);
        }
        assert.deepEqual(uneven(after), []);
      }),
      { numRuns: 100 },
    );
    assert.ok(found > 10, `${found} layouts were uneven`);
  });
});

describe('Masters without slots', () => {
  const found = (view: ClusterView): Finding[] =>
    findingsOf(view).filter(({ kind }) => kind === 'master-without-slots');

  test('are named, with what takes them in or out', () => {
    const [finding, ...more] = found(clusterOf([...shards([1], [2], [3]), { hosts: [1], isEmpty: true }]));
    assert.deepEqual([finding?.severity, finding?.nodes, more], ['info', ['10.0.0.1:7004'], []]);
    assert.deepEqual(
      finding?.next?.map((next) => [next.do, next.cluster, next.node]),
      [
        ['rebalance', '10.0.0.1:7001', undefined],
        ['del-node', '10.0.0.1:7001', '10.0.0.1:7004'],
      ],
    );
  });

  test('are none if they have failed, or if no node has slots', () => {
    assert.deepEqual(found(clusterOf([...shards([1], [2], [3]), { hosts: [1], isEmpty: true }], [4])), []);
    assert.deepEqual(found(clusterOf([{ hosts: [1], isEmpty: true }])), []);
  });
});

describe('A healthy cluster', () => {
  /** Each shard one host further on than the one before, its replicas on the next hosts. */
  const spread = (masters: number, replicas: number, hosts: number): Shard[] =>
    Array.from({ length: masters }, (_, shard) => ({
      hosts: Array.from({ length: replicas + 1 }, (_, index) => ((shard + index) % hosts) + 1),
    }));

  test('of any shape has no finding', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        (masters, replicas, hosts, isZoned) => {
          // With two hosts and an odd number of masters, one host has most of them; a shard cannot have more nodes than hosts.
          fc.pre(hosts === 1 || (replicas < hosts && (hosts > 2 || masters % 2 === 0 || masters === 1)));
          const view = clusterOf(spread(masters, replicas, hosts));
          const zones = new Map(view.nodes.map(({ id, address }) => [id, address.host]));
          assert.deepEqual(shown(findingsOf(view, isZoned && hosts > 1 ? { zones } : {})), []);
        },
      ),
    );
  });

  test('of any shape has none after it is spread, if that is advised', () => {
    const host = fc.integer({ min: 1, max: 5 });
    const shard = fc.array(host, { minLength: 1, maxLength: 4 });
    let followed = 0;
    fc.assert(
      fc.property(fc.array(shard, { minLength: 1, maxLength: 7 }), (hosts) => {
        const view = clusterOf(shards(...hosts));
        const crowded = (one: ClusterView): Finding[] =>
          placementOf(one).filter(({ kind }) => kind === 'masters-same-host');
        const [finding, ...more] = crowded(view);
        assert.ok(more.length <= 1, 'two hosts may have half each');
        if (!finding?.next) return;
        followed++;
        let after = view;
        assert.deepEqual(
          finding.next.map(({ do: act }) => act),
          ['spread'],
        );
        const ready = new Set(view.nodes.flatMap(({ id, role }) => (role === 'replica' ? [id] : [])));
        for (const step of planSpread(view, { zones: new Map(), ready, keepReplicas: true }).steps) {
          assert.ok(step.type === 'failover');
          after = afterFailover(after, step.replica.address);
        }
        const place = (one: Finding): string => one.nodes[0]?.split(':')[0] ?? '';
        assert.ok(
          !crowded(after).some((one) => place(one) === place(finding)),
          'the host is not crowded any more',
        );
        assert.ok(crowded(after).length < crowded(view).length, 'and no other has become so');
      }),
      // The first host can give masters only to one that has half of them, too.
      { numRuns: 100, examples: [[[[3, 4], [3], [4], [4, 1, 2]]]] },
    );
    assert.ok(followed > 5, `${followed} layouts had advice`);
  });
});
