import { formatAddress } from './address.ts';
import type { NodeRecord } from './node.ts';
import { claimsBySlot, formatSlots } from './slot.ts';
import { type ClusterView, mastersByRank, nodeName, openSlotsOf, slotOwners } from './view.ts';

const SHOWN_HOLDERS = 5;

/** Who holds these slots, a sentence each. */
export function holdersOf(
  view: ClusterView,
  slots: readonly number[],
  owners: readonly (string | undefined)[] = slotOwners(view),
): string[] {
  const ids = [...new Set(slots.map((slot) => owners[slot]))];
  return ids.slice(0, SHOWN_HOLDERS).map((id) => {
    const held = slots.filter((slot) => owners[slot] === id);
    return `${id === undefined ? 'No node' : nodeName(view, id)} holds ${formatSlots(held)}`;
  });
}

/** The masters on which any of these slots is open, by name. */
export function openOn(view: ClusterView, slots: readonly number[]): string[] {
  const open = openSlotsOf(view);
  const ids = new Set(slots.flatMap((slot) => (open.get(slot) ?? []).map(({ nodeId }) => nodeId)));
  return [...ids].map((id) => nodeName(view, id));
}

/** Who owns the first of these slots by what some nodes report: its address, or undefined if that is not known. */
export function ownerByReports(
  reports: readonly { readonly records: readonly NodeRecord[] }[],
  [slot]: readonly number[],
): string | undefined {
  if (slot === undefined) return undefined;
  const nodes = mastersByRank({ nodes: reports.flatMap(({ records }) => records) });
  const id = claimsBySlot(nodes)[slot];
  const owner = nodes.findLast((node) => node.id === id);
  return owner && owner.address.host !== '' ? formatAddress(owner.address) : id;
}
