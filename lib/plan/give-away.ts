import { type NodeRecord, slotsOf } from '../model/node.ts';
import { toRanges } from '../model/slot.ts';
import { type MoveStep, nodeRef } from './plan.ts';

/** Moves that empty a master: equal shares to the others, in order. The last also gets the rest. */
export function planGiveAway(node: NodeRecord, others: readonly NodeRecord[]): MoveStep[] {
  const slots = slotsOf(node);
  const share = Math.floor(slots.length / others.length);
  return others.flatMap((other, index): MoveStep[] => {
    const last = index === others.length - 1;
    const part = slots.slice(index * share, last ? undefined : (index + 1) * share);
    if (part.length === 0) return [];
    return [{ type: 'move-slots', source: nodeRef(node), target: nodeRef(other), slots: toRanges(part) }];
  });
}
