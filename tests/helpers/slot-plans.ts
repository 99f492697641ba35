import type { NodeRecord } from '../../lib/model/node.ts';
import { slotsOf } from '../../lib/model/node.ts';
import { expandSlots, SLOT_COUNT, type SlotRange, toRanges } from '../../lib/model/slot.ts';
import type { MoveStep } from '../../lib/plan/plan.ts';
import { idOf } from './views.ts';

/** A master with this number and these slots. */
export function recordOf(node: number, slots: readonly SlotRange[]): NodeRecord {
  return {
    id: idOf(node),
    address: { host: '127.0.0.1', port: 7000 + node },
    hostname: null,
    flags: ['master'],
    role: 'master',
    masterId: null,
    configEpoch: node,
    linkState: 'connected',
    slots,
    openSlots: [],
  };
}

/** The id of the owner of each slot. Throws if there are two. */
export function ownersIn(nodes: readonly NodeRecord[]): (string | undefined)[] {
  const owners: (string | undefined)[] = new Array(SLOT_COUNT).fill(undefined);
  for (const node of nodes) {
    for (const slot of slotsOf(node)) {
      if (owners[slot] !== undefined) throw new Error(`Slot ${slot} is owned twice`);
      owners[slot] = node.id;
    }
  }
  return owners;
}

/** The nodes after the moves. Throws if a source does not have what it should give. */
export function applied(nodes: readonly NodeRecord[], steps: readonly MoveStep[]): NodeRecord[] {
  const owners = ownersIn(nodes);
  const held = new Map(nodes.map(({ id }) => [id, [] as number[]]));
  for (const { source, target, slots } of steps) {
    for (const slot of expandSlots(slots)) {
      if (owners[slot] !== source.id) throw new Error(`Slot ${slot} is not with ${source.address}`);
      owners[slot] = target.id;
    }
  }
  for (const [slot, owner] of owners.entries()) if (owner !== undefined) held.get(owner)?.push(slot);
  return nodes.map((node) => ({ ...node, slots: toRanges(held.get(node.id) ?? []) }));
}

/** How many slots move. */
export function slotsIn(steps: readonly MoveStep[]): number {
  return steps.reduce((sum, { slots }) => sum + expandSlots(slots).length, 0);
}
