import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { ClusterEvent } from '../../lib/events.ts';
import {
  DONE,
  growingPause,
  type Look,
  notReached,
  pause,
  type Wait,
  waitUntil,
} from '../../lib/nodes/wait-until.ts';

/** A clock that advances by a step with each look, and looks that return these values in turn, the last one for ever. */
function looksAt(t: TestContext, stepMs: number, looks: readonly Look<string>[]) {
  let now = 0;
  let count = 0;
  t.mock.method(performance, 'now', () => now);
  const look = (): Look<string> => {
    now += stepMs;
    return looks[Math.min(count++, looks.length - 1)] as Look<string>;
  };
  return { look, looked: () => count };
}

const wait: Wait = { what: 'a test', timeoutMs: 1000, pauseMs: 0 };
const LATE = new Error('late');
const missing = { missing: ['much'], giveUp: () => LATE };

describe('`waitUntil()`', () => {
  const done = { done: 'result' };
  const endings: [string, { stepMs: number; looks: Look<string>[]; looked: number; end: string | Error }][] =
    [
      ['resolves at the first look', { stepMs: 1, looks: [done], looked: 1, end: 'result' }],
      [
        'resolves at once, even when the time is up',
        { stepMs: 5000, looks: [done], looked: 1, end: 'result' },
      ],
      ['looks until it is done', { stepMs: 1, looks: [missing, missing, done], looked: 3, end: 'result' }],
      ['gives up when the time is up', { stepMs: 400, looks: [missing], looked: 3, end: LATE }],
      [
        'resolves to what giving up returns',
        { stepMs: 400, looks: [{ missing: [], giveUp: () => ({ done: 'late' }) }], looked: 3, end: 'late' },
      ],
      [
        'continues past its time while the looks do not say how to give up',
        { stepMs: 400, looks: [...Array(9).fill({ missing: ['much'] }), missing], looked: 10, end: LATE },
      ],
      [
        'looks again past its time if a look says so',
        { stepMs: 2000, looks: ['again', 'again', done], looked: 3, end: 'result' },
      ],
    ];
  for (const [name, { stepMs, looks, looked, end }] of endings) {
    test(name, async (t) => {
      const at = looksAt(t, stepMs, looks);
      const ended = await waitUntil(wait, at.look).catch((error: unknown) => error);
      assert.equal(ended, end);
      assert.equal(at.looked(), looked);
    });
  }

  test('rejects with the error of a look', async () => {
    const look = async (): Promise<Look<void>> => {
      throw LATE;
    };
    await assert.rejects(waitUntil(wait, look), LATE);
  });

  test('passes the time waited to the functions that give up and that set the pause', async (t) => {
    const told: number[] = [];
    const giveUp = (elapsedMs: number): Error => {
      told.push(elapsedMs);
      return LATE;
    };
    const { look } = looksAt(t, 600, [{ missing: [], giveUp }]);
    const pauseMs = (elapsedMs: number): number => {
      told.push(elapsedMs);
      return 0;
    };
    await assert.rejects(waitUntil({ ...wait, pauseMs }, look), LATE);
    assert.deepEqual(told, [600, 1200]);
  });

  test('reports what is missing every half second', async (t) => {
    const events: ClusterEvent[] = [];
    const much = { missing: ['much'] };
    const looks = [much, much, much, much, { missing: [] }, { missing: [] }, { missing: ['less'] }, done];
    const { look } = looksAt(t, 200, looks);
    await waitUntil({ ...wait, emit: (event) => events.push(event) }, look);
    assert.deepEqual(events, [
      { type: 'waiting', what: 'a test', elapsedMs: 600, missing: ['much'] },
      { type: 'waiting', what: 'a test', elapsedMs: 1400, missing: ['less'] },
    ]);
  });

  test('nudges after each look that finds something missing, before the pause', async (t) => {
    const order: string[] = [];
    const nudge = async (): Promise<void> => void order.push('nudge');
    const { look } = looksAt(t, 1, [{ missing: [], nudge }, 'again', { missing: [], nudge }, done]);
    const pauseMs = (): number => {
      order.push('pause');
      return 0;
    };
    await waitUntil({ ...wait, pauseMs }, look);
    assert.deepEqual(order, ['nudge', 'pause', 'nudge', 'pause']);
  });

  test('rejects when a nudge does', async () => {
    const nudge = async (): Promise<void> => {
      throw LATE;
    };
    await assert.rejects(
      waitUntil(wait, () => ({ missing: [], nudge })),
      LATE,
    );
  });

  test('rejects with the reason of a signal, without a look if it was already aborted', async () => {
    let looked = 0;
    const look = (): Look<void> => {
      looked++;
      return DONE;
    };
    await assert.rejects(waitUntil({ ...wait, signal: AbortSignal.abort(LATE) }, look), LATE);
    assert.equal(looked, 0);
  });

  test('rejects as soon as its signal aborts in a pause', async () => {
    const controller = new AbortController();
    let looked = 0;
    const pauseMs = (): number => {
      setImmediate(() => controller.abort(LATE));
      return 60_000;
    };
    const look = (): Look<void> => {
      looked++;
      return { missing: [] };
    };
    await assert.rejects(waitUntil({ ...wait, pauseMs, signal: controller.signal }, look), LATE);
    assert.equal(looked, 1);
  });

  test('looks at once when a signal wakes it, and pauses again after that', async () => {
    const controller = new AbortController();
    const { signal: wakeSignal } = controller;
    const pauses: number[] = [];
    let looked = 0;
    const pauseMs = (): number => {
      setImmediate(() => controller.abort(LATE));
      pauses.push(pauses.length === 0 ? 60_000 : 20);
      return pauses.at(-1) ?? 0;
    };
    const started = performance.now();
    const end = await waitUntil({ ...wait, pauseMs, wakeSignal }, () =>
      ++looked === 3 ? { done: wakeSignal.aborted } : { missing: [] },
    );
    assert.equal(end, true);
    assert.deepEqual(pauses, [60_000, 20]);
    assert.ok(performance.now() - started >= 19);
  });
});

test('`growingPause()` grows by a factor up to the longest', () => {
  const next = growingPause(20, 100, 2);
  assert.deepEqual([next(), next(), next(), next(), next()], [20, 40, 80, 100, 100]);
});

test('`pause()` causes no warning about many listeners on one signal', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on('warning', note);
  t.after(() => process.off('warning', note));
  const controller = new AbortController();
  const pauses = Array.from({ length: 20 }, () => pause(60_000, controller.signal));
  controller.abort();
  await Promise.all(pauses);
  await new Promise(setImmediate);
  assert.deepEqual(warnings, []);
});

test('`notReached()` is NOT_REACHED, and names the subject of the wait and what is missing', () => {
  const { code, message } = notReached('peace', 59_900, ['a', 'b']);
  assert.equal(code, 'NOT_REACHED');
  for (const word of ['60 s', 'peace', 'a', 'b']) assert.ok(message.includes(word), message);
});
