import { claimsBySlot, expandSlots, toRanges } from '../model/slot.ts';
import type { Plan, PlannedNode, Step } from './plan.ts';

/** The state of a cluster that a plan changes: owners of slots and masters of replicas. */
export interface Projection {
  /** By slot: the id of its owner, or undefined. */
  readonly owners: (string | undefined)[];
  /** By node id: the id of its master, null for a master. */
  readonly masters: Map<string, string | null>;
}

/** The cluster when the plan was made. Of several claims to a slot, the highest config epoch wins, as on the servers. */
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

/** Applies a step to a projection. Returns the slots whose owner it changes. */
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
      if (!step.isAgain) masters.set(step.replica.id, step.master.id);
      return [];
    case 'failover': {
      const [to, from] = [step.replica.id, step.master.id];
      // The other replicas of the master follow the new one.
      for (const [id, masterId] of masters) if (masterId === from) masters.set(id, to);
      masters.set(from, to).set(to, null);
      return give(slotsOwnedBy(owners, from), to);
    }
    case 'reset':
      masters.set(step.node.id, null);
      return give(slotsOwnedBy(owners, step.node.id), undefined);
    case 'meet':
    case 'meet-again':
    case 'load-functions':
    case 'forget':
    case 'restart':
      return [];
  }
}

/** The nodes of a plan once it is applied, without those that it resets or forgets. */
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
function nodesOf(nodes: readonly PlannedNode[], { owners, masters }: Projection): PlannedNode[] {
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
