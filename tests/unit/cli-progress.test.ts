import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ProgressView } from '../../lib/cli/progress.ts';
import type { ClusterEvent, MoveProgress } from '../../lib/events.ts';

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
    isTerminal,
    columns: () => columns,
    askSecret: () => Promise.reject(new Error('Not asked')),
    signal: new AbortController().signal,
  });
  const lines = (): string[] => text.replaceAll(ERASE, '\n').split('\n').slice(1);
  return { view, text: () => text, lines, line: () => lines().at(-1) ?? '' };
}

const ends = { source: '127.0.0.1:7000', target: '127.0.0.1:7003' };

function progress(part: Partial<MoveProgress>): MoveProgress {
  const whole = { slotsDone: 0, slots: 100, keysDone: 0, keys: 1000, elapsedMs: 1000 };
  return { type: 'move-progress', ...ends, ...whole, ...part };
}

const everyKind: readonly ClusterEvent[] = [
  { type: 'plan', plan: { version: 1, operation: 'join', steps: [], masters: [] } },
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
  { type: 'move-start', ...ends, slots: 100, keys: 1000 },
  progress({ slotsDone: 50, keysDone: 500 }),
  { type: 'slots-closed', ...ends, slots: [1, 2, 3] },
  { type: 'move-done', ...ends, slots: 100, keys: 1000, elapsedMs: 2000 },
];

describe('progress on a terminal', () => {
  test('no line is wider than the terminal, whatever is told', () => {
    for (const columns of [1, 2, 10, 40, 79, 80, 132]) {
      const { view, lines } = screen(columns);
      for (const event of everyKind) view.onEvent(event);
      assert.ok(lines().length >= 10);
      for (const line of lines()) assert.ok(line.length < Math.max(2, columns), `${columns}: "${line}"`);
    }
  });

  test('80 columns hold slots, keys, rate and time left; the nodes are what is cut off', () => {
    const { view, line } = screen(80);
    view.onEvent(
      progress({
        source: '[2001:db8::1]:37000',
        slotsDone: 4000,
        slots: 5461,
        keysDone: 9_400_000,
        keys: 12_000_000,
        elapsedMs: 3_600_000,
      }),
    );
    assert.match(
      line(),
      /^4000\/5461 slots {2}9400k\/12M keys {2}2611 keys\/s {2}\d+:\d\d left {2}\[2001:db8::1\]:37000 …$/,
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
    view.onEvent(progress({}));
    view.onEvent({ type: 'warning', message: 'Beware' });
    assert.ok(text().endsWith(`${ERASE}Warning: Beware\n`));
    view.onEvent({ type: 'retry', node: '127.0.0.1:7000', slot: 7, reason: 'IOERR timeout' });
    assert.ok(text().endsWith('\nWarning: 127.0.0.1:7000 slot 7: IOERR timeout; trying again\n'));
  });

  test('moves that run side by side are one line with their sum', () => {
    const { view, line } = screen();
    view.onEvent({ type: 'move-start', ...ends, slots: 100, keys: 1000 });
    assert.equal(line(), '0/100 slots  0/1000 keys  0 keys/s  … left  127.0.0.1:7000 → 127.0.0.1:7003');
    view.onEvent({ type: 'move-start', ...ends, source: '127.0.0.1:7001', slots: 50, keys: 500 });
    view.onEvent(progress({ slotsDone: 10, keysDone: 200 }));
    view.onEvent(progress({ source: '127.0.0.1:7001', slotsDone: 5, slots: 50, keysDone: 100, keys: 500 }));
    assert.match(line(), /^15\/150 slots {2}300\/1500 keys {2}300 keys\/s {2}0:\d\d left {2}2 moves$/);
    view.onEvent({ type: 'move-done', ...ends, slots: 100, keys: 1000, elapsedMs: 2000 });
    assert.match(line(), /^105\/150 slots {2}1100\/1500 keys /);
  });

  test('numbers are short, and times read as times', () => {
    const shown = (part: Partial<MoveProgress>): string => {
      const { view, line } = screen();
      view.onEvent(progress(part));
      return line();
    };
    assert.match(shown({ keysDone: 9999, keys: 10_000 }), / 9999\/10k keys {2}9999 keys\/s /);
    assert.match(shown({ keysDone: 9_999_499, keys: 10_000_000 }), / 9999k\/10M keys {2}9999k keys\/s /);
    const half = { slotsDone: 50, keysDone: 500 };
    assert.match(shown({ ...half, elapsedMs: 1000 }), / 0:01 left /);
    assert.match(shown({ ...half, elapsedMs: 59_500 }), / 1:00 left /);
    assert.match(shown({ ...half, elapsedMs: 754_000 }), / 12:34 left /);
    assert.match(shown({ ...half, elapsedMs: 3_723_000 }), / 1:02:03 left /);
    assert.match(shown({ ...half, elapsedMs: 100 }), / … left /);
    assert.match(shown({ slotsDone: 100, keysDone: 1000 }), / 0:00 left /);
    assert.match(
      shown({ slots: 0, keys: 0, elapsedMs: 0 }),
      /^0\/0 slots {2}0\/0 keys {2}0 keys\/s {2}… left /,
    );
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
