import { claimsBySlot, expandSlots, toRanges } from '../model/slot.ts';
import type { Plan, PlannedNode, Step } from './plan.ts';

/** What a plan changes of a cluster: who owns which slot, and who replicates whom. */
export interface Projection {
  /** By slot: the id of its owner, or undefined. */
  readonly owners: (string | undefined)[];
  /** By node id: the id of its master, null for a master. */
  readonly masters: Map<string, string | null>;
}

/** The cluster as it was when the plan was made. Of several that claim a slot the highest config epoch counts, as among servers. */
export function projectionOf(nodes: readonly PlannedNode[]): Projection {
  const masters = nodes.filter(({ role }) => role === 'master');
  const ranked = masters.toSorted((a, b) => a.configEpoch - b.configEpoch || (a.id < b.id ? -1 : 1));
  return {
    owners: claimsBySlot(ranked),
    masters: new Map(
      nodes.map(({ id, role, masterId }) => [id, role === 'master' ? null : (masterId ?? '')]),
    ),
  };
}

/** Does a step to a projection, and tells the slots that have another owner after. */
export function advance({ owners, masters }: Projection, step: Step): number[] {
  const give = (slots: readonly number[], owner: string | undefined): number[] => {
    const changed = slots.filter((slot) => owners[slot] !== owner);
    for (const slot of changed) owners[slot] = owner;
    return changed;
  };
  switch (step.type) {
    case 'assign-slots':
    case 'take-slots':
      return give(expandSlots(step.slots), step.node.id);
    case 'move-slots':
      return give(expandSlots(step.slots), step.target.id);
    case 'close-slots':
      return step.stayOpen ? [] : give(expandSlots(step.slots), step.owner.id);
    case 'replicate':
      masters.set(step.replica.id, step.master.id);
      return [];
    case 'failover': {
      const [to, from] = [step.replica.id, step.master.id];
      // The other replicas of the master follow the one that took its place.
      for (const [id, masterId] of masters) if (masterId === from) masters.set(id, to);
      masters.set(from, to).set(to, null);
      return give(slotsOwnedBy(owners, from), to);
    }
    case 'reset':
      masters.set(step.node.id, null);
      return give(slotsOwnedBy(owners, step.node.id), undefined);
    case 'meet':
    case 'load-functions':
    case 'forget':
      return [];
  }
}

/** The nodes of a plan as they are once it is applied; those that it resets are left out. */
export function nodesAfter({ before, steps }: Pick<Plan, 'before' | 'steps'>): PlannedNode[] {
  const projection = projectionOf(before);
  for (const step of steps) advance(projection, step);
  const gone = new Set(
    steps.flatMap((step) => (step.type === 'reset' || step.type === 'forget' ? [step.node.id] : [])),
  );
  return nodesOf(
    before.filter(({ id }) => !gone.has(id)),
    projection,
  );
}

/** The same nodes with the roles and slots of a projection. */
export function nodesOf(nodes: readonly PlannedNode[], { owners, masters }: Projection): PlannedNode[] {
  const held = new Map<string, number[]>();
  for (const [slot, owner] of owners.entries()) {
    if (owner === undefined) continue;
    const slots = held.get(owner);
    if (slots) slots.push(slot);
    else held.set(owner, [slot]);
  }
  return nodes.map(({ id, address, busPort, configEpoch }) => {
    const masterId = masters.get(id) ?? null;
    return {
      id,
      address,
      ...(busPort === undefined ? {} : { busPort }),
      role: masterId === null ? 'master' : 'replica',
      ...(masterId === null ? {} : { masterId }),
      configEpoch,
      slots: toRanges(held.get(id) ?? []),
    };
  });
}

function slotsOwnedBy(owners: readonly (string | undefined)[], id: string): number[] {
  return owners.flatMap((owner, slot) => (owner === id ? [slot] : []));
}
