import { toRanges } from '../model/slot.ts';
import { type ClusterView, slotOwners } from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, type NodeRef, nodeRef } from './plan.ts';
import { unservedSlots } from './unserved.ts';

/** A new master takes every slot that no node serves and nothing keeps (`unservedSlots`). No steps if there is none. */
export function planRescue(view: ClusterView, taker: NodeRef, lostIds: ReadonlySet<string>): Draft {
  const owners = slotOwners(view);
  const free = unservedSlots(view, lostIds).filter(({ keeper }) => keeper === undefined);
  const slots = free.map(({ slot }) => slot);
  const lost = view.nodes.filter(({ id }) => lostIds.has(id));
  const masters = mastersOf(view).filter(({ id }) => id !== taker.id);
  const members = view.nodes.filter(({ id }) => view.reports.has(id) && id !== taker.id).map(nodeRef);
  const steps: Draft['steps'] = [
    { type: 'meet', nodes: [taker], to: members, serving: false },
    // One step per lost owner, since SETSLOT IMPORTING must name it, and one for slots without an owner.
    ...[undefined, ...lost].flatMap((owner) => {
      const part = slots.filter((slot) => owners[slot] === owner?.id);
      if (part.length === 0) return [];
      return [
        {
          type: 'take-slots' as const,
          node: taker,
          slots: toRanges(part),
          from: owner ? [nodeRef(owner)] : [],
        },
      ];
    }),
  ];
  return { operation: 'rescue', masters, steps: slots.length === 0 ? [] : steps };
}
