import type { Context } from '../apply/context.ts';
import { claim } from '../apply/operators.ts';
import { forget } from '../apply/steps/forget.ts';
import { formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';

/**
 * Makes members forget the ids that a joining node had before it was reset. A member that was told of it by gossip just when the
 * others forgot it keeps such an id for good, and the members would never agree.
 */
export async function forgetGhosts(context: Context, view: ClusterView, report: NodeReport): Promise<void> {
  for (const node of ghostsOf(view, report)) {
    const by = view.nodes
      .filter((other) => view.reports.get(other.id)?.records.some(({ id }) => id === node.id))
      .map(nodeRef);
    const message = `Node id ${node.id} stands for no node any more: the members that know it are made to forget it`;
    await claim(context, mastersOf(view));
    context.emit({ type: 'warning', node: formatAddress(report.address), message });
    await forget(context, { type: 'forget', node: nodeRef(node), by, isDead: true });
  }
}

/** Ids without slots and replicas by which nobody answers: another does at their address, or they have none. */
function ghostsOf(view: ClusterView, { myself, address }: NodeReport): NodeRecord[] {
  return view.nodes.filter(
    (node) =>
      node.id !== myself.id &&
      (sameAddress(node.address, address) || node.flags.includes('noaddr')) &&
      isForsaken(view, node),
  );
}

/** True of an id by which nobody can answer: whoever knows it has no address for it, and it has neither slots nor replicas. */
export function isGhost(view: ClusterView, node: NodeRecord): boolean {
  const records = [...view.reports.values()].flatMap(({ records }) =>
    records.filter(({ id }) => id === node.id),
  );
  return isForsaken(view, node) && records.every(({ flags }) => flags.includes('noaddr'));
}

// Nobody answers by it, and nobody holds it for the owner of a slot, or for a master.
function isForsaken(view: ClusterView, node: NodeRecord): boolean {
  if (view.reports.has(node.id)) return false;
  return [...view.reports.values()].every(({ records }) =>
    records.every(
      (record) => record.masterId !== node.id && (record.id !== node.id || record.slots.length === 0),
    ),
  );
}
