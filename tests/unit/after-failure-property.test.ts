import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fc } from '../helpers/properties.ts';
import { type Choose, TwoEnds } from '../helpers/two-ends.ts';

const KEYS = ['a', 'b', 'c'];
const source = new Map(KEYS.map((key) => [key, `first ${key}`]));

/** Choices in order; once they are used up nothing goes wrong any more. */
function chooserOf(choices: readonly number[]): Choose {
  let at = 0;
  return (count) => (choices[at++] ?? 0) % count;
}

/** Runs a batch through all choices, and then some more. */
function moveThrough(ends: TwoEnds): TwoEnds {
  ends.moveBatch(KEYS);
  ends.meanwhile();
  ends.wake();
  ends.meanwhile();
  return ends;
}

/** A client reads the last value acknowledged to it, and a deleted key stays gone or is named. */
function assertNothingLost({ source, target, acknowledged, inDoubt, conflicts, untold }: TwoEnds): void {
  for (const [key, value] of acknowledged) {
    const seen = source.get(key) ?? target.get(key);
    if (value !== undefined) assert.equal(seen, value, `${key} has an older value, or none`);
    else if (!inDoubt.has(key) && !conflicts.has(key) && !untold.has(key))
      assert.equal(seen, undefined, `${key} came back`);
  }
}

const choices = fc.array(fc.nat(59), { maxLength: 60, size: 'max' });
const RUNS = 2000;

describe('a batch, however MIGRATE ends and whatever clients do', () => {
  test('leaves every acknowledged value in a slot that this run opened empty', () => {
    fc.assert(
      fc.property(choices, (choices) => {
        const ends = moveThrough(new TwoEnds({ source, isGranted: true }, chooserOf(choices)));
        assertNothingLost(ends);
        assert.deepEqual([...ends.source], [], 'all keys have moved');
      }),
      { numRuns: RUNS },
    );
  });

  // Values that an earlier run, or a client, has left on the target.
  const found = fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom('same', 'different'));

  test('leaves every acknowledged value in a slot that was found open, and overwrites no other', () => {
    fc.assert(
      fc.property(found, choices, (found, choices) => {
        const target = new Map(
          Object.entries(found).map(([key, is]) => [key, is === 'same' ? `first ${key}` : 'different']),
        );
        const ends = moveThrough(new TwoEnds({ source, target, isGranted: false }, chooserOf(choices)));
        assertNothingLost(ends);
        assert.deepEqual([...ends.overwritten], []);
        assert.deepEqual(
          [...ends.source.keys()].filter((key) => !ends.conflicts.has(key)),
          [],
          'all keys have moved except those in conflict',
        );
      }),
      { numRuns: RUNS },
    );
  });
});
