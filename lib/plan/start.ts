import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { Draft, NodeRef } from './plan.ts';

/** Slots of each of so many masters: equal shares in order, the first with what is left over. Throws a RangeError for 0. */
export function splitSlots(masters: number): SlotRange[] {
  if (!Number.isInteger(masters) || masters < 1 || masters > SLOT_COUNT) {
    throw new RangeError(`Not a number of masters: ${masters} (1 to ${SLOT_COUNT})`);
  }
  const share = Math.floor(SLOT_COUNT / masters);
  const rest = SLOT_COUNT - share * masters;
  return Array.from({ length: masters }, (_, index) => {
    const first = index === 0 ? 0 : index * share + rest;
    return [first, (index + 1) * share + rest - 1];
  });
}

/** A new cluster of these masters: slots first, then introductions, so that no node ever sees a slot without an owner. */
export function planStart(nodes: readonly NodeRef[], maxSlots: number = SLOT_COUNT): Draft {
  const shares = splitSlots(nodes.length);
  return {
    operation: 'start',
    masters: nodes,
    steps: [
      ...nodes.map((node, index) => ({
        type: 'assign-slots' as const,
        node,
        slots: shares.slice(index, index + 1),
        configEpoch: index + 1,
        maxSlots,
      })),
      ...(nodes.length > 1 ? [{ type: 'meet' as const, nodes, to: [], serving: true }] : []),
    ],
  };
}
