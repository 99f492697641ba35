import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  afterCompare,
  afterEnd,
  type BatchState,
  type Doubt,
  doubtful,
  type NextStep,
  sendingIn,
} from '../../lib/move/by-migrate/after-failure.ts';
import type { BatchEnd } from '../../lib/move/by-migrate/batch.ts';
import { ReplyError } from '../../resp/index.ts';
import { brokenConnection, SOURCE } from '../helpers/scripted-ends.ts';

const refused = (message: string): BatchEnd => ({ type: 'refused', error: new ReplyError(message) });
const failed = (message: string, isLate = false): BatchEnd => ({
  ...{ type: 'failed', error: new ReplyError(message), gone: 2, stallMs: 1, isLate },
});
const byTarget = (message: string, isLate = false) =>
  failed(`ERR Target instance replied with error: ${message}`, isLate);

/** How a batch may end, in the words of the servers. */
const ENDS = {
  moved: [{ type: 'moved', gone: 3, stallMs: 1 }],
  held: [{ type: 'held' }],
  vanished: [
    refused('TRYAGAIN Multiple keys request during rehashing of slot'),
    refused('ASK 7 127.0.0.1:7002'),
  ],
  refused: [
    refused('CLUSTERDOWN The cluster is down'),
    refused('LOADING Redis is loading the dataset in memory'),
  ],
  rejected: [
    byTarget('LOADING Redis is loading the dataset in memory'),
    byTarget('CLUSTERDOWN Hash slot not served'),
    byTarget('MASTERDOWN Link with MASTER is down'),
    byTarget('NOREPLICAS Not enough good replicas to write.'),
  ],
  busyKey: [byTarget('BUSYKEY Target key name already exists.')],
  rejectedLate: [byTarget('LOADING Redis is loading the dataset in memory', true)],
  busyKeyLate: [byTarget('BUSYKEY Target key name already exists.', true)],
  unanswered: [
    failed('IOERR error or timeout reading to target instance', true),
    failed('IOERR error or timeout reading to target instance'),
    failed('IOERR error or timeout connecting to the client'),
  ],
  lost: [{ type: 'lost', error: brokenConnection(SOURCE) }],
  hopeless: [
    byTarget('OOM command not allowed'),
    byTarget('NOAUTH Authentication required.'),
    refused('NOPERM this user has no permissions'),
    refused('MOVED 7 127.0.0.1:7003'),
    { type: 'lost', error: new TypeError('EXEC gave no counts') },
  ],
  hopelessLate: [byTarget('OOM command not allowed', true)],
} as const satisfies Record<string, readonly BatchEnd[]>;

/** The actions taken, in order. */
function summaryOf(step: NextStep, isGranted: boolean): string {
  if (step.do === 'give-up' && step.isUnsettled) return 'give-up, unsettled';
  if (step.do !== 'send-again') return step.do;
  const { replace, alone } = sendingIn(step.state, isGranted);
  return [
    ...(step.wait === 'no' ? [] : [`wait ${step.wait}`]),
    ...(step.fence ? ['fence'] : []),
    ...(step.look ? ['look'] : []),
    ...(step.doubt === 'none' ? [] : [`doubt ${step.doubt}`]),
    ...(step.sweep ? ['sweep'] : []),
    ...(step.compare ? ['compare'] : []),
    `send${alone ? ' alone' : ''}${replace ? ' REPLACE' : ''}`,
    step.state,
  ].join(', ');
}

type Row = readonly [end: keyof typeof ENDS, slot: 'granted' | 'found open', state: BatchState, what: string];

const OF_GRANTED = 'doubt all-if-more-than-acknowledged';

/** "When a MIGRATE fails" of docs/moving-slots.md, for each state that a batch can be in. */
const TABLE: readonly Row[] = [
  ['moved', 'granted', 'new', 'finish'],
  ['moved', 'granted', 'failed', 'finish'],
  ['moved', 'granted', 'copied', 'finish'],
  ['moved', 'found open', 'new', 'finish'],
  ['moved', 'found open', 'copied', 'finish'],
  ['moved', 'found open', 'compared', 'finish'],

  ['held', 'granted', 'new', 'hand-back'],
  ['held', 'found open', 'new', 'hand-back'],

  ['vanished', 'granted', 'new', 'look, sweep, send, new'],
  ['vanished', 'granted', 'failed', 'look, sweep, send alone REPLACE, failed'],
  ['vanished', 'granted', 'copied', 'look, doubt all, sweep, send alone REPLACE, copied'],
  ['vanished', 'found open', 'new', 'look, doubt all, sweep, send, new'],
  ['vanished', 'found open', 'copied', 'look, doubt all, sweep, send alone, copied'],
  ['vanished', 'found open', 'compared', 'look, doubt all, sweep, send alone REPLACE, compared'],

  ['refused', 'granted', 'new', 'wait after-pause, send alone REPLACE, failed'],
  ['refused', 'granted', 'failed', 'wait after-pause, send alone REPLACE, failed'],
  ['refused', 'granted', 'copied', 'wait after-pause, send alone REPLACE, copied'],
  ['refused', 'found open', 'new', 'wait after-pause, send alone, copied'],
  ['refused', 'found open', 'copied', 'wait after-pause, send alone, copied'],
  ['refused', 'found open', 'compared', 'wait after-pause, send alone, copied'],

  ['rejected', 'granted', 'new', 'wait after-pause, look, send alone REPLACE, failed'],
  ['rejected', 'granted', 'failed', 'wait after-pause, look, send alone REPLACE, failed'],
  ['rejected', 'granted', 'copied', `wait after-pause, look, ${OF_GRANTED}, send alone REPLACE, copied`],
  ['rejected', 'found open', 'new', `wait after-pause, look, ${OF_GRANTED}, send alone, copied`],
  ['rejected', 'found open', 'copied', `wait after-pause, look, ${OF_GRANTED}, send alone, copied`],
  ['rejected', 'found open', 'compared', `wait after-pause, look, ${OF_GRANTED}, send alone, copied`],

  ['busyKey', 'granted', 'new', `wait at-once, look, ${OF_GRANTED}, send alone REPLACE, copied`],
  ['busyKey', 'granted', 'failed', `wait at-once, look, ${OF_GRANTED}, send alone REPLACE, copied`],
  ['busyKey', 'granted', 'copied', `wait at-once, look, ${OF_GRANTED}, send alone REPLACE, copied`],
  ['busyKey', 'found open', 'new', `wait at-once, look, ${OF_GRANTED}, compare, send alone, copied`],
  ['busyKey', 'found open', 'copied', `wait at-once, look, ${OF_GRANTED}, compare, send alone, copied`],
  ['busyKey', 'found open', 'compared', `wait at-once, look, ${OF_GRANTED}, compare, send alone, copied`],

  // The first error of the target hides that it then stopped answering.
  [
    'rejectedLate',
    'granted',
    'new',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  [
    'rejectedLate',
    'granted',
    'failed',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  [
    'rejectedLate',
    'granted',
    'copied',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  ['rejectedLate', 'found open', 'new', `wait after-pause, fence, look, ${OF_GRANTED}, send alone, copied`],
  [
    'rejectedLate',
    'found open',
    'copied',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone, copied`,
  ],
  [
    'rejectedLate',
    'found open',
    'compared',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone, copied`,
  ],
  [
    'busyKeyLate',
    'granted',
    'new',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  [
    'busyKeyLate',
    'granted',
    'failed',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  [
    'busyKeyLate',
    'granted',
    'copied',
    `wait after-pause, fence, look, ${OF_GRANTED}, send alone REPLACE, copied`,
  ],
  [
    'busyKeyLate',
    'found open',
    'new',
    `wait after-pause, fence, look, ${OF_GRANTED}, compare, send alone, copied`,
  ],
  [
    'busyKeyLate',
    'found open',
    'copied',
    `wait after-pause, fence, look, ${OF_GRANTED}, compare, send alone, copied`,
  ],
  [
    'busyKeyLate',
    'found open',
    'compared',
    `wait after-pause, fence, look, ${OF_GRANTED}, compare, send alone, copied`,
  ],

  [
    'unanswered',
    'granted',
    'new',
    'wait after-pause, fence, look, doubt unacknowledged, send alone REPLACE, copied',
  ],
  [
    'unanswered',
    'granted',
    'failed',
    'wait after-pause, fence, look, doubt unacknowledged, send alone REPLACE, copied',
  ],
  [
    'unanswered',
    'granted',
    'copied',
    'wait after-pause, fence, look, doubt unacknowledged, send alone REPLACE, copied',
  ],
  [
    'unanswered',
    'found open',
    'new',
    'wait after-pause, fence, look, doubt unacknowledged, send alone, copied',
  ],
  [
    'unanswered',
    'found open',
    'copied',
    'wait after-pause, fence, look, doubt unacknowledged, send alone, copied',
  ],
  [
    'unanswered',
    'found open',
    'compared',
    'wait after-pause, fence, look, doubt unacknowledged, send alone, copied',
  ],

  ['lost', 'granted', 'new', 'wait after-pause, fence, look, send alone REPLACE, copied'],
  ['lost', 'granted', 'failed', 'wait after-pause, fence, look, send alone REPLACE, copied'],
  ['lost', 'granted', 'copied', 'wait after-pause, fence, look, send alone REPLACE, copied'],
  ['lost', 'found open', 'new', 'wait after-pause, fence, look, send alone, copied'],
  ['lost', 'found open', 'copied', 'wait after-pause, fence, look, send alone, copied'],
  ['lost', 'found open', 'compared', 'wait after-pause, fence, look, send alone, copied'],

  ['hopeless', 'granted', 'new', 'give-up'],
  ['hopeless', 'granted', 'failed', 'give-up'],
  ['hopeless', 'granted', 'copied', 'give-up'],
  ['hopeless', 'found open', 'new', 'give-up'],
  ['hopeless', 'found open', 'copied', 'give-up'],
  ['hopeless', 'found open', 'compared', 'give-up'],
  ['hopelessLate', 'granted', 'new', 'give-up, unsettled'],
  ['hopelessLate', 'granted', 'failed', 'give-up, unsettled'],
  ['hopelessLate', 'granted', 'copied', 'give-up, unsettled'],
  ['hopelessLate', 'found open', 'new', 'give-up, unsettled'],
  ['hopelessLate', 'found open', 'copied', 'give-up, unsettled'],
  ['hopelessLate', 'found open', 'compared', 'give-up, unsettled'],
];

describe('afterEnd()', () => {
  for (const [end, slot, state, what] of TABLE)
    test(`of a batch that ended as ${end} in a slot that is ${slot}, when it was ${state}`, () => {
      const isGranted = slot === 'granted';
      for (const each of ENDS[end]) {
        const step = afterEnd(each, state, isGranted);
        assert.equal(summaryOf(step, isGranted), what, `${'error' in each ? each.error : ''}`);
      }
    });

  test('has a row for every possible end, slot and state', () => {
    const rows = TABLE.map(([end, slot, state]) => `${end}, ${slot}, ${state}`);
    const all = Object.keys(ENDS).flatMap((end) => [
      // Only the first attempt can wait behind another batch.
      ...(end === 'held' ? ['new'] : ['new', 'failed', 'copied']).map((state) => `${end}, granted, ${state}`),
      ...(end === 'held' ? ['new'] : ['new', 'copied', 'compared']).map(
        (state) => `${end}, found open, ${state}`,
      ),
    ]);
    assert.deepEqual(rows.toSorted(), all.toSorted());
  });

  test('passes on how many keys the target acknowledged, and why the attempt failed', () => {
    const [unanswered] = ENDS.unanswered;
    const step = afterEnd(unanswered, 'new', true);
    assert.ok(step.do === 'send-again' && unanswered.type === 'failed');
    assert.deepEqual([step.gone, step.error], [2, unanswered.error]);
    const lost = afterEnd(ENDS.lost[0], 'new', true);
    assert.ok(lost.do === 'send-again');
    assert.equal(lost.gone, 0);
  });
});

describe('sendingIn()', () => {
  test('uses REPLACE without comparing only if it is granted, and never at first', () => {
    const states: readonly BatchState[] = ['new', 'failed', 'copied', 'compared'];
    assert.deepEqual(
      states.map((state) => [sendingIn(state, true).replace, sendingIn(state, false).replace]),
      [
        [false, false],
        [true, false],
        [true, false],
        [true, true],
      ],
    );
  });
});

describe('doubtful()', () => {
  const keys = ['a', 'b', 'c', 'd'];
  const rows: readonly (readonly [doubt: Doubt, gone: number, left: string, doubtful: string])[] = [
    ['none', 0, 'a', ''],
    ['all', 0, 'bd', 'ac'],
    ['all', 0, 'abcd', ''],
    // The first two were acknowledged, so they should be gone.
    ['unacknowledged', 2, 'cd', ''],
    ['unacknowledged', 2, 'd', 'c'],
    ['unacknowledged', 0, 'd', 'abc'],
    // Any two may have been acknowledged.
    ['all-if-more-than-acknowledged', 2, 'ac', ''],
    ['all-if-more-than-acknowledged', 2, 'a', 'bcd'],
    ['all-if-more-than-acknowledged', 0, 'abcd', ''],
    ['all-if-more-than-acknowledged', 0, 'abc', 'd'],
  ];
  for (const [doubt, gone, left, expected] of rows)
    test(`of ${doubt}, with ${gone} acknowledged and "${left}" left`, () => {
      assert.deepEqual(doubtful(doubt, { keys, gone, left: [...left] }), [...expected]);
    });
});

describe('afterCompare()', () => {
  test('leaves keys that differ where they are, and uses REPLACE only if there are equal copies', () => {
    const left = ['a', 'b', 'c'];
    assert.deepEqual(afterCompare(left, ['a'], ['b']), { keys: ['a', 'c'], state: 'compared' });
    assert.deepEqual(afterCompare(left, ['a', 'b', 'c'], []), { keys: left, state: 'compared' });
    assert.deepEqual(afterCompare(left, [], ['b']), { keys: ['a', 'c'], state: 'copied' });
    assert.deepEqual(afterCompare(left, [], []), { keys: left, state: 'copied' });
  });
});
