import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Io } from '../../lib/cli/io.ts';
import { type ProgressOptions, ProgressView } from '../../lib/cli/progress.ts';
import type { ClusterEvent, MoveFigures, MoveProgress, MoveTotal } from '../../lib/events.ts';

/** Moves to the start of the line and erases it. */
const ERASE = '\r\u001b[K';

interface Screen {
  readonly view: ProgressView;
  /** All that was written. */
  text(): string;
  /** The last line of the terminal. */
  line(): string;
  /** Every state that the line went through. */
  lines(): string[];
}

function screen(columns = 200, isTerminal = true, options: ProgressOptions = {}): Screen {
  let text = '';
  const io: Io = {
    stdout: () => assert.fail('progress goes to stderr'),
    stderr: (more) => {
      text += more;
    },
    env: {},
    isTerminal: () => isTerminal,
    columns: () => columns,
    askSecret: () => Promise.reject(new Error('Not asked')),
    canAsk: () => false,
    ask: () => Promise.resolve(undefined),
    signal: new AbortController().signal,
  };
  const view = new ProgressView(io, options);
  const lines = (): string[] => text.replaceAll(ERASE, '\n').split('\n').slice(1);
  return { view, text: () => text, lines, line: () => lines().at(-1) ?? '' };
}

const pair = { source: '127.0.0.1:7000', target: '127.0.0.1:7003', method: 'migrate' } as const;
const size = { slots: 100, keys: 1000, bytes: 100_000 };
const figures: MoveFigures = {
  ...{ slotsDone: 0, keysDone: 0, bytesDone: 0, ...size },
  ...{ keysPerSecond: 0, etaMs: null, lastStallMs: 0, longestStallMs: 0, elapsedMs: 1000 },
};
const start: ClusterEvent = { type: 'move-start', ...pair, ...size };

function progress(part: Partial<MoveProgress> = {}): MoveProgress {
  return { type: 'move-progress', ...pair, ...figures, ...part };
}

function total(part: Partial<MoveTotal> = {}): MoveTotal {
  return { type: 'move-total', moves: 1, movesDone: 0, ...figures, ...part };
}

const everyKind: readonly ClusterEvent[] = [
  { type: 'plan', plan: { version: 1, before: [], operation: 'join', steps: [], masters: [] } },
  { type: 'slots-assigned', node: '127.0.0.1:7000', slots: 5462 },
  { type: 'node-meet', node: '127.0.0.1:7003', by: '127.0.0.1:7000' },
  { type: 'node-forget', node: '127.0.0.1:7003', by: '127.0.0.1:7000' },
  { type: 'node-reset', node: '127.0.0.1:7003' },
  { type: 'replica-set', node: '127.0.0.1:7003', master: '127.0.0.1:7000' },
  {
    type: 'waiting',
    what: 'every node to agree',
    elapsedMs: 2400,
    missing: ['127.0.0.1:7000 does not know 127.0.0.1:7003'],
  },
  { type: 'waiting', what: 'every node to agree', elapsedMs: 0, missing: [] },
  { type: 'agreed', elapsedMs: 2500 },
  start,
  progress({ slotsDone: 50, keysDone: 500 }),
  total({ slotsDone: 50, keysDone: 500, longestStallMs: 1.84, etaMs: 1000 }),
  { type: 'slots-closed', source: pair.source, target: pair.target, slots: [1, 2, 3] },
  {
    ...{ type: 'follow-progress', source: pair.source, by: 'streams', behindKeys: 12_000, behindMs: 250 },
    ...{ changesPerSecond: 9000, copied: 1, deleted: 0, elapsedMs: 1000 },
  },
  { type: 'follow-gap', node: pair.source, reason: 'flushall' },
  { type: 'writes-paused', nodes: [pair.source], forMs: 30_000 },
  { type: 'writes-resumed', nodes: [pair.source] },
  { type: 'move-done', ...pair, ...figures },
  total({ slotsDone: 100, keysDone: 1000, longestStallMs: 1.84, etaMs: 0 }),
];

describe('Progress on a terminal', () => {
  test('is never wider than the terminal, for any event', () => {
    for (const columns of [1, 2, 10, 40, 79, 80, 132]) {
      const { view, lines } = screen(columns);
      for (const event of everyKind) view.onEvent(event);
      assert.ok(lines().length >= 9);
      for (const line of lines()) assert.ok(line.length < Math.max(2, columns), `${columns}: "${line}"`);
    }
  });

  test('shows slots, keys, rate, time left and stall in 80 columns, and cuts off the nodes', () => {
    const { view, line } = screen(80);
    view.onEvent({ ...start, source: '[2001:db8::1]:37000' });
    view.onEvent(
      total({
        slotsDone: 4000,
        slots: 5461,
        keysDone: 9_400_000,
        keys: 12_000_000,
        keysPerSecond: 2611,
        etaMs: 754_000,
        longestStallMs: 1.84,
      }),
    );
    assert.match(
      line(),
      /^4000\/5461 slots {2}9400k\/12M keys {2}2611 keys\/s {2}12:34 left {2}max stall 1\.8 ms {2}\[.*…$/,
    );
  });

  test('replaces its line each time, and erases it at the end', () => {
    const { view, text, line } = screen();
    for (const event of everyKind) view.onEvent(event);
    assert.doesNotMatch(text(), /\n/);
    assert.notEqual(line(), '');
    view.clear();
    assert.equal(line(), '');
    const before = text();
    view.clear();
    assert.equal(text(), before, 'there is nothing left to erase');
  });

  test('gives way to a warning, which stays', () => {
    const { view, text } = screen();
    view.onEvent(total());
    view.onEvent({ type: 'warning', message: 'Beware' });
    assert.ok(text().endsWith(`${ERASE}Warning: Beware\n`));
  });

  test('holds back what is tried again until the command fails', () => {
    const { view, text, line } = screen();
    const retry = { type: 'retry', node: '127.0.0.1:7000', slot: 7, reason: 'IOERR timeout' } as const;
    view.onEvent(retry);
    view.onEvent(retry);
    const warning = 'Warning: 127.0.0.1:7000 slot 7: IOERR timeout; trying again';
    assert.equal(line(), warning);
    view.onEvent(total());
    assert.doesNotMatch(text(), /\n/);
    view.tellHeld();
    assert.ok(text().endsWith(`${warning}\n`));
    assert.equal(text().split('\n').length, 2, 'once');
  });

  test('names the nodes of one move, and the number of several', () => {
    const { view, line } = screen();
    view.onEvent(start);
    view.onEvent(total());
    assert.equal(line(), '0/100 slots  0/1000 keys  0 keys/s  … left  127.0.0.1:7000 → 127.0.0.1:7003');
    view.onEvent({ ...start, source: '127.0.0.1:7001' });
    view.onEvent(total({ moves: 2, slotsDone: 15, slots: 150, keysDone: 300, keys: 1500, etaMs: 4000 }));
    assert.equal(line(), '15/150 slots  300/1500 keys  0 keys/s  0:04 left  2 moves');
  });

  test('shows the state of atomic migrations until they are done', () => {
    const { view, line } = screen();
    const atomic = { ...pair, method: 'atomic' } as const;
    view.onEvent({ ...start, method: 'atomic' });
    view.onEvent(progress({ ...atomic, state: 'snapshotting' }));
    view.onEvent(total({ moves: 2 }));
    assert.match(line(), / left {2}snapshotting {2}2 moves$/);
    view.onEvent(progress({ ...atomic, source: '127.0.0.1:7001', state: 'waiting-to-pause' }));
    view.onEvent(total({ moves: 2 }));
    assert.match(line(), / left {2}snapshotting, waiting-to-pause {2}2 moves$/);
    view.onEvent({ type: 'move-done', ...atomic, ...figures });
    view.onEvent(total({ moves: 2 }));
    assert.match(line(), / left {2}waiting-to-pause {2}2 moves$/);
  });

  test('shows short numbers, and times as minutes and seconds', () => {
    const shown = (part: Partial<MoveTotal>): string => {
      const { view, line } = screen();
      view.onEvent(total(part));
      return line();
    };
    assert.match(
      shown({ keysDone: 9999, keys: 10_000, keysPerSecond: 146_400 }),
      / 9999\/10k keys {2}146k keys\/s /,
    );
    assert.match(shown({ keysDone: 9_999_499, keys: 10_000_000 }), / 9999k\/10M keys /);
    for (const [etaMs, text] of [
      [0, '0:00'],
      [1000, '0:01'],
      [59_500, '1:00'],
      [754_000, '12:34'],
      [3_723_000, '1:02:03'],
      [null, '…'],
    ] as const) {
      assert.match(shown({ etaMs }), new RegExp(` ${text} left `));
    }
    for (const [longestStallMs, text] of [
      [0.04, '0.0 ms'],
      [1.84, '1.8 ms'],
      [123.4, '123 ms'],
      [2504, '2.50 s'],
    ] as const) {
      assert.ok(shown({ longestStallMs }).includes(` max stall ${text} `));
    }
    assert.match(shown({ slots: 0, keys: 0 }), /^0\/0 slots {2}0\/0 keys {2}0 keys\/s {2}… left /);
  });
});

describe('Progress without a terminal', () => {
  test('shows only warnings', () => {
    const { view, text } = screen(80, false);
    for (const event of everyKind) view.onEvent(event);
    view.clear();
    assert.equal(text(), '');
    view.onEvent({ type: 'warning', message: 'Beware' });
    assert.equal(text(), 'Warning: Beware\n');
  });
});

describe('Progress by the clock', () => {
  test('leaves no second silent on a terminal: it says what goes on, and for how long', () => {
    let ms = 0;
    const { view, line } = screen(200, true, { now: () => ms });
    view.start('Looking at the cluster');
    view.stop();
    view.tick();
    assert.equal(line(), '');
    ms = 1000;
    view.tick();
    assert.equal(line(), 'Looking at the cluster (1 s)');
    ms = 2500;
    view.onEvent(total());
    view.tick();
    assert.match(line(), /^0\/100 slots/);
    ms = 5500;
    view.tick();
    assert.match(line(), /^0\/100 slots .*left {2} \(3 s\)$/);
    view.clear();
    assert.equal(line(), '');
  });

  test('counts on from what is waited for, without two times in one line', () => {
    let ms = 0;
    const { view, line } = screen(200, true, { now: () => ms });
    view.onEvent({ type: 'waiting', what: 'every node to agree', elapsedMs: 2400, missing: ['a'] });
    ms = 1200;
    view.tick();
    assert.equal(line(), 'Waiting for every node to agree: a (1 s)');
  });

  test('is silent off a terminal and with --quiet, which keeps warnings', () => {
    let ms = 0;
    for (const [isTerminal, options] of [
      [false, {}],
      [true, { quiet: true }],
    ] as const) {
      const { view, text } = screen(80, isTerminal, { ...options, now: () => ms });
      view.start('Looking');
      for (const event of everyKind) view.onEvent(event);
      ms += 5000;
      if (!isTerminal) view.tick();
      view.stop();
      assert.equal(text(), '');
      view.onEvent({ type: 'warning', message: 'Beware' });
      assert.equal(text(), 'Warning: Beware\n');
    }
  });

  test('is a line every ten seconds off a terminal with --progress', () => {
    let ms = 0;
    const { view, text } = screen(80, false, { always: true, now: () => ms });
    for (; ms < 35_000; ms += 100) view.onEvent(total({ slotsDone: ms / 1000 }));
    const lines = text().trimEnd().split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['0/100', '10/100', '20/100', '30/100'],
    );
    assert.ok(!text().includes('\r'));
  });

  test('keeps a line for each step with --verbose, above the line that changes', () => {
    const { view, text } = screen(80, false, { verbose: true });
    for (const event of everyKind) view.onEvent(event);
    assert.deepEqual(text().trimEnd().split('\n'), [
      'Plan of join: 0 steps',
      'Assigned 5462 slots to 127.0.0.1:7000',
      'Introduced 127.0.0.1:7003 to 127.0.0.1:7000',
      '127.0.0.1:7000 forgets 127.0.0.1:7003',
      'Reset 127.0.0.1:7003',
      '127.0.0.1:7003 copies 127.0.0.1:7000',
      'The nodes agree, after 2.50 s',
      'Moving 100 slots with 1000 keys from 127.0.0.1:7000 to 127.0.0.1:7003 (migrate)',
      'Comparing all keys. 127.0.0.1:7000: flushall',
      'Paused writes on 127.0.0.1:7000',
      'Resumed writes on 127.0.0.1:7000',
      'Moved 0 slots with 0 keys from 127.0.0.1:7000 to 127.0.0.1:7003 in 1.00 s',
    ]);
    const terminal = screen(80, true, { verbose: true });
    for (const event of everyKind) terminal.view.onEvent(event);
    for (const line of terminal.text().split('\n').slice(0, -1))
      assert.ok(!line.includes('\r') || line.split(ERASE).length > 1, 'erased before text');
  });
});
