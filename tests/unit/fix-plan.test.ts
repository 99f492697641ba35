import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { expandSlots } from '../../lib/model/slot.ts';
import { slotOwners } from '../../lib/model/view.ts';
import { planFix } from '../../lib/plan/fix.ts';
import type { KeyEvidence } from '../../lib/plan/uncovered.ts';
import { agreedView, idOf, type Line, viewOf } from '../helpers/views.ts';

const NOTHING: KeyEvidence = { holders: new Map(), sharing: new Map(), givenUp: new Set() };

/** Who takes which slots by a plan, as `node: slots`. */
function taken({ steps }: ReturnType<typeof planFix>): string[] {
  return steps.flatMap((step) =>
    step.type === 'take-slots' ? [`${Number.parseInt(step.node.id, 16)}: ${JSON.stringify(step.slots)}`] : [],
  );
}

describe('planFix(), knowing who holds keys', () => {
  test('shares slots without keys out to those with fewest, in one range each', () => {
    const view = agreedView([
      { node: 1, slots: '0-5461' },
      { node: 2, slots: '5462-10922' },
    ]);
    const plan = planFix(view, NOTHING);
    assert.deepEqual(taken(plan), ['2: [[10923,13653]]', '1: [[13654,16383]]']);
    assert.deepEqual(plan.undecided, []);
    assert.deepEqual(planFix(view, NOTHING), plan);
  });

  test('gives nothing of a failed master away unless it is given up, and not where it has a living replica', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-8191' },
      { node: 2, slots: '8192-16383', flags: 'master,fail' },
    ];
    const kept = planFix(agreedView(lines, [2]), NOTHING);
    assert.deepEqual(kept.steps, []);
    assert.equal(kept.undecided.length, 8192);
    assert.deepEqual(new Set(kept.undecided.map(({ code }) => code)), new Set(['SLOTS_UNCOVERED']));
    const given = planFix(agreedView(lines, [2]), { ...NOTHING, givenUp: new Set([idOf(2)]) });
    assert.deepEqual(taken(given), ['1: [[8192,16383]]']);
    const withReplica = agreedView([...lines, { node: 3, flags: 'slave', master: 2 }], [2]);
    const waits = planFix(withReplica, { ...NOTHING, givenUp: new Set([idOf(2)]) });
    assert.deepEqual(taken(waits), []);
    assert.match(waits.undecided[0]?.reason ?? '', /its replica 127\.0\.0\.1:7003 holds their keys/);
  });

  test('gives a slot that two claim to the higher config epoch, and the keys of the other with it', () => {
    const view = viewOf({
      1: {
        lines: [
          { node: 1, epoch: 7, slots: '0-8191' },
          { node: 2, epoch: 3, slots: '8192-16383' },
        ],
      },
      2: {
        lines: [
          { node: 1, epoch: 7, slots: '0-4' },
          { node: 2, epoch: 3, slots: '5 8192-16383' },
        ],
      },
    });
    const { steps } = planFix(view, NOTHING);
    assert.deepEqual(
      steps.map((step) => step.type === 'close-slots' && [step.node.id, step.owner.id, step.slots]),
      [[idOf(2), idOf(1), [[5, 5]]]],
    );
  });

  test('gives every slot one owner or says why not, and takes none from who serves it', () => {
    const node = fc.integer({ min: 1, max: 4 });
    const world = fc.record({
      owners: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 8, maxLength: 8 }),
      // What the others hold for the owner, where nobody claims a slot
      believed: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 8, maxLength: 8 }),
      holding: fc.array(fc.uniqueArray(node, { maxLength: 3 }), { minLength: 8, maxLength: 8 }),
      sharing: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      silent: fc.option(node),
      isGivenUp: fc.boolean(),
      open: fc.uniqueArray(fc.record({ on: node, peer: fc.integer({ min: 1, max: 5 }), slot: fc.nat(7) }), {
        maxLength: 4,
        selector: ({ slot }) => slot,
      }),
    });
    fc.assert(
      fc.property(world, ({ owners, believed, holding, sharing, silent, isGivenUp, open }) => {
        const rest = (one: number) => (one === 1 ? ' 8-16383' : '');
        const lines = (observer: number): Line[] =>
          [1, 2, 3, 4].map((one) => {
            const slots = owners.flatMap((owner, slot) => {
              const seen = owner === 0 && one !== observer ? believed[slot] : owner;
              return seen === one ? [`${slot}`] : [];
            });
            const marks = open
              .filter(({ on, peer }) => on === observer && on === one && peer !== on)
              .map(({ slot, peer }) => `[${slot}${owners[slot] === on(one) ? '->-' : '-<-'}${idOf(peer)}]`);
            const flags = one === silent ? 'master,fail' : 'master';
            return { node: one, flags, slots: `${slots.join(' ')}${rest(one)} ${marks.join(' ')}`.trim() };
          });
        const on = (one: number) => one;
        const asking = [1, 2, 3, 4].filter((one) => one !== silent);
        const view = viewOf(Object.fromEntries(asking.map((one) => [one, { lines: lines(one) }])));
        const before = slotOwners(view);
        const holders = new Map(
          holding.map((nodes, slot): [number, string[]] => [
            slot,
            nodes
              .filter((one) => asking.includes(one) && before[slot] !== idOf(one))
              .sort()
              .map(idOf),
          ]),
        );
        const pairs = new Map(
          [...holders].flatMap(([slot, [a, b]]) =>
            sharing[slot] && a && b ? [[slot, [[a, b]]] as [number, [string, string][]]] : [],
          ),
        );
        const givenUp = new Set(isGivenUp && silent ? [idOf(silent)] : []);
        const plan = planFix(view, { holders, sharing: pairs, givenUp });
        const takers = new Map<number, string>();
        for (const step of plan.steps) {
          if (step.type !== 'take-slots') continue;
          for (const slot of expandSlots(step.slots)) {
            assert.equal(takers.has(slot), false, `slot ${slot} is given twice`);
            const owner = before[slot];
            assert.ok(owner === undefined || givenUp.has(owner), `slot ${slot} is taken from who has it`);
            takers.set(slot, step.node.id);
          }
        }
        const told = new Set(plan.undecided.map(({ slot }) => slot));
        for (let slot = 0; slot < 16384; slot++) {
          const owner = takers.get(slot) ?? before[slot];
          assert.ok(
            told.has(slot) || (owner !== undefined && view.reports.has(owner)),
            `slot ${slot} is left`,
          );
          if (told.has(slot)) assert.equal(takers.has(slot), false);
          // Keys go to one node alone, the owner to be
          const receivers = new Set(
            plan.steps.flatMap((step) =>
              step.type === 'close-slots' &&
              !step.stayOpen &&
              slot < 8 &&
              expandSlots(step.slots).includes(slot)
                ? [step.owner.id]
                : [],
            ),
          );
          assert.ok(receivers.size <= 1, `keys of slot ${slot} go to several`);
        }
      }),
      { numRuns: 60 },
    );
  });
});
