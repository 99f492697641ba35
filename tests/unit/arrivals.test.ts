import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Arrivals } from '../../lib/move/by-servers/arrivals.ts';

const MB = 1e6;

describe('Arrivals', () => {
  test('are the part of what is expected by which the memory of the target has grown', () => {
    const arrivals = new Arrivals();
    arrivals.begin({ keys: 0, bytes: 100 * MB });
    for (const [used, part] of [
      [500 * MB, 0],
      // Too little to tell the pace by.
      [500.5 * MB, 0],
      [550 * MB, 0.5],
      // A server may free memory of its own.
      [490 * MB, 0],
      // More than was expected: the slots are still to be handed over.
      [700 * MB, 0.95],
    ] as const)
      assert.equal(arrivals.partAt(used), part, `${used}`);
  });

  test('are those of all moves that run, until all have ended', () => {
    const arrivals = new Arrivals();
    arrivals.begin({ keys: 0, bytes: 100 * MB });
    assert.equal(arrivals.partAt(10 * MB), 0);
    arrivals.begin({ keys: 0, bytes: 300 * MB });
    assert.equal(arrivals.partAt(110 * MB), 0.25);
    arrivals.end();
    assert.equal(arrivals.partAt(210 * MB), 0.5);
    arrivals.end();
    arrivals.begin({ keys: 0, bytes: 100 * MB });
    assert.equal(arrivals.partAt(410 * MB), 0);
    assert.equal(arrivals.partAt(460 * MB), 0.5);
  });

  test('are none if nothing is expected', () => {
    const arrivals = new Arrivals();
    arrivals.begin({ keys: 0, bytes: 0 });
    assert.deepEqual([arrivals.partAt(5), arrivals.partAt(5)], [0, 0]);
  });
});
