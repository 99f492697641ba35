import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { importSources } from '../../lib/move/redirect-imports.ts';
import type { Step } from '../../lib/plan/plan.ts';
import { fc } from '../helpers/properties.ts';
import { agreedView, idOf, type Line, portOf, viewOf } from '../helpers/views.ts';

const ref = (node: number) => ({ id: idOf(node), address: `127.0.0.1:${portOf(node)}` });

function sourcesOf(lines: readonly Line[], steps: readonly Step[] = [], silent: readonly number[] = []) {
  const { reports } = agreedView(lines, silent);
  const found = importSources([...reports.values()], { steps });
  return Object.fromEntries(
    [...found].map(([id, slots]) => [
      Number.parseInt(id, 16),
      Object.fromEntries([...slots].map(([slot, source]) => [slot, source && Number.parseInt(source, 16)])),
    ]),
  );
}

describe('importSources()', () => {
  test('names the owner if another node is named, and changes nothing if the owner is', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-9' },
      { node: 2, slots: '10-19' },
      { node: 3, slots: `20-16383 [5-<-${idOf(2)}] [6-<-${idOf(1)}] [25->-${idOf(2)}]` },
    ];
    assert.deepEqual(sourcesOf(lines), { 3: { 5: 1 } });
  });

  test('names no node if the plan gives the slot to another, and the owner if this node gets it', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-9' },
      { node: 2, slots: '10-19' },
      { node: 3, slots: `20-16383 [5-<-${idOf(2)}] [6-<-${idOf(1)}] [7-<-${idOf(2)}]` },
    ];
    const steps: Step[] = [
      { type: 'move-slots', source: ref(1), target: ref(2), slots: [[5, 6]] },
      { type: 'move-slots', source: ref(1), target: ref(3), slots: [[7, 7]] },
    ];
    assert.deepEqual(sourcesOf(lines, steps), { 3: { 5: undefined, 6: undefined, 7: 1 } });
  });

  test('names no node if the plan closes the slot here: a mark that names the owner would look like a move', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-9' },
      { node: 2, slots: '10-19' },
      { node: 3, slots: `20-16383 [5-<-${idOf(2)}] [6-<-${idOf(2)}] [7-<-${idOf(2)}]` },
    ];
    const closing = { type: 'close-slots', node: ref(3), owner: ref(1) } as const;
    const steps: Step[] = [
      { ...closing, slots: [[5, 5]] },
      { ...closing, slots: [[6, 6]], stayOpen: true },
    ];
    assert.deepEqual(sourcesOf(lines, steps), { 3: { 5: undefined, 6: 1, 7: 1 } });
  });

  test('trusts other nodes about an owner that does not answer, but not about one that claims nothing', () => {
    const lines: Line[] = [
      { node: 1, slots: '0-9' },
      { node: 2, slots: '10-19' },
      { node: 3, slots: `20-16383 [5-<-${idOf(2)}]` },
    ];
    assert.deepEqual(sourcesOf(lines, [], [1]), { 3: { 5: 1 } });
    const [owner, ...others] = lines as [Line, ...Line[]];
    const gaveAway = [{ ...owner, slots: '0-4 6-9' }, ...others];
    const { reports } = viewOf({ 1: { lines: gaveAway }, 2: { lines: gaveAway }, 3: { lines } });
    assert.deepEqual(importSources([...reports.values()], { steps: [] }), new Map());
  });

  test('leaves no node importing from one that answers and does not claim the slot, if another does', () => {
    const node = fc.integer({ min: 1, max: 4 });
    const world = fc.record({
      owners: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 6, maxLength: 6 }),
      marks: fc.uniqueArray(fc.record({ on: node, peer: node, slot: fc.nat(5) }), {
        selector: ({ on, slot }) => `${on} ${slot}`,
      }),
      moves: fc.uniqueArray(fc.record({ slot: fc.nat(5), to: node }), { selector: ({ slot }) => slot }),
    });
    fc.assert(
      fc.property(world, ({ owners, marks, moves }) => {
        const lines = [1, 2, 3, 4].map((one): Line => {
          const own = owners.flatMap((owner, slot) => (owner === one ? [`${slot}`] : []));
          const open = marks
            .filter(({ on, peer }) => on === one && peer !== one)
            .map(({ slot, peer }) => `[${slot}-<-${idOf(peer)}]`);
          return { node: one, slots: [...own, ...open].join(' ') };
        });
        const steps = moves.flatMap(({ slot, to }): Step[] => {
          const from = owners[slot];
          return from === 0 || from === undefined || from === to
            ? []
            : [{ type: 'move-slots', source: ref(from), target: ref(to), slots: [[slot, slot]] }];
        });
        const successors = new Map(
          steps.flatMap((step) =>
            step.type === 'move-slots' ? [[step.slots[0]?.[0], step.target.id] as const] : [],
          ),
        );
        const { reports } = agreedView(lines);
        const sources = importSources([...reports.values()], { steps });
        for (const { on, peer, slot } of marks) {
          const owner = owners[slot] ?? 0;
          if (on === peer || owner === 0 || owner === on) continue;
          const own = sources.get(idOf(on));
          const after = own?.has(slot) ? own.get(slot) : idOf(peer);
          const successor = successors.get(slot);
          assert.equal(after, successor === undefined || successor === idOf(on) ? idOf(owner) : undefined);
        }
      }),
    );
  });
});
