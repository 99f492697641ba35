import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type OnTheWay, timeLeftMs } from '../../lib/move/time-left.ts';

describe('timeLeftMs()', () => {
  const cases: readonly [what: string, move: Omit<OnTheWay, 'isTask'>, ms: number | null][] = [
    ['nothing on its way', { slotsOpen: 0, slotsPerSecond: 5, keysLeft: 0, keysPerSecond: 10 }, null],
    ['no pace yet', { slotsOpen: 9, slotsPerSecond: null, keysLeft: 100, keysPerSecond: null }, null],
    ['by slots', { slotsOpen: 100, slotsPerSecond: 40, keysLeft: null, keysPerSecond: null }, 2500],
    ['by keys', { slotsOpen: 1, slotsPerSecond: null, keysLeft: 3200, keysPerSecond: 400 }, 8000],
    [
      'keys that were not counted',
      { slotsOpen: 2, slotsPerSecond: null, keysLeft: null, keysPerSecond: 9 },
      null,
    ],
    ['a slot half empty', { slotsOpen: 1, slotsPerSecond: 0.1, keysLeft: 500, keysPerSecond: 100 }, 5000],
    ['slots too quick to see', { slotsOpen: 1, slotsPerSecond: 50, keysLeft: 100, keysPerSecond: 1 }, 20],
    ['an empty slot', { slotsOpen: 1, slotsPerSecond: null, keysLeft: 0, keysPerSecond: 100 }, 0],
  ];
  for (const [what, move, ms] of cases)
    test(`${what}: ${ms === null ? 'unknown' : `${ms} ms`}`, () =>
      assert.equal(timeLeftMs({ ...move, isTask: false }), ms));

  test('of a task: by keys, and by slots only without them', () => {
    const task = { slotsOpen: 100, slotsPerSecond: 50, isTask: true };
    assert.equal(timeLeftMs({ ...task, keysLeft: 900, keysPerSecond: 100 }), 9000);
    assert.equal(timeLeftMs({ ...task, keysLeft: 900, keysPerSecond: null }), 2000);
    assert.equal(timeLeftMs({ ...task, keysLeft: null, keysPerSecond: null }), 2000);
  });
});
