import { invalidArgument } from '../model/cluster-error.ts';
import type { ClusterNode } from '../model/cluster-node.ts';
import { toRanges } from '../model/slot.ts';
import { type ClusterView, reachableMasters } from '../model/view.ts';
import type { BalanceMove } from './balance.ts';
import { type MoveStep, type NodeRef, nodeRef } from './plan.ts';

/** The masters to send new slot owners to: all that answer. */
export function mastersOf(view: ClusterView): NodeRef[] {
  return reachableMasters(view).map(nodeRef);
}

/**
 * Turns counts into slots: each source gives its lowest slots first. Throws ClusterError `INVALID_ARGUMENT` for a count that is
 * not a whole number, or is more than the source has.
 */
export function pickSlots(moves: readonly BalanceMove[], refs: ReadonlyMap<string, NodeRef>): MoveStep[] {
  const taken = new Map<string, number>();
  const refOf = (node: ClusterNode): NodeRef => {
    const ref = refs.get(node.nodeId);
    if (!ref)
      throw invalidArgument(
        `The balance plan names a node that is not a master of this cluster: ${node.nodeId}`,
      );
    return ref;
  };
  return moves.flatMap(([source, target, count]): MoveStep[] => {
    const from = taken.get(source.nodeId) ?? 0;
    if (!Number.isInteger(count) || count < 0 || from + count > source.assignedSlots.length) {
      throw invalidArgument(
        `Cannot move ${count} slots from ${source.addr()}: it has ${source.assignedSlots.length - from}`,
      );
    }
    taken.set(source.nodeId, from + count);
    const slots = source.assignedSlots.slice(from, from + count);
    if (count === 0 || source.nodeId === target.nodeId) return [];
    return [{ type: 'move-slots', source: refOf(source), target: refOf(target), slots: toRanges(slots) }];
  });
}
