import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProgressView } from '../../lib/cli/progress.ts';
import type { ClusterEvent, MoveFigures, MoveProgress, MoveTotal } from '../../lib/events.ts';

/** Goes to the start of the line and erases it. */
const ERASE = '\r\u001b[K';

interface Screen {
  readonly view: ProgressView;
  /** All that was written. */
  text(): string;
  /** What the last line of the terminal shows. */
  line(): string;
  /** Every state that the line went through. */
  lines(): string[];
}

function screen(columns = 200, isTerminal = true): Screen {
  let text = '';
  const view = new ProgressView({
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
  });
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
  { type: 'move-done', ...pair, ...figures },
  total({ slotsDone: 100, keysDone: 1000, longestStallMs: 1.84, etaMs: 0 }),
];

describe('progress on a terminal', () => {
  test('no line is wider than the terminal, whatever is told', () => {
    for (const columns of [1, 2, 10, 40, 79, 80, 132]) {
      const { view, lines } = screen(columns);
      for (const event of everyKind) view.onEvent(event);
      assert.ok(lines().length >= 9);
      for (const line of lines()) assert.ok(line.length < Math.max(2, columns), `${columns}: "${line}"`);
    }
  });

  test('80 columns hold slots, keys, rate, time left and stall; the nodes are what is cut off', () => {
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

  test('each line takes the place of the one before, and is taken away at the end', () => {
    const { view, text, line } = screen();
    for (const event of everyKind) view.onEvent(event);
    assert.doesNotMatch(text(), /\n/);
    assert.notEqual(line(), '');
    view.clear();
    assert.equal(line(), '');
    const before = text();
    view.clear();
    assert.equal(text(), before, 'there is nothing left to take away');
  });

  test('a warning keeps its line, and takes that of the progress away', () => {
    const { view, text } = screen();
    view.onEvent(total());
    view.onEvent({ type: 'warning', message: 'Beware' });
    assert.ok(text().endsWith(`${ERASE}Warning: Beware\n`));
    view.onEvent({ type: 'retry', node: '127.0.0.1:7000', slot: 7, reason: 'IOERR timeout' });
    assert.ok(text().endsWith('\nWarning: 127.0.0.1:7000 slot 7: IOERR timeout; trying again\n'));
  });

  test('one move is shown with its nodes, several with their number', () => {
    const { view, line } = screen();
    view.onEvent(start);
    view.onEvent(total());
    assert.equal(line(), '0/100 slots  0/1000 keys  0 keys/s  … left  127.0.0.1:7000 → 127.0.0.1:7003');
    view.onEvent({ ...start, source: '127.0.0.1:7001' });
    view.onEvent(total({ moves: 2, slotsDone: 15, slots: 150, keysDone: 300, keys: 1500, etaMs: 4000 }));
    assert.equal(line(), '15/150 slots  300/1500 keys  0 keys/s  0:04 left  2 moves');
  });

  test('with atomic migration it says what the servers are at, until they are done', () => {
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

  test('numbers are short, and times read as times', () => {
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

describe('progress without a terminal', () => {
  test('nothing is shown but warnings', () => {
    const { view, text } = screen(80, false);
    for (const event of everyKind) view.onEvent(event);
    view.clear();
    assert.equal(text(), '');
    view.onEvent({ type: 'warning', message: 'Beware' });
    assert.equal(text(), 'Warning: Beware\n');
  });
});
