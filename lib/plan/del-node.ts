import { countSlots, isFailed, type NodeRecord } from '../model/node.ts';
import { followersBelow, followersOf, topMaster } from '../model/promotion.ts';
import { type ClusterView, replicasOf } from '../model/view.ts';
import { planGiveAway } from './give-away.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type StepOf } from './plan.ts';
import { moveReasons } from './reasons.ts';

/**
 * Removes a node: moves its slots to the other masters, those with the fewest slots first, attaches its replicas to the
 * masters with the fewest replicas, or to its own master if it is a replica, then forgets it.
 */
export function planDelNode(view: ClusterView, leaver: NodeRecord): Draft {
  const isAlive = view.reports.has(leaver.id);
  const others = view.nodes.filter(({ id }) => id !== leaver.id && view.reports.has(id));
  const masters = others
    .filter((node) => node.role === 'master' && !isFailed(node))
    .sort((a, b) => countSlots(a) - countSlots(b));
  const moves =
    isAlive && leaver.role === 'master' && leaver.slots.length > 0 ? planGiveAway(leaver, masters) : [];
  const followed = leaver.role === 'replica' ? stepsToFollowUp(view, leaver) : [];
  const attached = followed.length > 0 ? followed : replicaSteps(view, leaver, masters);
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
      // Other failed nodes and their slots are not the business of this plan.
      stateOk: moves.length > 0,
    },
  };
}

/**
 * Makes nodes that follow a replica follow the master at the end of the chain. None could forget the node that it follows
 * (CLUSTER FORGET: "Can't forget my master"), after all others have.
 */
export function stepsToFollowUp(view: ClusterView, leaver: NodeRecord): StepOf<'replicate'>[] {
  const top = topMaster(view, leaver.id);
  if (!top || top.id === leaver.id || !view.reports.has(top.id)) return [];
  return followersOf(view, leaver.id)
    .filter(({ id }) => view.reports.has(id))
    .map((replica) => ({ type: 'replicate', replica: nodeRef(replica), master: nodeRef(top) }));
}

function replicaSteps(
  view: ClusterView,
  leaver: NodeRecord,
  masters: readonly NodeRecord[],
): StepOf<'replicate'>[] {
  // Prefer masters with slots: the others have nothing to replicate.
  const loaded = masters.filter(({ slots }) => slots.length > 0);
  const takers = (loaded.length > 0 ? loaded : masters).map((master) => ({
    master,
    replicas: replicasOf(view, master.id).filter(({ id }) => id !== leaver.id).length,
  }));
  const direct = replicasOf(view, leaver.id);
  // Those that follow one of these would follow it to another master, and stay replicas of a replica.
  const chained = followersBelow(view, leaver.id).filter((one) => !direct.includes(one));
  return [...direct, ...chained]
    .filter(({ id }) => view.reports.has(id))
    .flatMap((replica) => {
      const [taker] = takers.toSorted((a, b) => a.replicas - b.replicas);
      if (!taker) return [];
      taker.replicas += 1;
      return [{ type: 'replicate' as const, replica: nodeRef(replica), master: nodeRef(taker.master) }];
    });
}
