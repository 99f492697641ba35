import { toRanges } from '../model/slot.ts';
import { type ClusterView, slotOwners } from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, type NodeRef, nodeRef } from './plan.ts';

/** A new master takes every slot that nobody owns, or that one of the `lost` masters does. No steps where none is missing. */
export function planRescue(view: ClusterView, taker: NodeRef, lostIds: ReadonlySet<string>): Draft {
  const owners = slotOwners(view);
  const slots = owners.flatMap((owner, slot) => (owner === undefined || lostIds.has(owner) ? [slot] : []));
  const lost = view.nodes.filter(({ id }) => lostIds.has(id));
  const masters = mastersOf(view).filter(({ id }) => id !== taker.id);
  const members = view.nodes.filter(({ id }) => view.reports.has(id) && id !== taker.id).map(nodeRef);
  const steps: Draft['steps'] = [
    { type: 'meet', nodes: [taker], to: members, serving: false },
    // Each lost owner is a step of its own, since IMPORTING has to name it; slots of nobody come with no name.
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
