import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeRecord } from '../../lib/model/node.ts';
import { SLOT_COUNT, toRanges } from '../../lib/model/slot.ts';
import type { MoveStep } from '../../lib/plan/plan.ts';
import { type ReshardRequest, draftReshard as reshardPlan } from '../../lib/plan/reshard.ts';
import { runMain } from '../helpers/made-up-io.ts';
import { fc } from '../helpers/properties.ts';
import { applied, ownersIn, recordOf, slotsIn } from '../helpers/slot-plans.ts';

/** Masters with these slots, numbered by their place in the list. */
const mastersWith = (...slots: number[][]): NodeRecord[] =>
  slots.map((held, node) => recordOf(node, toRanges(held)));

const range = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

const brief = (steps: readonly MoveStep[]) =>
  steps.map(({ source, slots }) => [source.id, slots] as [string, typeof slots]);

const isRefusal = (code: string) => (error: unknown) => (error as { code?: string }).code === code;

function draftReshard(request: ReshardRequest): readonly MoveStep[] {
  const planned = reshardPlan(request);
  if ('refusal' in planned) throw planned.refusal;
  return planned.steps;
}

describe('draftReshard()', () => {
  test('takes a number of slots like redis-cli: from the source with the most first and rounded up, the lowest slots first', () => {
    const [a, b, c, target] = mastersWith(range(0, 99), range(100, 299), range(300, 399), []) as [
      NodeRecord,
      NodeRecord,
      NodeRecord,
      NodeRecord,
    ];
    assert.deepEqual(brief(draftReshard({ sources: [a, b, c], target, slots: 10 })), [
      [b.id, [[100, 104]]],
      [a.id, [[0, 2]]],
      [c.id, [[300, 301]]],
    ] as [string, [number, number][]][]);
    assert.deepEqual(brief(draftReshard({ sources: [a, b, c], target, slots: 9 })), [
      [b.id, [[100, 104]]],
      [a.id, [[0, 1]]],
      [c.id, [[300, 301]]],
    ] as [string, [number, number][]][]);
  });

  test('takes given slots from the sources that have them, and leaves those that are there already', () => {
    const [a, b, target] = mastersWith(range(0, 9), range(10, 19), range(20, 29)) as [
      NodeRecord,
      NodeRecord,
      NodeRecord,
    ];
    assert.deepEqual(brief(draftReshard({ sources: [a, b], target, slots: [5, 12, 25, 9, 10] })), [
      [
        a.id,
        [
          [5, 5],
          [9, 9],
        ],
      ],
      [
        b.id,
        [
          [10, 10],
          [12, 12],
        ],
      ],
    ] as [string, [number, number][]][]);
    assert.deepEqual(draftReshard({ sources: [a], target, slots: [20] }), []);
    assert.throws(
      () => draftReshard({ sources: [a], target, slots: [5, 12, 300] }),
      isRefusal('SLOTS_NOT_HELD'),
    );
  });

  test('refuses a target among the sources, and more slots than there are', () => {
    const [a, b] = mastersWith(range(0, 9), []) as [NodeRecord, NodeRecord];
    assert.throws(() => draftReshard({ sources: [a, b], target: b, slots: 1 }), isRefusal('SAME_NODE'));
    assert.throws(() => draftReshard({ sources: [a], target: b, slots: 11 }), isRefusal('SLOTS_NOT_HELD'));
    assert.throws(() => draftReshard({ sources: [], target: b, slots: 1 }), isRefusal('SLOTS_NOT_HELD'));
    for (const slots of [0, -1, 1.5, Number.NaN]) {
      assert.throws(
        () => draftReshard({ sources: [a], target: b, slots }),
        { code: 'INVALID_ARGUMENT' },
        `${slots}`,
      );
    }
    assert.equal(slotsIn(draftReshard({ sources: [a], target: b, slots: 10 })), 10);
  });

  test('moves exactly as many slots as asked, each once, to the target, in shares within one slot', () => {
    const cases = fc.tuple(
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 200 }),
      fc.float({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 0, max: 40 }),
    );
    fc.assert(
      fc.property(cases, ([counts, part, ofTarget]) => {
        let next = 0;
        const held = [...counts, ofTarget].map((count) => {
          next += count;
          return range(next - count, next - 1);
        });
        fc.pre(next <= SLOT_COUNT);
        const nodes = mastersWith(...held);
        const [target] = nodes.slice(-1) as [NodeRecord];
        const sources = nodes.slice(0, -1);
        const all = counts.reduce((sum, count) => sum + count, 0);
        const slots = Math.min(all, Math.max(1, Math.round(all * part)));
        fc.pre(slots > 0);
        const steps = draftReshard({ sources, target, slots });
        assert.equal(slotsIn(steps), slots);
        assert.deepEqual(draftReshard({ sources, target, slots }), steps);
        const after = applied(nodes, steps);
        assert.equal(ownersIn(after).filter((owner) => owner === target.id).length, slots + ofTarget);
        assert.equal(ownersIn(after).filter((owner) => owner !== undefined).length, next);
        for (const { source, slots: moved } of steps) {
          const count = counts[sources.findIndex(({ id }) => id === source.id)] ?? 0;
          const gave = moved.reduce((sum, [first, last]) => sum + last - first + 1, 0);
          assert.ok(Math.abs(gave - (slots * count) / all) <= 1, `${gave} of ${count} at ${slots} of ${all}`);
        }
      }),
    );
  });
});

describe('`reshard`', () => {
  test('names missing options if it cannot ask', async () => {
    const missing = await runMain(['reshard', '127.0.0.1:1', '--yes', '--to', 'abc']);
    assert.deepEqual([missing.code, missing.stdout], [2, '']);
    for (const flag of ['--slots', '--from']) assert.ok(missing.stderr.includes(flag), missing.stderr);
    const silent = await runMain(['reshard', '127.0.0.1:1', '--from', 'all', '--to', 'a', '--slots', '1']);
    assert.equal(silent.code, 2);
    assert.ok(silent.stderr.includes('--yes'), silent.stderr);
  });

  test('refuses wrong options before it connects', async () => {
    const base = ['reshard', '127.0.0.1:1', '--yes'];
    for (const [options, what] of [
      [['--from', 'all', '--to', 'a', '--slots', '0'], '"0"'],
      [['--from', 'all', '--to', 'a', '--slots', '5-3'], '"5-3"'],
      [['--from', 'all,b', '--to', 'a', '--slots', '1'], '"all,b"'],
      [['--from', ',', '--to', 'a', '--slots', '1'], '","'],
      [['--from', 'all', '--to', 'a,b', '--slots', '1'], '"a,b"'],
    ] as const) {
      const ran = await runMain([...base, ...options]);
      assert.equal(ran.code, 2, ran.stderr);
      assert.ok(ran.stderr.includes(what), ran.stderr);
    }
  });
});
