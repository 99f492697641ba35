import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { describe, test } from 'node:test';
import { figuresLine } from '../../lib/cli/top/figures-line.ts';
import { frame } from '../../lib/cli/top/frame.ts';
import { render } from '../../lib/cli/top/line.ts';
import { brief, gauge, sparkline } from '../../lib/cli/top/marks.ts';
import { limit, type OwnMove } from '../../lib/cli/top/own-move.ts';
import { type PictureOptions, picture } from '../../lib/cli/top/picture.ts';
import {
  keysTyped,
  type MoveKey,
  SORTS,
  START,
  sorted,
  type TopState,
  withKey,
  withSnapshot,
} from '../../lib/cli/top/state.ts';
import type { ClusterSnapshot } from '../../lib/operations/snapshot.ts';
import type { MoveLimits } from '../../lib/options.ts';
import { madeUpFinding, madeUpNode, madeUpSnapshot } from '../helpers/made-up-snapshot.ts';
import { fc } from '../helpers/properties.ts';
import { openSnapshots } from '../helpers/snapshot.ts';
import { idOf } from '../helpers/views.ts';

const timeOf = (at: string): string => at.slice(11, 19);

interface Shown {
  readonly columns: number;
  readonly rows: number;
  readonly isColoured?: boolean;
  readonly ascii?: boolean;
}

function drawn(state: TopState, { columns, rows, isColoured = false, ascii = false }: Shown): string[] {
  const options: PictureOptions = { columns, rows, ascii, timeOf };
  return picture(state, options).map((pieces) => render(pieces, { columns, isColoured, ascii }));
}

/** The state after these snapshots and more of the same, so that there is a history. */
function seen(snapshot: ClusterSnapshot, times = 12): TopState {
  let state = START;
  for (let round = 0; round < times; round++) {
    const nodes = snapshot.nodes.map((node, index) => {
      const cores = Math.abs(Math.sin((round + index) / 3));
      return round === times - 1 || !node.rates ? node : { ...node, rates: { ...node.rates, cores } };
    });
    state = withSnapshot(state, { ...snapshot, nodes });
  }
  return state;
}

const reshard: ClusterSnapshot = madeUpSnapshot(3, {
  moves: [
    {
      ...{ source: '10.0.0.1:7000', target: '10.0.0.3:7000', by: 'open', state: null },
      ...{ slotsOpen: 100, slotsDone: 412, slotsPerSecond: 35.4 },
      ...{ keysLeft: 24_300, keysPerSecond: 8100, msLeft: 2825 },
    },
    {
      ...{ source: '10.0.0.2:7000', target: '10.0.0.3:7000', by: 'task', state: 'snapshotting' },
      ...{ slotsOpen: 512, slotsDone: 0, slotsPerSecond: null },
      ...{ keysLeft: null, keysPerSecond: null, msLeft: null },
    },
  ],
  operators: [{ name: 'redis-trib:change:1', from: '10.0.0.9:53422', ageSeconds: 41 }],
  findings: [
    madeUpFinding('error', 'slot-open', 'Slot 5 is open: migrating on 10.0.0.1:7000 to 10.0.0.3:7000'),
    madeUpFinding('warning', 'replica-lagging', '10.0.0.5:7000 is 3.2 MB behind its master 10.0.0.2:7000'),
  ],
});

const troubled: ClusterSnapshot = madeUpSnapshot(3, {
  state: 'fail',
  nodes: [
    madeUpNode(1, { slots: [[0, 5460]], keys: 99, version: 'Redis 8.4.0' }),
    madeUpNode(4, { role: 'replica', masterId: idOf(1), shard: 1, link: 'copying', rates: null }),
    madeUpNode(2, {
      ...{ slots: [[5461, 10_000]], state: 'down', isFailed: true, silentMs: 61_000 },
      ...{ error: 'Cannot connect to 10.0.0.2:7000: connect ECONNREFUSED 10.0.0.2:7000' },
      ...{ version: null, keys: null, memory: null, rates: null, runId: null, clients: null },
      uptimeSeconds: null,
    }),
    madeUpNode(5, { role: 'replica', masterId: idOf(2), shard: 2, link: 'down' }),
    madeUpNode(3, { slots: [[10_923, 16_383]], state: 'late', silentMs: 2300 }),
    madeUpNode(6, { role: 'replica', masterId: idOf(3), shard: 3, state: 'loading' }),
    madeUpNode(7, { role: 'replica', masterId: idOf(9), shard: null, link: 'down' }),
  ],
  findings: [
    madeUpFinding('error', 'slots-uncovered', '922 slots are not served by any node: 10001-10922', []),
    madeUpFinding('error', 'node-unreachable', '10.0.0.2:7000 does not answer', ['10.0.0.2:7000']),
    madeUpFinding('warning', 'memory-high', 'a', ['10.0.0.1:7000']),
    madeUpFinding('warning', 'memory-high', 'b', ['10.0.0.3:7000']),
    madeUpFinding('info', 'same-host', '10.0.0.4:7000 is on the same host as its master'),
  ],
});

const own: OwnMove = {
  hasPace: true,
  limits: {},
  total: {
    ...{ type: 'move-total', moves: 2, movesDone: 0, slotsDone: 412, slots: 1024 },
    ...{ keysDone: 81_200, keys: 210_000, bytesDone: 9_100_000, bytes: 24_000_000 },
    ...{ keysPerSecond: 8100, etaMs: 15_900, lastStallMs: 2, longestStallMs: 4, elapsedMs: 10_000 },
  },
};

const goldens = openSnapshots('unit/top.snapshot.txt');

describe('The picture of top', () => {
  const [narrow, wide] = [
    { columns: 80, rows: 24 },
    { columns: 200, rows: 50 },
  ];
  const screens: readonly [title: string, state: TopState, shown: Shown][] = [
    [
      'a node alone, 80×24',
      seen(madeUpSnapshot(1, { nodes: [madeUpNode(1, { slots: [[0, 16_383]] })] })),
      narrow,
    ],
    ['6 nodes and a reshard, 80×24', seen(reshard), narrow],
    ['6 nodes and a reshard, 80×24, coloured', seen(reshard), { ...narrow, isColoured: true }],
    ['6 nodes and a reshard, 80×24, ASCII', seen(reshard), { ...narrow, ascii: true }],
    ['6 nodes and a reshard, 200×50', seen(reshard), wide],
    ['6 nodes and our own reshard, 80×24', { ...seen(reshard), own }, narrow],
    [
      '6 nodes and our own reshard, paused, 80×24, ASCII',
      { ...seen(reshard), own: { ...own, limits: { keysPerSecond: 4000, paused: true } } },
      { ...narrow, ascii: true },
    ],
    ['our own move by the servers, 80×24', { ...seen(reshard), own: { ...own, hasPace: false } }, narrow],
    [
      'the first snapshot, 80×24',
      seen(madeUpSnapshot(3, { nodes: reshard.nodes.map((node) => ({ ...node, rates: null })) }), 1),
      narrow,
    ],
    ['trouble, 80×24', seen(troubled), narrow],
    ['trouble, 200×50, coloured', seen(troubled), { ...wide, isColoured: true }],
    ['30 nodes, 80×24', seen(madeUpSnapshot(15)), narrow],
    ['30 nodes, 200×50', seen(madeUpSnapshot(15)), wide],
    ['200 nodes and one selected, 80×24', { ...seen(madeUpSnapshot(100)), selected: idOf(150) }, narrow],
    ['200 nodes by memory, 200×50', { ...seen(madeUpSnapshot(100)), sort: 'memory' }, wide],
    [
      '6 nodes, frozen and selected, 40×10',
      { ...seen(reshard), isFrozen: true, selected: idOf(5) },
      { columns: 40, rows: 10 },
    ],
  ];
  for (const [title, state, shown] of screens)
    goldens.check(title, () => drawn(state, shown).join('\n').replaceAll('\u001b', '␛'));
  goldens.check('a line for output that is no terminal', () => figuresLine(troubled, timeOf));
  goldens.check('a line during a reshard', () => figuresLine(reshard, timeOf));

  test('has as many lines as there are rows, and none is too long, at any size', () => {
    const states = [
      START,
      seen(reshard),
      seen(troubled),
      seen(madeUpSnapshot(15)),
      seen(madeUpSnapshot(100), 1),
    ];
    const sizes = fc.record({
      columns: fc.integer({ min: 1, max: 300 }),
      rows: fc.integer({ min: 1, max: 120 }),
      ascii: fc.boolean(),
    });
    const chosen = fc.record({
      state: fc.constantFrom(...states),
      sort: fc.constantFrom(...SORTS),
      selected: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
      isFrozen: fc.boolean(),
    });
    fc.assert(
      fc.property(sizes, chosen, (size, { state, selected, ...rest }) => {
        const lines = drawn(
          { ...state, ...rest, selected: selected === undefined ? undefined : idOf(selected) },
          size,
        );
        assert.equal(lines.length, size.rows);
        for (const text of lines) assert.ok(text.length <= size.columns, text);
      }),
      { numRuns: 60 },
    );
  });

  test('shows the node that is selected, wherever it is', () => {
    const state = seen(madeUpSnapshot(100), 1);
    for (const { id } of state.snapshot?.nodes ?? []) {
      const rows = drawn({ ...state, selected: id }, { columns: 80, rows: 24 });
      assert.equal(rows.filter((text) => text.startsWith('>')).length, 1);
    }
  });

  test('cuts no line about moves and findings, and no total, while there is room', () => {
    for (const columns of [50, 60, 72, 80, 100, 200]) {
      const lines = drawn(seen(reshard), { columns, rows: 50 });
      const told = lines.slice(lines.findIndex((text) => text.startsWith('slots ')));
      assert.ok(told.length > 5);
      for (const text of [lines[1] ?? '', ...told]) assert.doesNotMatch(text, /…/);
    }
  });

  test('does not let a node act on the terminal', () => {
    const error = 'evil \u001b[2J\u0007 \u009b1m\nline';
    const nodes = [madeUpNode(1, { state: 'down', error, address: 'a\u001bb:1' })];
    const lines = drawn(seen(madeUpSnapshot(1, { nodes })), { columns: 120, rows: 10 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    for (const text of lines) assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f]/);
  });

  test('is the one in the README', () => {
    const file = new URL('../../README.md', import.meta.url);
    const lines = drawn(seen(reshard), { columns: 100, rows: 19 });
    const block = /(?<=\n```text\n)redis-trib top[^`]*(?=\n```\n)/;
    const readme = readFileSync(file, 'utf8');
    if (process.env.REDIS_TRIB_UPDATE_SNAPSHOTS === '1')
      writeFileSync(file, readme.replace(block, lines.join('\n')));
    else assert.equal(block.exec(readme)?.[0], lines.join('\n'));
  });
});

describe('The state of top', () => {
  test('goes through every order with the same key, and has the highest first', () => {
    let state = seen(reshard);
    for (const sort of [...SORTS.slice(1), SORTS[0]]) {
      state = withKey(state, 'sort', undefined);
      assert.equal(state.sort, sort);
    }
    const byLag = sorted({ ...state, sort: 'lag' }).map(({ lagBytes }) => lagBytes);
    assert.equal(byLag[0], 3_400_000);
    assert.deepEqual(sorted({ ...state, sort: 'ops/s' })[0]?.address, '10.0.0.1:7000');
  });

  test('selects from the first node to the last, and no further', () => {
    let state = withKey(seen(reshard), 'down', undefined);
    const ids = reshard.nodes.map(({ id }) => id);
    assert.equal(state.selected, ids[0]);
    for (let press = 0; press < 9; press++) state = withKey(state, 'down', undefined);
    assert.equal(state.selected, ids[5]);
    assert.equal(withKey(state, 'up', undefined).selected, ids[4]);
    assert.equal(withKey(state, 'first', undefined).selected, ids[0]);
    assert.equal(withKey(state, 'close', undefined).selected, undefined);
    assert.equal(withKey(START, 'up', undefined).selected, undefined);
  });

  test('keeps a frozen picture until it goes on with the latest', () => {
    const latest = madeUpSnapshot(15);
    const frozen = withSnapshot(withKey(seen(reshard), 'freeze', reshard), latest);
    assert.equal(frozen.snapshot?.nodes.length, 6);
    assert.equal(withKey(frozen, 'freeze', latest).snapshot, latest);
  });

  test('remembers a limited number of values, and only of nodes that are there', () => {
    const state = withSnapshot(seen(madeUpSnapshot(15), 200), reshard);
    assert.equal(state.history.size, 6);
    assert.ok([...state.history.values()].every((values) => values.length <= 30));
  });
});

describe('keysTyped()', () => {
  test('reads keys that come together, and leaves out what is none', () => {
    assert.deepEqual(keysTyped('s\u001b[A\u001bOBxq'), ['sort', 'up', 'down', 'quit']);
    assert.deepEqual(keysTyped('\u001b[1;5C\u001b[24~é'), []);
    assert.deepEqual(keysTyped('\u001b'), ['close']);
  });
});

describe('frame()', () => {
  test('writes only lines that differ, and all when the number of lines has changed', () => {
    assert.equal(frame(['a', 'b'], ['a', 'b']), '');
    const text = frame(['a', 'b', 'c'], ['a', 'x', 'c']);
    assert.ok(text.includes('\u001b[2;1H\u001b[2Kx'));
    assert.ok(!text.includes('a') && !text.includes('c') && !text.includes('\u001b[2J'));
    assert.ok(frame(['a'], ['a', 'b']).includes('\u001b[2J'));
    assert.ok(frame(undefined, ['a']).includes('\u001b[1;1H'));
  });
});

describe('Marks', () => {
  test('are never wider than their place', () => {
    const values = fc.double({ min: 0, max: 1e15, noNaN: true });
    fc.assert(
      fc.property(values, fc.constantFrom<1000 | 1024>(1000, 1024), (value, step) => {
        assert.ok(brief(value, step).length <= 5, brief(value, step));
      }),
    );
    fc.assert(
      fc.property(
        fc.double({ noNaN: true }),
        fc.integer({ min: 0, max: 40 }),
        fc.boolean(),
        (share, cells, ascii) => {
          assert.equal(gauge(share, cells, { ascii }).length, cells);
        },
      ),
    );
    const history = fc.array(fc.option(values));
    fc.assert(
      fc.property(history, fc.integer({ min: 0, max: 40 }), fc.boolean(), (all, cells, ascii) => {
        assert.equal(sparkline(all, cells, 1, { ascii }).length, cells);
      }),
    );
  });

  test('show what they stand for', () => {
    assert.deepEqual(
      [0, 812, 999.6, 41_234, 1_300_000].map((value) => brief(value)),
      ['0', '812', '1.0k', '41.2k', '1.3M'],
    );
    assert.equal(brief(1024 ** 3, 1024), '1.0G');
    assert.equal(gauge(0.5, 4, { ascii: false }), '██  ');
    assert.equal(gauge(1, 4, { ascii: true }), '####');
    assert.equal(sparkline([0, 0.5, null, 1], 6, 1, { ascii: false }), '  ▁▅ █');
  });
});

describe('The keys that act on a move', () => {
  test('pause it, and halve, double and lift its limit', () => {
    const limits: MoveLimits = {};
    const after = (key: MoveKey, pace = 0): MoveLimits => {
      limit(limits, key, pace);
      return { ...limits };
    };
    assert.deepEqual(after('faster', 8000), {});
    assert.deepEqual(after('slower', 8000), { keysPerSecond: 4000 });
    assert.deepEqual(after('slower', 3900), { keysPerSecond: 2000 });
    assert.deepEqual(after('faster', 100), { keysPerSecond: 4000 });
    assert.deepEqual(after('pause'), { keysPerSecond: 4000, paused: true });
    assert.deepEqual(after('unlimited'), { paused: true });
    assert.deepEqual(after('pause'), { paused: false });
    assert.deepEqual(after('slower'), { keysPerSecond: 500, paused: false });
    for (let times = 0; times < 20; times++) limit(limits, 'slower', 0);
    assert.equal(limits.keysPerSecond, 1);
  });
});
