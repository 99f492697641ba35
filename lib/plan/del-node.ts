import { countSlots, isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, replicasOf } from '../model/view.ts';
import { planGiveAway } from './give-away.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type StepOf } from './plan.ts';
import { moveReasons } from './reasons.ts';

/** Takes a node out: its slots to the others, those with fewest first, its replicas to the masters with fewest, then it is forgotten. */
export function planDelNode(view: ClusterView, leaver: NodeRecord): Draft {
  const isAlive = view.reports.has(leaver.id);
  const others = view.nodes.filter(({ id }) => id !== leaver.id && view.reports.has(id));
  const masters = others
    .filter((node) => node.role === 'master' && !isFailed(node))
    .sort((a, b) => countSlots(a) - countSlots(b));
  const moves =
    isAlive && leaver.role === 'master' && leaver.slots.length > 0 ? planGiveAway(leaver, masters) : [];
  const attached = replicaSteps(view, leaver, masters);
  const node = nodeRef(leaver);
  return {
    operation: 'del_node',
    masters: mastersOf(view).filter(({ id }) => isAlive || id !== leaver.id),
    steps: [
      ...moves,
      ...attached,
      { type: 'forget', node, by: others.map(nodeRef), ...(isAlive ? {} : { isDead: true as const }) },
      ...(isAlive ? [{ type: 'reset' as const, node }] : []),
    ],
    ...(moves.length > 0 ? { reasons: moveReasons(moves, 'leaves', 'takes an equal share') } : {}),
    expect: {
      members: others.map(nodeRef),
      gone: [leaver.id],
      owners: moves.map(({ target, slots }) => ({ id: target.id, slots })),
      replicas: attached.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
      // Others that have failed, and their slots, are not for this to mend.
      stateOk: moves.length > 0,
    },
  };
}

function replicaSteps(
  view: ClusterView,
  leaver: NodeRecord,
  masters: readonly NodeRecord[],
): StepOf<'replicate'>[] {
  // A master without slots has nothing to replicate, unless there is no other.
  const loaded = masters.filter(({ slots }) => slots.length > 0);
  const takers = (loaded.length > 0 ? loaded : masters).map((master) => ({
    master,
    replicas: replicasOf(view, master.id).filter(({ id }) => id !== leaver.id).length,
  }));
  return replicasOf(view, leaver.id)
    .filter(({ id }) => view.reports.has(id))
    .flatMap((replica) => {
      const [taker] = takers.toSorted((a, b) => a.replicas - b.replicas);
      if (!taker) return [];
      taker.replicas += 1;
      return [{ type: 'replicate' as const, replica: nodeRef(replica), master: nodeRef(taker.master) }];
    });
}
