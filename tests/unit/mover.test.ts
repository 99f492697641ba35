import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate, setImmediate as turn } from 'node:timers/promises';
import { runDisjoint } from '../../lib/apply/schedule.ts';
import { ClusterError } from '../../lib/errors.ts';
import type { ClusterEvent } from '../../lib/events.ts';
import { countSlots } from '../../lib/model/node.ts';
import { mostLanes } from '../../lib/move/by-migrate/batch-mover.ts';
import { Pacer } from '../../lib/move/by-migrate/pacer.ts';
import { Ledger } from '../../lib/move/progress.ts';
import { SharedLock } from '../../lib/move/shared-lock.ts';
import { Throttle } from '../../lib/move/throttle.ts';
import { areSmallStrings } from '../../lib/nodes/key-sizes.ts';
import type { MoveLimits } from '../../lib/options.ts';
import type { MoveStep } from '../../lib/plan/plan.ts';
import { fc } from '../helpers/properties.ts';

/** A promise and how to settle it. */
function latch() {
  let open = (): void => undefined;
  let fail = (_reason: unknown): void => undefined;
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, fail };
}

describe('SharedLock', () => {
  test('lets an exclusive holder in only when all others have left, and holds back new ones until it is done', async () => {
    const lock = new SharedLock();
    const log: string[] = [];
    const [first, second, only] = [latch(), latch(), latch()];
    const step = (name: string, until: Promise<void>) => async () => {
      log.push(`${name} in`);
      await until;
      log.push(`${name} out`);
    };
    const all = [lock.shared(step('first', first.promise)), lock.shared(step('second', second.promise))];
    all.push(lock.exclusive(step('only', only.promise)));
    all.push(lock.shared(step('third', Promise.resolve())));
    await turn();
    assert.deepEqual(log, ['first in', 'second in']);
    first.open();
    await turn();
    assert.deepEqual(log, ['first in', 'second in', 'first out']);
    second.open();
    await turn();
    assert.deepEqual(log.slice(3), ['second out', 'only in']);
    only.open();
    await Promise.all(all);
    assert.deepEqual(log.slice(5), ['only out', 'third in', 'third out']);
  });

  test('never lets another in with an exclusive holder, in any order of transfers and failures', async () => {
    const kinds = fc.array(fc.record({ alone: fc.boolean(), fails: fc.boolean(), turns: fc.nat(4) }), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(kinds, async (kinds) => {
        const lock = new SharedLock();
        let [beside, alone] = [0, 0];
        const tasks = kinds.map(({ alone: isAlone, fails, turns }) => {
          const work = async (): Promise<void> => {
            if (isAlone) alone += 1;
            else beside += 1;
            assert.ok(alone === 0 || (alone === 1 && beside === 0), `${alone} alone with ${beside}`);
            for (let i = 0; i < turns; i++) await turn();
            if (isAlone) alone -= 1;
            else beside -= 1;
            if (fails) throw new Error('on purpose');
          };
          return isAlone ? lock.exclusive(work) : lock.shared(work);
        });
        const ends = await Promise.allSettled(tasks);
        assert.deepEqual(
          ends.map(({ status }) => status === 'rejected'),
          kinds.map(({ fails }) => fails),
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe('Pacer', () => {
  test('begins with few keys, and grows to what the time allows, at most 128', () => {
    const pacer = new Pacer(5);
    assert.equal(pacer.size.keys, 10);
    pacer.measured(10, undefined, 0.05);
    assert.equal(pacer.size.keys, 128);
    const slow = new Pacer(5);
    slow.measured(10, undefined, 2);
    assert.equal(slow.size.keys, 25);
  });

  test('asks for sizes if keys are slow, and then limits bytes', () => {
    const pacer = new Pacer(5);
    pacer.measured(10, undefined, 0.1);
    assert.equal(pacer.wantsSizes, false);
    for (let batch = 0; batch < 3; batch++) {
      assert.equal(pacer.wantsSizes, false, 'one batch that took long may have had to wait');
      pacer.measured(10, undefined, 10);
    }
    assert.equal(pacer.wantsSizes, true);
    pacer.measured(10, 1_000_000, 10);
    assert.deepEqual(pacer.size, { keys: 128, bytes: 500_000 });
  });

  test('settles on batches below the given stall, for any cost of a key', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 20, noNaN: true }),
        fc.integer({ min: 1, max: 50 }),
        (cost, most) => {
          const pacer = new Pacer(most);
          for (let i = 0; i < 20; i++) pacer.measured(pacer.size.keys, undefined, pacer.size.keys * cost);
          const { keys } = pacer.size;
          assert.ok(keys >= 1 && keys <= 128);
          assert.ok(keys === 1 || keys * cost <= most * 1.01, `${keys} keys of ${cost} ms`);
        },
      ),
    );
  });

  test('is steady once the time of a batch is known and near the limit', () => {
    const pacer = new Pacer(5);
    assert.equal(pacer.isSteady, false);
    pacer.measured(10, undefined, 5);
    assert.equal(pacer.isSteady, true);
    pacer.measured(10, undefined, 100);
    assert.equal(pacer.isSteady, false);
    for (let batch = 0; batch < 10; batch++) pacer.measured(1, undefined, 5);
    assert.equal(pacer.isSteady, true);
    const unbounded = new Pacer(Number.POSITIVE_INFINITY);
    assert.equal(unbounded.isSteady, false);
    unbounded.measured(10, undefined, 1000);
    assert.equal(unbounded.isSteady, true);
  });

  test('takes a thousand keys and asks for no sizes if it is unbounded', () => {
    const pacer = new Pacer(Number.POSITIVE_INFINITY);
    pacer.measured(10, undefined, 1000);
    assert.deepEqual(pacer.size, { keys: 1000, bytes: Number.POSITIVE_INFINITY });
    assert.equal(pacer.wantsSizes, false);
  });
});

describe('mostLanes()', () => {
  test('allows no more batches in flight than fit into the time of one MIGRATE', () => {
    assert.deepEqual(
      [2000, 1000, 100, 50, 10].map((timeout) => mostLanes(timeout)),
      [32, 20, 2, 1, 1],
    );
  });
});

describe('Throttle', () => {
  test('does not delay an abort, even after a large key', { timeout: 10_000 }, async () => {
    const throttle = new Throttle({ bytesPerSecond: 1 });
    await throttle.admit(1, 1_000_000);
    const stop = new AbortController();
    let isAdmitted = false;
    const waiting = throttle.admit(1, 1, stop.signal).then(() => {
      isAdmitted = true;
    });
    await setImmediate();
    assert.equal(isAdmitted, false);
    stop.abort();
    await waiting;
  });

  test('admits nothing while it is paused, and what waits when it is not or when it is aborted', {
    timeout: 10_000,
  }, async () => {
    const limits: MoveLimits = { paused: true };
    const throttle = new Throttle(limits);
    const stop = new AbortController();
    let admitted = 0;
    const admit = async (): Promise<void> => {
      await throttle.admit(1, 1, stop.signal);
      admitted += 1;
    };
    const first = admit();
    await setImmediate();
    assert.equal(admitted, 0);
    limits.paused = false;
    await first;
    limits.paused = true;
    const second = admit();
    await setImmediate();
    assert.equal(admitted, 1);
    stop.abort();
    await second;
  });
});

describe('areSmallStrings()', () => {
  const info = (keys: number, ...lines: string[]) =>
    ['# Keyspace', `db0:keys=${keys},expires=0`, '# Keysizes', ...lines, ''].join('\r\n');

  test('considers the longest possible strings, and the memory that a server may allocate for them', () => {
    const text = info(7, 'db0_distrib_strings_sizes:0=1,8=3,1K=2,1M=1');
    assert.equal(areSmallStrings(text, 8 * 1024 ** 2), true);
    assert.equal(areSmallStrings(text, 4 * 1024 ** 2), false);
  });

  test('is false for keys of another type, or if the server does not report it', () => {
    const strings = 'db0_distrib_strings_sizes:8=3';
    assert.equal(areSmallStrings(info(4, strings, 'db0_distrib_lists_items:1=1'), 1e9), false);
    assert.equal(areSmallStrings(info(4, strings), 1e9), false, 'a stream is not listed');
    assert.equal(areSmallStrings(info(3), 1e9), false);
    assert.equal(areSmallStrings(info(3, 'db0_distrib_strings_sizes:of another form'), 1e9), false);
    assert.equal(areSmallStrings(info(3, strings), 1e9), true);
  });

  test('checks every database', () => {
    const text = 'db0:keys=1,expires=0\r\ndb3:keys=1,expires=0\r\ndb0_distrib_strings_sizes:8=1\r\n';
    assert.equal(areSmallStrings(text, 1e9), false);
    assert.equal(areSmallStrings(`${text}db3_distrib_strings_sizes:8=1\r\n`, 1e9), true);
  });
});

function move(source: string, target: string): MoveStep {
  const ref = (id: string) => ({ id, address: `127.0.0.1:${id}` });
  return { type: 'move-slots', source: ref(source), target: ref(target), slots: [[0, 9]] };
}

describe('runDisjoint()', () => {
  const anyMoves = fc.array(
    fc.tuple(fc.nat(5), fc.nat(5)).filter(([a, b]) => a !== b),
    { maxLength: 20 },
  );

  test('runs every move once, never two on one node at once, and no more than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(anyMoves, fc.integer({ min: 1, max: 4 }), async (pairs, limit) => {
        const moves = pairs.map(([a, b]) => move(`${a}`, `${b}`));
        const busy = new Set<string>();
        const done: MoveStep[] = [];
        await runDisjoint(moves, limit, async (step) => {
          for (const { id } of [step.source, step.target]) {
            assert.ok(!busy.has(id), `${id} is in two moves`);
            busy.add(id);
          }
          assert.ok(busy.size <= 2 * limit);
          await turn();
          for (const { id } of [step.source, step.target]) busy.delete(id);
          done.push(step);
        });
        assert.deepEqual(new Set(done), new Set(moves));
        assert.equal(done.length, moves.length);
      }),
      { numRuns: 100 },
    );
  });

  test('lets only moves that may share a target do so, and none share a source', async () => {
    await fc.assert(
      fc.asyncProperty(anyMoves, fc.func(fc.boolean()), async (pairs, mayShare) => {
        const moves = pairs.map(([a, b]) => move(`${a}`, `${b}`));
        const sharing = new Set(moves.filter((step) => mayShare(moves.indexOf(step))));
        const running = new Set<MoveStep>();
        let done = 0;
        const run = async (step: MoveStep): Promise<void> => {
          for (const other of running) {
            const ends = [step.source.id, step.target.id];
            assert.ok(!ends.includes(other.source.id), 'a source is in two moves');
            const isTarget = other.target.id === step.target.id && sharing.has(step) && sharing.has(other);
            assert.ok(
              !ends.includes(other.target.id) || isTarget,
              'a target is in two moves that do not share',
            );
          }
          running.add(step);
          await turn();
          running.delete(step);
          done += 1;
        };
        await runDisjoint(moves, 4, run, sharing);
        assert.equal(done, moves.length);
      }),
      { numRuns: 100 },
    );
    const together: string[] = [];
    const moves = [move('1', '9'), move('2', '9'), move('3', '9')];
    const run = async ({ source }: MoveStep): Promise<void> => {
      together.push(`${source.id} in`);
      await turn();
      together.push(`${source.id} out`);
    };
    await runDisjoint(moves, 4, run, new Set(moves.slice(0, 2)));
    assert.deepEqual(together, ['1 in', '2 in', '1 out', '2 out', '3 in', '3 out']);
  });

  test('lets four share a target at once', async () => {
    const moves = ['1', '2', '3', '4', '5', '6'].map((source) => move(source, '9'));
    let [running, most] = [0, 0];
    const run = async (): Promise<void> => {
      running += 1;
      most = Math.max(most, running);
      await turn();
      running -= 1;
    };
    await runDisjoint(moves, 8, run, new Set(moves));
    assert.equal(most, 4);
  });

  test('begins no other when one has failed, stops the running ones, and rejects with the reason', async () => {
    const reason = new Error('on purpose');
    const seen: string[] = [];
    const running = runDisjoint([move('1', '2'), move('3', '4'), move('5', '6')], 2, async (step, stop) => {
      seen.push(step.source.id);
      if (step.source.id === '1') throw reason;
      await new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve()));
    });
    await assert.rejects(running, reason);
    assert.deepEqual(seen, ['1', '3']);
  });

  test('reports what all left open and in doubt if several fail, whichever fails first', async () => {
    const failure = (slots: readonly number[], keys: readonly string[] = []) =>
      new ClusterError('MIGRATE_FAILED', `of ${slots}`, {
        openSlots: slots,
        keys,
        resumable: 'same-call',
      });
    const [second, third] = [failure([7, 3], ['k']), failure([5, 7], ['k', 'l'])];
    const failures = new Map<string, unknown>([
      ['1', new DOMException('stopped', 'AbortError')],
      ['3', second],
      ['5', third],
    ]);
    const running = runDisjoint([move('1', '2'), move('3', '4'), move('5', '6')], 3, async ({ source }) => {
      if (source.id !== '1') await turn();
      throw failures.get(source.id);
    });
    await assert.rejects(running, (error: ClusterError) => {
      const { code, message, resumable, openSlots, keys } = error;
      assert.deepEqual([code, message, resumable], ['MIGRATE_FAILED', 'of 7,3', 'same-call']);
      assert.deepEqual(
        [openSlots, keys],
        [
          [3, 5, 7],
          ['k', 'l'],
        ],
      );
      return true;
    });
  });

  test('rejects with the error itself if the others end with the same', async () => {
    const reason = new ClusterError('MIGRATE_FAILED', 'on purpose', { openSlots: [1] });
    const running = runDisjoint([move('1', '2'), move('3', '4')], 2, async ({ source }, stop) => {
      if (source.id === '1') throw reason;
      await turn();
      stop.throwIfAborted();
    });
    await assert.rejects(running, reason);
  });
});

/** A clock that goes on only when it is told. */
function clock(): { readonly pass: (ms: number) => void; readonly now: () => number } {
  let at = 0;
  return {
    pass: (ms) => {
      at += ms;
    },
    now: () => at,
  };
}

describe('Ledger', () => {
  test('reports the total of all moves from the first event on', () => {
    const events: ClusterEvent[] = [];
    const content = { keys: 100, bytes: 5000, bigKeys: [] };
    const moves = [move('1', '2'), move('3', '4'), move('5', '6')].map((one) => ({ ...one, content }));
    const ledger = new Ledger((event) => events.push(event), moves, {});
    for (const one of moves) ledger.begin(one, 'migrate', countSlots(one), content).done();
    const totals = events.flatMap((event) =>
      event.type === 'move-total' ? [[event.slots, event.keys, event.bytes]] : [],
    );
    const slots = moves.reduce((sum, one) => sum + countSlots(one), 0);
    assert.deepEqual(totals, Array(3).fill([slots, 300, 15_000]));
  });

  test('adds up what all moves have done, and counts the finished ones', () => {
    const events: ClusterEvent[] = [];
    const withContent = (one: MoveStep, last: number, keys: number, bytes: number): MoveStep => ({
      ...one,
      slots: [[0, last]],
      content: { keys, bytes, bigKeys: [] },
    });
    // When the first begins, ten keys more are counted.
    const a = withContent(move('1', '2'), 9, 90, 5000);
    const b = withContent(move('3', '4'), 19, 300, 9000);
    const ledger = new Ledger((event) => events.push(event), [a, b], {});
    const first = ledger.begin(a, 'migrate', 10, { keys: 100, bytes: 5000, bigKeys: [] });
    const second = ledger.begin(b, 'migrate', 20, { keys: 300, bytes: 9000, bigKeys: [] });
    first.keysMoved(100, 3);
    second.keysMoved(150, 7);
    second.keysMoved(50, 2);
    first.slotsMoved(10);
    first.done();
    const total = events.findLast((event) => event.type === 'move-total');
    assert.ok(total?.type === 'move-total');
    const { moves, movesDone, slots, slotsDone, keys, keysDone, bytes, longestStallMs, lastStallMs } = total;
    assert.deepEqual(
      { moves, movesDone, slots, slotsDone, keys, keysDone, bytes, longestStallMs, lastStallMs },
      {
        ...{ moves: 2, movesDone: 1, slots: 30, slotsDone: 10, keys: 400, keysDone: 300, bytes: 14_000 },
        ...{ longestStallMs: 7, lastStallMs: 2 },
      },
    );
    const done = events.find((event) => event.type === 'move-done');
    assert.ok(done?.type === 'move-done');
    assert.deepEqual([done.keysDone, done.bytesDone, done.longestStallMs], [100, 5000, 3]);
    const { keysPerSecond, ...moved } = ledger.moved;
    assert.deepEqual(moved, { slots: 10, keys: 300, bytes: 11_000, longestStallMs: 7 });
    assert.ok(keysPerSecond > 0);
  });

  test('knows the time left of what the servers move by what has arrived, and counts it once it is handed over', () => {
    const events: ClusterEvent[] = [];
    const content = { keys: 1000, bytes: 1e6, bigKeys: [] };
    const one: MoveStep = { ...move('1', '2'), slots: [[0, 9]], content };
    const { pass, now } = clock();
    const ledger = new Ledger((event) => events.push(event), [one], {}, now);
    const progress = ledger.begin(one, 'atomic', 10, content);
    const told = () => {
      const total = events.findLast((event) => event.type === 'move-total');
      assert.ok(total?.type === 'move-total');
      return total;
    };
    pass(400);
    progress.arriving(0);
    progress.reached('snapshotting');
    assert.deepEqual([told().etaMs, told().keysDone], [null, 0]);
    // Too soon to know the pace.
    pass(110);
    progress.arriving(0.1);
    progress.reached('snapshotting');
    assert.equal(told().etaMs, null);
    pass(190);
    progress.arriving(0.5);
    progress.reached('snapshotting');
    const { etaMs, elapsedMs, keysDone, bytesDone } = told();
    assert.deepEqual([keysDone, bytesDone], [0, 5e5]);
    // What came before anything had arrived does not count.
    const truth = elapsedMs - 400;
    assert.ok(etaMs !== null && Math.abs(etaMs - truth) < truth / 3, `${etaMs} of ${truth}`);
    progress.arriving(0);
    progress.keysMoved(1000);
    progress.slotsMoved(10);
    progress.done();
    assert.deepEqual([told().etaMs, told().keysDone, told().bytesDone], [0, 1000, 1e6]);
  });

  test('takes what the keys of a move are for what those of moves ahead will be', () => {
    const events: ClusterEvent[] = [];
    const content = { keys: 1000, bytes: 1e5, bigKeys: [] };
    const [one, other] = ['3', '4'].map(
      (target): MoveStep => ({ ...move('1', target), slots: [[0, 9]], content }),
    ) as [MoveStep, MoveStep];
    const { pass, now } = clock();
    const ledger = new Ledger((event) => events.push(event), [one, other], {}, now);
    // Of large hashes, which a number of keys does not show.
    const progress = ledger.begin(one, 'migrate', 10, content, { bytes: 4e5, weight: 1e6 });
    pass(300);
    progress.keysMoved(1000);
    progress.slotsMoved(10);
    progress.done();
    const total = events.findLast((event) => event.type === 'move-total');
    assert.ok(total?.type === 'move-total' && total.etaMs !== null);
    const { etaMs, elapsedMs, bytesDone, bytes } = total;
    assert.ok(Math.abs(etaMs - elapsedMs) < elapsedMs / 3, `${etaMs} of ${elapsedMs}`);
    assert.deepEqual([bytesDone, bytes], [1e5, 2e5]);
  });

  for (const [limit, limits] of Object.entries({
    keys: { keysPerSecond: 1000 },
    bytes: { bytesPerSecond: 100_000 },
  })) {
    test(`knows the time left under a limit of ${limit} before any slot is closed`, () => {
      const events: ClusterEvent[] = [];
      const content = { keys: 6000, bytes: 600_000, bigKeys: [] };
      const one: MoveStep = { ...move('1', '2'), slots: [[0, 999]], content };
      const { pass, now } = clock();
      const ledger = new Ledger((event) => events.push(event), [one], limits, now);
      const progress = ledger.begin(one, 'migrate', 1000, content);
      pass(300);
      progress.keysMoved(2000);
      const total = events.findLast((event) => event.type === 'move-total');
      assert.ok(total?.type === 'move-total' && total.etaMs !== null);
      const truth = 2 * total.elapsedMs;
      assert.ok(Math.abs(total.etaMs - truth) < truth / 3, `${total.etaMs} of ${truth}`);
    });
  }
});
