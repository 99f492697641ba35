import { slotsOf } from '../model/node.ts';
import { createShares, SLOT_COUNT } from '../model/slot.ts';
import type { NodeReport } from '../model/view.ts';

/** Nodes that know of one another. */
export interface Acquainted {
  readonly reports: readonly NodeReport[];
  /** True if any of them owns a slot, or says that another node does. */
  readonly ownsSlots: boolean;
  /** True if every slot has an owner. */
  readonly ownsAll: boolean;
}

/** Sorts nodes into those that know of one another, in the order given. */
export function acquaintedAmong(reports: readonly NodeReport[]): Acquainted[] {
  const left = new Set(reports);
  return reports.flatMap((first): Acquainted[] => {
    if (!left.delete(first)) return [];
    const group = [first];
    const ids = new Set<string>();
    for (const report of group) {
      for (const { id } of report.records) ids.add(id);
      for (const other of left) {
        if (!other.records.some(({ id }) => ids.has(id))) continue;
        left.delete(other);
        group.push(other);
      }
    }
    const owned = new Set(group.flatMap(({ records }) => records.flatMap(slotsOf)));
    return [{ reports: group, ownsSlots: owned.size > 0, ownsAll: owned.size === SLOT_COUNT }];
  });
}

/**
 * What a start of a cluster of so many masters has left, when it was cut short before all had met: by share of the slots, the id of
 * the node that has slots of it. Undefined if these nodes are anything else, or know nodes that are not among them.
 */
export function holdersAmong(
  nodes: readonly { readonly report: NodeReport; readonly keys: number }[],
  masters: number,
): ReadonlyMap<number, string> | undefined {
  const shares = createShares(masters);
  const ids = new Set(nodes.map(({ report }) => report.myself.id));
  const holders = new Map<number, string>();
  for (const { report, keys } of nodes) {
    const { myself, records } = report;
    if (!records.every(({ id }) => ids.has(id)) || myself.role !== 'master') return undefined;
    if (myself.openSlots.length > 0) return undefined;
    const slots = slotsOf(myself);
    const [first] = slots;
    if (first === undefined) continue;
    // One that was started with keys takes their slots on its own (verifyClusterConfigWithData).
    if (records.length === 1 && keys > 0) return undefined;
    const share = shares.findIndex(([from, to]) => slots.every((slot) => from <= slot && slot <= to));
    if (share < 0 || (holders.get(share) ?? myself.id) !== myself.id) return undefined;
    holders.set(share, myself.id);
  }
  return holders;
}
