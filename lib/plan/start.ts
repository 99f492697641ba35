import { invalidArgument } from '../model/cluster-error.ts';
import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { Draft, NodeRef } from './plan.ts';

/**
 * The slots of each of this many masters: equal shares in order; the first also gets the rest. Throws ClusterError
 * `INVALID_ARGUMENT` for 0.
 */
export function splitSlots(masters: number): SlotRange[] {
  if (!Number.isInteger(masters) || masters < 1 || masters > SLOT_COUNT) {
    throw invalidArgument(`Not a number of masters: ${masters} (1 to ${SLOT_COUNT})`);
  }
  const share = Math.floor(SLOT_COUNT / masters);
  const rest = SLOT_COUNT - share * masters;
  return Array.from({ length: masters }, (_, index) => {
    const first = index === 0 ? 0 : index * share + rest;
    return [first, (index + 1) * share + rest - 1];
  });
}

/** A new cluster of these masters. Slots are assigned before the nodes meet, so that no node sees a slot without an owner. */
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
