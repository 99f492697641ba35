import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Pace, timeLeft, type Work } from '../../lib/move/pace.ts';
import { fc } from '../helpers/properties.ts';

/** A source: how much it gives, and how much of that in a millisecond. */
interface Source {
  readonly all: number;
  readonly pace: number;
}

/** What is known of sources that give at the same time, after so many milliseconds. */
function after(sources: readonly Source[], elapsedMs: number, noise: (at: number) => number): [Work, Work[]] {
  const works = sources.map(({ all, pace }, at) => {
    const done = Math.min(all, pace * elapsedMs * noise(at));
    return { all, done, elapsedMs };
  });
  const sum = (field: 'all' | 'done'): number => works.reduce((total, work) => total + work[field], 0);
  return [{ all: sum('all'), done: sum('done'), elapsedMs }, works];
}

const amounts = fc.integer({ min: 1000, max: 1_000_000 });
const sources = fc.array(fc.record({ all: amounts, pace: fc.double({ min: 1, max: 100, noNaN: true }) }), {
  minLength: 1,
  maxLength: 8,
});
const longest = (some: readonly Source[]): number => Math.max(...some.map(({ all, pace }) => all / pace));

describe('timeLeft()', () => {
  test('is within a third of the truth after the first tenth, for sources of any size and pace', () => {
    const share = fc.double({ min: 0.1, max: 0.98, noNaN: true });
    const noise = fc.array(fc.double({ min: 0.85, max: 1.15, noNaN: true }), { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(sources, share, noise, (some, part, factors) => {
        const whole = longest(some);
        // A source whose pace wavers ends sooner or later than it would.
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
      fc.property(sources, fc.double({ min: 0.1, max: 1, noNaN: true }), (some, part) => {
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

  test('waits until a source has done enough to tell its pace', () => {
    const whole = { all: 2000, done: 500, elapsedMs: 1000 };
    const slow = { all: 1000, done: 1, elapsedMs: 1000 };
    assert.equal(timeLeft(whole, [slow]), 3000);
    assert.equal(timeLeft(whole, [{ ...slow, done: 100 }]), 9000);
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
  });
});
