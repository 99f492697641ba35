import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pacer } from '../../lib/move/by-migrate/pacer.ts';
import { fc } from '../helpers/properties.ts';

/** The stalls of a move of so many batches from a source whose MIGRATE takes a base time and a time for each key. */
function moved(pacer: Pacer, batches: number, fixedMs: number, msPerKey: number, noise = () => 1): number[] {
  return Array.from({ length: batches }, (_, at) => {
    // The last batch of a slot may be small.
    const keys = at % 7 === 6 ? 1 + Math.floor(pacer.size.keys / 3) : pacer.size.keys;
    const stallMs = (fixedMs + keys * msPerKey) * noise();
    pacer.measured(keys, undefined, stallMs);
    return stallMs;
  });
}

describe('Pacer', () => {
  test('sends large batches to a target so far away that the round trip alone exceeds the limit', () => {
    for (const fixedMs of [6, 10, 40, 300]) {
      const pacer = new Pacer(5);
      moved(pacer, 20, fixedMs, 0.005);
      assert.ok(pacer.size.keys >= 400, `${pacer.size.keys} keys at ${fixedMs} ms`);
      assert.equal(pacer.wantsSizes, false, 'no size is asked for');
    }
  });

  test('stalls the source no longer than the limit once it knows the keys', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 2, noNaN: true }),
        fc.double({ min: 0.001, max: 2.5, noNaN: true }),
        (fixedMs, msPerKey) => {
          const stalls = moved(new Pacer(5), 60, fixedMs, msPerKey).slice(10);
          assert.ok(Math.max(...stalls) <= 5.5, `${Math.max(...stalls)} ms`);
        },
      ),
    );
  });

  test('goes down to one key at a time if each takes long, and stays there', () => {
    const pacer = new Pacer(5);
    const stalls = moved(pacer, 100, 0.3, 20).slice(3);
    assert.deepEqual(new Set(stalls), new Set([20.3]));
    assert.equal(pacer.wantsSizes, true);
  });

  test('adapts to keys that get larger and to a target that gets nearer', () => {
    const pacer = new Pacer(5);
    moved(pacer, 30, 40, 0.005);
    moved(pacer, 10, 0.3, 0.005);
    assert.equal(pacer.size.keys, 128);
    const [, ...stalls] = moved(pacer, 40, 0.3, 1);
    assert.ok(Math.max(...stalls) <= 20, `${stalls} ms`);
    assert.ok(Math.max(...stalls.slice(5)) <= 10, `${stalls} ms`);
    assert.ok(Math.max(...stalls.slice(27)) <= 5.5, `${stalls} ms`);
  });

  test('does not mistake the delays of a busy machine for the round trip', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 1, max: 4, noNaN: true }), { minLength: 200, maxLength: 200 }),
        (factors) => {
          const pacer = new Pacer(5);
          let at = 0;
          moved(pacer, 200, 0.3, 0.04, () => factors[at++] ?? 1);
          const [quiet] = moved(pacer, 1, 0.3, 0.04);
          assert.ok((quiet ?? 0) <= 5.5, `${quiet} ms`);
        },
      ),
    );
  });
});
