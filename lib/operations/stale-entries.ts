import { claim } from '../apply/claim.ts';
import { forget } from '../apply/steps/forget.ts';
import { formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';

/**
 * Makes members forget the ids that a joining node had before it was reset. A member that learns such an id by gossip just
 * when the others forget it would keep it for good, and the members would never agree.
 */
export async function forgetStaleEntries(
  context: Context,
  view: ClusterView,
  report: NodeReport,
): Promise<void> {
  for (const node of staleEntriesOf(view, report)) {
    const by = view.nodes
      .filter((other) => view.reports.get(other.id)?.records.some(({ id }) => id === node.id))
      .map(nodeRef);
    const message = `Node id ${node.id} stands for no node any more: the members that know it are made to forget it`;
    await claim(context, mastersOf(view));
    context.emit({ type: 'warning', node: formatAddress(report.address), message });
    await forget(context, { type: 'forget', node: nodeRef(node), by, isDead: true });
  }
}

/** Ids without slots and replicas that no node answers with: another node is at their address, or they have no address. */
function staleEntriesOf(view: ClusterView, { myself, address }: NodeReport): NodeRecord[] {
  return view.nodes.filter(
    (node) =>
      node.id !== myself.id &&
      (sameAddress(node.address, address) || node.flags.includes('noaddr')) &&
      isForsaken(view, node),
  );
}

/** True if no node can answer with this id: no member has an address for it, and it has neither slots nor replicas. */
export function isStaleEntry(view: ClusterView, node: NodeRecord): boolean {
  const records = [...view.reports.values()].flatMap(({ records }) =>
    records.filter(({ id }) => id === node.id),
  );
  return isForsaken(view, node) && records.every(({ flags }) => flags.includes('noaddr'));
}

// No node answers with it, and no member reports it as the owner of a slot or as a master.
function isForsaken(view: ClusterView, node: NodeRecord): boolean {
  if (view.reports.has(node.id)) return false;
  return [...view.reports.values()].every(({ records }) =>
    records.every(
      (record) => record.masterId !== node.id && (record.id !== node.id || record.slots.length === 0),
    ),
  );
}
