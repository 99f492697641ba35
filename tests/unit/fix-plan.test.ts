import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expandSlots } from '../../lib/model/slot.ts';
import { slotOwners } from '../../lib/model/view.ts';
import { planFix } from '../../lib/plan/fix.ts';
import type { MarkEvidence } from '../../lib/plan/open-slots.ts';
import type { KeyEvidence } from '../../lib/plan/uncovered.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, viewOf } from '../helpers/views.ts';

const NOTHING: KeyEvidence = { holders: new Map(), sharing: new Map(), givenUp: new Set() };

/** Which node takes which slots in a plan, as `node: slots`. */
function taken({ steps }: ReturnType<typeof planFix>): string[] {
  return steps.flatMap((step) =>
    step.type === 'take-slots' ? [`${Number.parseInt(step.node.id, 16)}: ${JSON.stringify(step.slots)}`] : [],
  );
}

describe('planFix() with the holders of keys', () => {
  test('closes a slot that only a replica has open by way of its master, for the owner of the slot', () => {
    const lines = (mark: string, master = ''): Line[] => [
      { node: 1, slots: '0-8191' },
      { node: 2, slots: `8192-16383${master}` },
      { node: 3, flags: 'slave', master: 2, slots: mark },
    ];
    const closings = (view: ReturnType<typeof agreedView>) => {
      const [steps, beforePromotion, otherwise] = [
        planFix(view, NOTHING).steps,
        planFix(view, undefined, { closesReplicaMarks: true }).steps,
        planFix(view).steps,
      ];
      assert.deepEqual(beforePromotion, steps);
      assert.deepEqual(
        otherwise,
        steps.filter(({ type }) => type !== 'close-slots'),
      );
      return steps.map((step) =>
        step.type === 'close-slots' ? [step.node.id, step.owner.id, step.slots] : [step.type],
      );
    };
    const importing = `[5-<-${idOf(1)}]`;
    assert.deepEqual(closings(agreedView(lines(importing))), [[idOf(2), idOf(1), [[5, 5]]]]);
    assert.deepEqual(closings(agreedView(lines(`[9000->-${idOf(1)}]`))), [
      [idOf(2), idOf(2), [[9000, 9000]]],
    ]);
    assert.deepEqual(closings(agreedView(lines(importing, ` ${importing}`))), [['move-slots']]);
    assert.deepEqual(closings(agreedView(lines(importing), [2])), [], 'its master is not there to tell it');
  });

  test('gives up what differs at the target of a move only if stray keys are to be dropped', () => {
    const view = agreedView([
      { node: 1, slots: `0-8191 [5->-${idOf(2)}]` },
      { node: 2, slots: `8192-16383 [5-<-${idOf(1)}]` },
    ]);
    for (const strayKeys of [undefined, 'bring', 'drop'] as const) {
      const [step] = planFix(view, NOTHING, { strayKeys }).steps;
      assert.ok(step?.type === 'move-slots');
      assert.equal(step.overwrites, strayKeys === 'drop' ? true : undefined);
    }
  });

  test('finishes a move whose target was replaced by a replica that has the keys but no mark, as its former master has one', () => {
    const move = (mark: string) =>
      planFix(
        agreedView([
          { node: 1, slots: `0-8191 [5->-${idOf(2)}]` },
          { node: 2, slots: '8192-16383' },
          { node: 3, flags: 'slave', master: 2, slots: mark },
        ]),
        NOTHING,
        { marks: { holders: new Map([[5, [idOf(2)]]]) } },
      ).steps.map(({ type }) => type);
    assert.deepEqual(move(`[5-<-${idOf(1)}]`), ['move-slots']);
    // Those of another move, or none, say nothing about the keys.
    for (const mark of ['', `[6-<-${idOf(1)}]`, `[5->-${idOf(1)}]`])
      assert.ok(!move(mark).includes('move-slots'), mark);
  });

  test('finishes a move to a dead master to the one that has taken its place, if that is known', () => {
    const view = agreedView(
      [
        { node: 1, slots: `0-8191 [5->-${idOf(2)}] [6->-${idOf(2)}]` },
        { node: 2, flags: 'master,fail' },
        { node: 3, slots: '8192-16383' },
      ],
      [2],
    );
    const holders = new Map([[5, [idOf(3)]]]);
    const plan = (heirs?: ReadonlyMap<string, string>) =>
      planFix(view, { ...NOTHING, holders, ...(heirs ? { heirs } : {}) });
    const { steps, undecided } = plan(new Map([[idOf(2), idOf(3)]]));
    assert.deepEqual(
      steps.map((step) => step.type === 'move-slots' && [step.target.id, step.slots]),
      [[idOf(3), [[5, 6]]]],
    );
    assert.deepEqual(undecided, []);
    const [first, second] = plan().undecided;
    const way = first?.next?.find((next) => next.do === 'migrate-slots');
    assert.deepEqual([way?.slots, way?.options, way?.when], [[[5, 6]], { resume: true }, 'took-its-place']);
    // No key of it has arrived anywhere.
    assert.ok(second?.slot === 6 && !second.next?.some((next) => next.do === 'migrate-slots'));
  });

  test('before another operation, settles nothing but the copy by which a move had proven its target', () => {
    const decided = (mark: string, marks: MarkEvidence, ofSource = '') => {
      const view = agreedView([
        { node: 1, slots: `0-8191${ofSource}` },
        { node: 2, slots: `8192-16383 ${mark}` },
        { node: 3 },
      ]);
      const { steps, undecided } = planFix(view, undefined, { marks });
      return undecided.length > 0 ? 'undecided' : steps.map(({ type }) => type).join();
    };
    const [mark, one] = [`[5-<-${idOf(1)}]`, new Set([5])];
    const holders = new Map([[5, [idOf(2)]]]);
    assert.equal(decided(mark, { holders, withOneKey: one }), 'close-slots');
    assert.equal(decided(mark, { holders, withOneKey: new Set() }), 'undecided');
    assert.equal(decided(mark, { holders: new Map([[5, [idOf(3)]]]), withOneKey: one }), 'undecided');
    assert.equal(decided(`[5-<-${idOf(3)}]`, { holders, withOneKey: one }), 'undecided');
    assert.equal(decided(mark, { holders, withOneKey: one }, ` [5->-${idOf(2)}]`), 'move-slots');
  });

  test('distributes slots without keys to the masters with the fewest, in one range each', () => {
    const view = agreedView([
      { node: 1, slots: '0-5461' },
      { node: 2, slots: '5462-10922' },
    ]);
    const plan = planFix(view, NOTHING);
    assert.deepEqual(taken(plan), ['2: [[10923,13653]]', '1: [[13654,16383]]']);
    assert.deepEqual(plan.undecided, []);
    assert.deepEqual(planFix(view, NOTHING), plan);
  });

  test('gives no slot of nobody away while a node that no member lists may serve it, but those of failed masters', () => {
    const view = agreedView(
      [
        { node: 1, slots: '0-5000' },
        { node: 2, slots: '5001-16382', flags: 'master,fail' },
      ],
      [2],
    );
    const evidence = { ...NOTHING, givenUp: new Set([idOf(2)]) };
    assert.deepEqual(taken(planFix(view, evidence)), ['1: [[5001,16382]]', '1: [[16383,16383]]']);
    const heard = planFix(view, { ...evidence, holders: new Map([[16383, [idOf(1)]]]), hearsUnlisted: true });
    assert.deepEqual(taken(heard), ['1: [[5001,16382]]']);
    assert.deepEqual(
      heard.undecided.map(({ slot, code, next }) => [slot, code, next?.map((one) => one.do)]),
      [[16383, 'SLOTS_UNCOVERED', ['rejoin', 'retry']]],
    );
  });

  test('gives no slot of nobody away while a master that may have its keys does not answer', () => {
    const view = (flags: string) =>
      agreedView(
        [
          { node: 1, slots: '0-8000' },
          { node: 2, slots: '8001-16381', flags },
        ],
        [2],
      );
    for (const flags of ['master,fail', 'master,fail?', 'master']) {
      const plan = planFix(view(flags), {
        ...NOTHING,
        holders: new Map([[16383, [idOf(1)]]]),
        silent: [idOf(2)],
      });
      assert.deepEqual(taken(plan), [], flags);
      const left = plan.undecided.filter(({ slot }) => slot > 16381);
      assert.deepEqual(
        left.map(({ slot, code }) => [slot, code]),
        [
          [16382, 'SLOTS_UNCOVERED'],
          [16383, 'SLOTS_UNCOVERED'],
        ],
      );
      for (const { next } of left) assert.deepEqual(next?.at(-1), { do: 'retry', when: 'repaired' });
    }
    // It is the last owner of one, and has its keys.
    const known = viewOf({
      1: {
        lines: [
          { node: 1, slots: '0-16381', epoch: 1 },
          { node: 2, flags: 'master,fail', epoch: 2 },
          { node: 3, epoch: 3 },
        ],
      },
      3: {
        lines: [
          { node: 1, slots: '0-16382', epoch: 1 },
          { node: 2, flags: 'master,fail', epoch: 2 },
          { node: 3, epoch: 3 },
        ],
      },
    });
    const back = planFix(known, {
      ...NOTHING,
      holders: new Map([[16382, [idOf(1)]]]),
      silent: [idOf(2)],
    });
    assert.deepEqual(taken(back), ['1: [[16382,16382]]']);
  });

  test('gives away nothing of a failed master unless it is given up, and nothing if it has a live replica', () => {
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

  test('leaves slots without an owner if a replica whose master is gone holds keys of them, and names it', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-16381' },
      { node: 2, flags: 'master,fail' },
      { node: 3, flags: 'slave', master: 2 },
    ];
    const replicas = new Map([[16382, [idOf(3)]]]);
    const plan = planFix(agreedView(lines, [2]), { ...NOTHING, replicas });
    assert.deepEqual(taken(plan), ['1: [[16383,16383]]']);
    assert.deepEqual(
      plan.undecided.map(({ slot, code, next }) => [slot, code, next?.map((one) => one.do)]),
      [[16382, 'SLOTS_UNCOVERED', ['failover', 'retry']]],
    );
    // That replica may have been behind: it takes over first, and nothing is given away beside a master that may come back.
    const behind = planFix(agreedView(lines, [2]), { ...NOTHING, replicas, silent: [idOf(2)] });
    assert.deepEqual(taken(behind), []);
    assert.deepEqual(
      behind.undecided.map(({ slot, next }) => [slot, next?.map((one) => one.do)]),
      [
        [16382, ['failover', 'retry']],
        [16383, ['failover', 'retry']],
      ],
    );
    // A master that is only silent is not taken over.
    const silent = agreedView([...lines.slice(0, 1), { node: 2 }, ...lines.slice(2)], [2]);
    const waits = planFix(silent, { ...NOTHING, replicas });
    assert.ok(waits.undecided.length > 0 && !JSON.stringify(waits.undecided).includes('takeover'));
    // A master that holds keys of it takes it.
    const holders = new Map([[16382, [idOf(1)]]]);
    assert.deepEqual(taken(planFix(agreedView(lines, [2]), { ...NOTHING, holders, replicas })), [
      '1: [[16382,16383]]',
    ]);
  });

  test('gives a slot that two claim to the higher config epoch, with the keys of the other', () => {
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

  test('gives every slot one owner or reports it, and takes none from a node that serves it', () => {
    const node = fc.integer({ min: 1, max: 4 });
    const world = fc.record({
      owners: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 8, maxLength: 8 }),
      // The owner that the others still see if nobody claims a slot
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
            assert.ok(owner === undefined || givenUp.has(owner), `slot ${slot} is taken from its owner`);
            takers.set(slot, step.node.id);
          }
        }
        const reported = new Set(plan.undecided.map(({ slot }) => slot));
        for (let slot = 0; slot < 16384; slot++) {
          const owner = takers.get(slot) ?? before[slot];
          assert.ok(
            reported.has(slot) || (owner !== undefined && view.reports.has(owner)),
            `slot ${slot} is left`,
          );
          if (reported.has(slot)) assert.equal(takers.has(slot), false);
          // Keys go to one node only, the future owner
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
