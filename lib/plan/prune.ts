import { conditionOf, goneNodes } from '../model/condition.ts';
import { hasLink, isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, recordSeenBy } from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type StepOf } from './plan.ts';

/** Makes every member that answers forget each node that can be pruned. Pure. */
export function planPrune(view: ClusterView): Draft {
  const pruned = prunable(view);
  const leaving = new Set(pruned.map(({ id }) => id));
  const members = view.nodes.filter(({ id }) => view.reports.has(id));
  const steps = pruned.map((node): StepOf<'forget'> => {
    const knowing = members.filter(({ id }) => recordSeenBy(view, id, node.id) !== undefined);
    return { type: 'forget', node: nodeRef(node), by: knowing.map(nodeRef), isDead: true };
  });
  return {
    operation: 'prune',
    masters: mastersOf(view).filter(({ id }) => !leaving.has(id)),
    steps,
    // Other nodes that do not answer, and their slots, are not the business of this plan.
    expect: { members: members.map(nodeRef), gone: [...leaving], stateOk: false },
  };
}

/**
 * Nodes that are dead or wiped, as all members say that know them, own no slot to any of them, and are the master of none that stays.
 * Whoever has a slot to someone may be the only one to have its keys.
 */
export function prunable(view: ClusterView): NodeRecord[] {
  const gone = new Set(goneNodes(view));
  let left = view.nodes.filter(({ id }) => gone.has(id) && isLostToAll(view, id));
  // A dead replica goes before its dead master can.
  for (;;) {
    const ids = new Set(left.map(({ id }) => id));
    const needed = new Set(
      [...view.reports.values()].flatMap(({ records }) =>
        records.flatMap(({ id, masterId }) => (masterId !== null && !ids.has(id) ? [masterId] : [])),
      ),
    );
    const free = left.filter(({ id }) => !needed.has(id));
    if (free.length === left.length) return left;
    left = free;
  }
}

function isLostToAll(view: ClusterView, id: string): boolean {
  const isWiped = conditionOf(view, id).kind === 'wiped';
  return [...view.reports.values()].every(({ myself }) => {
    // FORGET clears the marks of moves with it (clusterDelNode), and nothing would tell any more that keys may be there.
    if (myself.openSlots.some(({ peer }) => peer === id)) return false;
    const record = recordSeenBy(view, myself.id, id);
    if (!record) return true;
    // A link to a node that is held for failed is only being opened: an answer would end that (clearNodeFailureIfNeeded).
    const isLost = isFailed(record) || record.flags.includes('noaddr') || isWiped;
    return isLost && !hasLink(record) && record.slots.length === 0;
  });
}
