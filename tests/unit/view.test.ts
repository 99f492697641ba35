import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SLOT_COUNT } from '../../lib/model/slot.ts';
import {
  type ClusterView,
  mergeReports,
  nodeByAddress,
  nodeById,
  nodeName,
  openSlotsOf,
  parseClusterInfo,
  reachableMasters,
  recordSeenBy,
  replicasOf,
  slotOwners,
  slotsLeftTo,
} from '../../lib/model/view.ts';
import { agreedView, idOf, reportOf, viewOf } from '../helpers/views.ts';

describe('parseClusterInfo()', () => {
  test('reads the fields that operations need', () => {
    assert.deepEqual(
      parseClusterInfo(
        'cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n' +
          'cluster_known_nodes:6\r\ncluster_size:3\r\ncluster_current_epoch:9\r\ncluster_my_epoch:2\r\ncluster_stats_messages_sent:12\r\n',
      ),
      { state: 'ok', slotsAssigned: 16384, knownNodes: 6, currentEpoch: 9, messagesSent: 12 },
    );
  });

  test('treats anything but ok as fail, and missing counts as 0', () => {
    assert.deepEqual(parseClusterInfo('cluster_state:fail\r\n'), {
      state: 'fail',
      slotsAssigned: 0,
      knownNodes: 0,
      currentEpoch: 0,
      messagesSent: 0,
    });
    assert.equal(parseClusterInfo('').state, 'fail');
  });
});

describe('mergeReports()', () => {
  test("uses each node's own line, or another's if it does not answer", () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-9' },
          { node: 2, slots: '10' },
          { node: 3, slots: '11' },
        ],
      },
      2: {
        lines: [
          { node: 1, slots: '0-5' },
          { node: 2, slots: '10 [3-<-0a]' },
        ],
      },
    });
    assert.deepEqual(nodeById(view, idOf(1))?.slots, [[0, 9]]);
    assert.equal(nodeById(view, idOf(2))?.openSlots.length, 1);
    assert.deepEqual(nodeById(view, idOf(3))?.slots, [[11, 11]]);
    assert.deepEqual([...view.unreachable.keys()], [idOf(3)]);
    assert.equal(view.seedId, idOf(1));
  });

  test('names a node by the address at which it answered', () => {
    const report = { ...reportOf(1, { lines: [{ node: 1 }] }), address: { host: 'named.example', port: 9 } };
    const view = mergeReports(report.address, idOf(1), new Map([[idOf(1), report]]), new Map());
    assert.equal(nodeName(view, idOf(1)), 'named.example:9');
    assert.equal(nodeByAddress(view, { host: 'named.example', port: 9 })?.id, idOf(1));
    assert.equal(nodeByAddress(view, { host: '127.0.0.1', port: 7001 })?.id, idOf(1));
    assert.equal(nodeByAddress(view, { host: '127.0.0.1', port: 9 }), undefined);
  });
});

describe('slotsLeftTo()', () => {
  const first = { node: 1, slots: '0-99', epoch: 5 };
  const dead = (slots: string, epoch = 2) => ({ node: 2, flags: 'master,fail', slots, epoch });
  const third = { node: 3, slots: '', epoch: 3 };
  const rows: readonly [title: string, ClusterView, number[]][] = [
    ['none of one that nobody gives any', agreedView([first, dead(''), third], [2]), []],
    ['those that all give it', agreedView([first, dead('100-101'), third], [2]), [100, 101]],
    [
      'those that only one member knows of',
      viewOf({ 1: { lines: [first, dead('')] }, 3: { lines: [dead('100'), third] } }),
      [100],
    ],
    [
      'none that an answering master has by a higher config epoch, whatever one member has not heard',
      viewOf({ 1: { lines: [first, dead('')] }, 3: { lines: [dead('0-9'), third] } }),
      [],
    ],
    [
      'those that it has by a higher config epoch than another',
      viewOf({ 1: { lines: [first, dead('', 9)] }, 3: { lines: [dead('0-1', 9), third] } }),
      [0, 1],
    ],
    [
      'those that another has which does not answer either',
      viewOf({ 3: { lines: [{ ...first, flags: 'master,fail' }, dead('0', 9), third] } }),
      [0],
    ],
  ];
  for (const [title, view, left] of rows)
    test(title, () => assert.deepEqual(slotsLeftTo(view, idOf(2)), left));
});

describe('slotOwners()', () => {
  test('gives every slot its owner, or undefined if nobody claims it', () => {
    const owners = slotOwners(
      agreedView([
        { node: 1, slots: '0-8191' },
        { node: 2, slots: '8192-16382' },
      ]),
    );
    assert.equal(owners.length, SLOT_COUNT);
    assert.deepEqual([owners[0], owners[8191], owners[8192]], [idOf(1), idOf(1), idOf(2)]);
    assert.equal(owners[16383], undefined);
  });

  test('lets the highest config epoch win if several claim a slot, in any order', () => {
    for (const [low, high] of [
      [1, 2],
      [2, 1],
    ] as const) {
      const lines = [
        { node: low, epoch: 4, slots: '0-9' },
        { node: high, epoch: 5, slots: '5-14' },
      ];
      const owners = slotOwners(agreedView(lines));
      assert.deepEqual(
        [owners[4], owners[5], owners[9], owners[10]].map((id) => id === idOf(low)),
        [true, false, false, false],
      );
    }
  });

  test('lets the smaller id win if config epochs collide, as servers do', () => {
    const lines = [
      { node: 9, epoch: 3, slots: '0' },
      { node: 4, epoch: 3, slots: '0' },
    ];
    assert.equal(slotOwners(agreedView(lines))[0], idOf(4));
    assert.equal(slotOwners(agreedView(lines.toReversed()))[0], idOf(4));
  });

  test('counts only masters, and believes each about itself if it answers', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0' },
          { node: 2, slots: '1' },
        ],
      },
      2: { lines: [{ node: 1, slots: '0-1' }, { node: 2 }] },
    });
    assert.equal(slotOwners(view)[0], idOf(1));
    assert.equal(slotOwners(view)[1], undefined);
    const odd = agreedView([
      { node: 1, slots: '0' },
      { node: 2, flags: 'slave', master: 1, epoch: 9, slots: '0' },
    ]);
    assert.equal(slotOwners(odd)[0], idOf(1));
  });
});

describe('openSlotsOf()', () => {
  test('lists what each node says of itself, by slot in ascending order', () => {
    const view = viewOf({
      1: { lines: [{ node: 1, slots: `5-9 [9->-${idOf(2)}] [5->-${idOf(2)}]` }, { node: 2 }] },
      2: {
        lines: [
          { node: 1, slots: '5-9' },
          { node: 2, slots: `[5-<-${idOf(1)}]` },
        ],
      },
    });
    assert.deepEqual(
      [...openSlotsOf(view)],
      [
        [
          5,
          [
            { nodeId: idOf(1), slot: 5, direction: 'migrating', peer: idOf(2) },
            { nodeId: idOf(2), slot: 5, direction: 'importing', peer: idOf(1) },
          ],
        ],
        [9, [{ nodeId: idOf(1), slot: 9, direction: 'migrating', peer: idOf(2) }]],
      ],
    );
  });
});

describe('reachableMasters(), replicasOf(), recordSeenBy()', () => {
  const view = agreedView(
    [
      { node: 1, slots: '0-16383' },
      { node: 2, flags: 'master,fail' },
      { node: 3, flags: 'slave', master: 1 },
      { node: 4, flags: 'slave,fail', master: 1 },
    ],
    [2, 4],
  );
  test('omit masters that do not answer, but keep such replicas', () => {
    assert.deepEqual(
      reachableMasters(view).map(({ id }) => id),
      [idOf(1)],
    );
    assert.deepEqual(
      replicasOf(view, idOf(1)).map(({ id }) => id),
      [idOf(3), idOf(4)],
    );
  });

  test('give what one node says of another', () => {
    assert.deepEqual(recordSeenBy(view, idOf(3), idOf(2))?.flags, ['master', 'fail']);
    assert.equal(recordSeenBy(view, idOf(2), idOf(1)), undefined);
    assert.equal(recordSeenBy(view, idOf(1), idOf(77)), undefined);
  });
});
