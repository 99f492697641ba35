import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pace, poolsOf, timeLeft, type Work } from '../../lib/move/pace.ts';
import { fc } from '../helpers/properties.ts';

/** A pool: how much it moves, and how much of that in a millisecond. */
interface Pool {
  readonly all: number;
  readonly pace: number;
}

/** What is known of pools that move at the same time, after so many milliseconds. */
function after(pools: readonly Pool[], elapsedMs: number, noise: (at: number) => number): [Work, Work[]] {
  const works = pools.map(({ all, pace }, at) => {
    const done = Math.min(all, pace * elapsedMs * noise(at));
    return { all, done, elapsedMs };
  });
  const sum = (field: 'all' | 'done'): number => works.reduce((total, work) => total + work[field], 0);
  return [{ all: sum('all'), done: sum('done'), elapsedMs }, works];
}

const amounts = fc.integer({ min: 1000, max: 1_000_000 });
const pools = fc.array(fc.record({ all: amounts, pace: fc.double({ min: 1, max: 100, noNaN: true }) }), {
  minLength: 1,
  maxLength: 8,
});
const longest = (some: readonly Pool[]): number => Math.max(...some.map(({ all, pace }) => all / pace));

describe('timeLeft()', () => {
  test('is within a third of the truth after the first tenth, for pools of any size and pace', () => {
    const share = fc.double({ min: 0.1, max: 0.98, noNaN: true });
    const noise = fc.array(fc.double({ min: 0.86, max: 1.15, noNaN: true }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(pools, share, noise, (some, part, factors) => {
        const whole = longest(some);
        // A pool whose pace wavers ends sooner or later than it would.
        const truth = whole * (1 - part);
        const [all, works] = after(some, whole * part, (at) => (part > 0.5 ? 1 : (factors[at] ?? 1)));
        const left = timeLeft(all, works);
        assert.ok(left !== null);
        assert.ok(Math.abs(left - truth) <= truth / 3 + whole * 0.001, `${left} of ${truth}`);
      }),
    );
  });

  test('is the truth at a steady pace', () => {
    fc.assert(
      fc.property(pools, fc.double({ min: 0.1, max: 1, noNaN: true }), (some, part) => {
        const whole = longest(some);
        const left = timeLeft(...after(some, whole * part, () => 1)) ?? Number.NaN;
        assert.ok(Math.abs(left - whole * (1 - part)) < whole * 1e-6);
      }),
    );
  });

  test('is unknown until something is done, and nothing at the end', () => {
    assert.equal(timeLeft({ all: 10, done: 0, elapsedMs: 100 }, []), null);
    assert.equal(timeLeft({ all: 10, done: 1, elapsedMs: 0 }, []), null);
    assert.equal(timeLeft({ all: 10, done: 10, elapsedMs: 100 }, [{ all: 10, done: 10, elapsedMs: 100 }]), 0);
    assert.equal(timeLeft({ all: 10, done: 12, elapsedMs: 100 }, []), 0);
  });

  test('waits until a pool has done enough to tell its pace', () => {
    const whole = { all: 2000, done: 500, elapsedMs: 1000 };
    const slow = { all: 1000, done: 1, elapsedMs: 1000 };
    assert.equal(timeLeft(whole, [slow]), 3000);
    assert.equal(timeLeft(whole, [{ ...slow, done: 100 }]), 9000);
  });
});

describe('poolsOf()', () => {
  test('are of moves that share nodes, directly or by way of others', () => {
    const pairs = (text: string) =>
      text
        .split(' ')
        .map(([source = '', target = '']) => ({ source: { id: source }, target: { id: target } }));
    for (const [moves, expected] of [
      ['ab cd', ['ab', 'cd']],
      // A node that joins, and one that leaves.
      ['ad bd cd', ['abcd']],
      ['ab ac ad', ['abcd']],
      ['ab cd bc ef', ['abcd', 'ef']],
      ['ae bf af cg', ['abef', 'cg']],
    ] as const) {
      const poolOf = poolsOf(pairs(moves));
      const ids = [...new Set(moves.replaceAll(' ', ''))].sort();
      const pools = new Map<string, string[]>();
      for (const id of ids) pools.set(poolOf(id), [...(pools.get(poolOf(id)) ?? []), id]);
      assert.deepEqual([...pools.values()].map((pool) => pool.join('')).sort(), expected, moves);
    }
  });

  test('keep their pace while the shares of their sources vary', () => {
    // Two sources take turns at a target that takes 10 in a millisecond: halfway, one has given little.
    const whole = { all: 20_000, done: 10_000, elapsedMs: 1000 };
    assert.equal(timeLeft(whole, [whole]), 1000);
    const slow = { all: 10_000, done: 1000, elapsedMs: 1000 };
    assert.equal(timeLeft(whole, [whole, slow]), 9000);
  });
});

describe('Pace', () => {
  /** Marks every 100 ms of this time; what is done grows by `rate`. */
  function marked(
    ms: number,
    rate: (at: number) => number,
  ): { readonly pace: Pace<number>; readonly done: number } {
    const pace = new Pace<number>();
    let done = 0;
    for (let at = 100; at <= ms; at += 100) {
      done += 100 * rate(at);
      pace.mark(at, done);
    }
    return { pace, done };
  }

  test('remembers how far it was halfway, within a twentieth of the time', () => {
    for (const ms of [1000, 10_000, 3_600_000]) {
      const half = marked(ms, () => 1).pace.halfway(ms);
      assert.ok(half && Math.abs(half.elapsedMs - ms / 2) <= ms / 20, `${half?.elapsedMs} of ${ms}`);
      assert.equal(half.done, half.elapsedMs);
    }
    assert.equal(new Pace<number>().halfway(1000), undefined);
  });

  test('forgets a slow beginning', () => {
    const { pace, done } = marked(10_000, (at) => (at <= 3000 ? 0.1 : 1));
    const left = timeLeft({ all: done + 5000, done, elapsedMs: 10_000, since: pace.halfway(10_000) }, []);
    assert.ok(left !== null && Math.abs(left - 5000) < 50, `${left}`);
    const overall = timeLeft({ all: done + 5000, done, elapsedMs: 10_000 }, []) ?? 0;
    assert.ok(overall > 6500, `${overall}`);
  });

  test('is that of the whole while nothing has been done since', () => {
    const work = { all: 20, done: 10, elapsedMs: 1000 };
    assert.equal(timeLeft({ ...work, since: { done: 10, elapsedMs: 500 } }, []), 1000);
    assert.equal(timeLeft({ ...work, since: { done: 9, elapsedMs: 500 } }, []), 1000);
    assert.equal(timeLeft({ ...work, since: { done: 6, elapsedMs: 500 } }, []), 1250);
  });
});
