import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expandSlots } from '../../lib/model/slot.ts';
import { openSlotsOf, slotOwners, standIn } from '../../lib/model/view.ts';
import { type FixPlan, planFix } from '../../lib/plan/fix.ts';
import { pairsToCompare } from '../../lib/plan/open-slots.ts';
import type { KeyEvidence } from '../../lib/plan/uncovered.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line } from '../helpers/views.ts';

const to = (node: number, slot: number) => `[${slot}->-${idOf(node)}]`;
const from = (node: number, slot: number) => `[${slot}-<-${idOf(node)}]`;
const rest = '8192-16383';

/** Keys of slot 5 on these nodes. */
function keysOn(...nodes: readonly number[]): KeyEvidence {
  const holders = new Map(nodes.length > 0 ? [[5, nodes.map(idOf)] as const] : []);
  return { holders, sharing: new Map(), givenUp: new Set() };
}

function done({ steps }: FixPlan): string[] {
  const number = (id: string) => Number.parseInt(id, 16);
  return steps.map((step) => {
    if (step.type === 'move-slots') return `move ${number(step.source.id)} to ${number(step.target.id)}`;
    assert.ok(step.type === 'close-slots', step.type);
    return `close ${number(step.node.id)}, owner ${number(step.owner.id)}${step.strayKeys ? `, ${step.strayKeys}` : ''}`;
  });
}

describe('planFix() of open slots with keys on the other side', () => {
  const importing: Line[] = [
    { node: 1, slots: '0-8191' },
    { node: 2, slots: `${rest} ${from(1, 5)}` },
  ];
  const migrating: Line[] = [
    { node: 1, slots: `0-8191 ${to(2, 5)}` },
    { node: 2, slots: rest },
  ];
  const mutual: Line[] = [
    { node: 1, slots: `0-8191 ${to(2, 5)}` },
    { node: 2, slots: `${rest} ${from(1, 5)}` },
  ];
  const sourceFailedOver: Line[] = [
    { node: 1, flags: 'slave', master: 3 },
    { node: 2, slots: `${rest} ${from(1, 5)}` },
    { node: 3, slots: '0-8191' },
  ];
  const targetFailedOver: Line[] = [
    { node: 1, slots: `0-8191 ${to(2, 5)}` },
    { node: 2, flags: 'slave', master: 3 },
    { node: 3, slots: rest },
  ];
  const cases: [what: string, lines: Line[], evidence: KeyEvidence, steps: string[]][] = [
    ['finishes a move that both ends have open', mutual, keysOn(2), ['move 1 to 2']],
    ['finishes one that only the target has open, without keys', importing, keysOn(), ['move 1 to 2']],
    ['closes it if the target has keys', importing, keysOn(2), ['close 2, owner 1']],
    ['finishes one that only the owner has open, without keys', migrating, keysOn(), ['move 1 to 2']],
    [
      'closes it on both if the target has keys',
      migrating,
      keysOn(2),
      ['close 1, owner 1', 'close 2, owner 1'],
    ],
    ['finishes a move whose source failed over', sourceFailedOver, keysOn(2), ['move 3 to 2']],
    [
      'closes it if both have a key in common',
      sourceFailedOver,
      { ...keysOn(2), sharesWithOwner: new Set([`${idOf(2)} ${idOf(3)}`]) },
      ['close 2, owner 3'],
    ],
    ['finishes a move whose target failed over', targetFailedOver, keysOn(3), ['move 1 to 3']],
  ];
  for (const [what, lines, evidence, steps] of cases) {
    test(what, () => assert.deepEqual(done(planFix(agreedView(lines), evidence)), steps));
  }

  test('carries the answer about stray keys', () => {
    assert.deepEqual(done(planFix(agreedView(importing), keysOn(2), { strayKeys: 'bring' })), [
      'close 2, owner 1, bring',
    ]);
  });

  test('closes one-sided slots where they are, as redis-cli, if told so', () => {
    const rules = { closesOneSided: true };
    assert.deepEqual(done(planFix(agreedView(importing), keysOn(), rules)), ['close 2, owner 1']);
    assert.deepEqual(done(planFix(agreedView(migrating), keysOn(), rules)), ['close 1, owner 1']);
    assert.deepEqual(done(planFix(agreedView(mutual), keysOn(2), rules)), ['move 1 to 2']);
  });

  test('leaves such slots to fix if other commands find them', () => {
    const { steps, undecided } = planFix(agreedView(importing), undefined, { marks: keysOn(2) });
    assert.deepEqual(steps, []);
    assert.deepEqual(
      undecided.map(({ slot, next }) => [slot, next?.map((one) => one.do)]),
      [[5, ['fix']]],
    );
  });

  test('compares keys only if the source of the only mark failed over', () => {
    const pair = { slot: 5, holder: idOf(2), owner: idOf(3) };
    assert.deepEqual(pairsToCompare(agreedView(sourceFailedOver), keysOn(2).holders), [pair]);
    for (const lines of [importing, migrating, mutual, targetFailedOver])
      assert.deepEqual(pairsToCompare(agreedView(lines), keysOn(2, 3).holders), []);
  });

  const node = fc.integer({ min: 1, max: 4 });
  const world = fc.record({
    owners: fc.array(node, { minLength: 6, maxLength: 6 }),
    marks: fc.uniqueArray(
      fc.record({ on: node, peer: fc.integer({ min: 1, max: 5 }), slot: fc.nat(5), imports: fc.boolean() }),
      { maxLength: 8, selector: ({ on, slot, imports }) => `${on} ${slot} ${imports}` },
    ),
    holding: fc.array(fc.uniqueArray(node, { maxLength: 3 }), { minLength: 6, maxLength: 6 }),
    shares: fc.boolean(),
    replica: fc.option(fc.integer({ min: 2, max: 4 })),
    closesOneSided: fc.boolean(),
  });

  test('gives no slot away but by a move that both ends show, that a failover cut, or without keys on the other side', () => {
    fc.assert(
      fc.property(world, ({ owners, marks, holding, shares, replica, closesOneSided }) => {
        const lines = [1, 2, 3, 4].map((one): Line => {
          if (one === replica) return { node: one, flags: 'slave', master: 1 };
          const slots = owners.flatMap((owner, slot) =>
            (owner === replica ? 1 : owner) === one ? [`${slot}`] : [],
          );
          const own = marks
            .filter(({ on, peer }) => on === one && peer !== one)
            .map(({ peer, slot, imports }) => (imports ? from(peer, slot) : to(peer, slot)));
          return { node: one, slots: [...slots, ...(one === 1 ? ['6-16383'] : []), ...own].join(' ') };
        });
        const view = agreedView(lines);
        const before = slotOwners(view);
        const holders = new Map(
          holding.map((nodes, slot) => [
            slot,
            nodes.filter((one) => one !== replica && idOf(one) !== before[slot]).map(idOf),
          ]),
        );
        const sharesWithOwner = new Set(
          shares ? pairsToCompare(view, holders).map(({ holder, owner }) => `${holder} ${owner}`) : [],
        );
        const evidence = { holders, sharing: new Map(), givenUp: new Set<string>(), sharesWithOwner };
        const open = openSlotsOf(view);
        for (const plan of [
          planFix(view, evidence, { closesOneSided }),
          planFix(view, undefined, { closesOneSided, marks: evidence }),
        ]) {
          for (const step of plan.steps) {
            assert.ok(step.type === 'move-slots' || step.type === 'close-slots', step.type);
            // No answer was given, so no key that only a node without the slot has is sent to the owner.
            if (step.type === 'close-slots') assert.equal(step.strayKeys, undefined);
            if (step.type !== 'move-slots') continue;
            for (const slot of expandSlots(step.slots)) {
              const items = open.get(slot) ?? [];
              const begun = items.find(
                ({ nodeId, direction, peer }) =>
                  nodeId === step.source.id &&
                  direction === 'migrating' &&
                  standIn(view, peer)?.id === step.target.id,
              );
              const taken = items.find(
                ({ nodeId, direction, peer }) =>
                  nodeId === step.target.id &&
                  direction === 'importing' &&
                  standIn(view, peer)?.id === step.source.id,
              );
              const isCut =
                (begun && begun.peer !== step.target.id) ||
                (!begun && taken && taken.peer !== step.source.id && !shares);
              const isEmpty = !holders.get(slot)?.includes(step.target.id);
              assert.ok((begun && taken) || isCut || isEmpty, `slot ${slot} changes hands`);
            }
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
