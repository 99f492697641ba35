import { lookClaimed } from '../apply/look-claimed.ts';
import { formatAddress } from '../model/address.ts';
import { goneNodes } from '../model/condition.ts';
import type { Next } from '../model/next.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, openSlotsOf, replicasOf } from '../model/view.ts';
import { nodeError } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { hasLeft } from '../nodes/newcomer.ts';
import { requireAnswers, requireMember, requireServing } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { stepsToFollowUp } from '../plan/del-node.ts';
import { dissolving } from '../plan/dissolving.ts';
import { planGiveAway } from '../plan/give-away.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { moveReasons } from '../plan/reasons.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { warnOfUntold } from './removable.ts';

/**
 * Removes a node from its cluster: moves its slots to the other masters, makes nodes that follow a replica follow its master,
 * makes every node forget it, and resets it (hard), so that it can join again immediately under a new node id.
 * Before anything is changed, rejects with ClusterError `NOT_IN_CLUSTER`, `LAST_NODE`, `HAS_REPLICAS`, `SLOTS_UNCOVERED`,
 * `NODE_UNREACHABLE`, or `KEYS_IN_DOUBT` for a replica that has the last copy of keys, unless forced. The same call finishes an interrupted run, and does nothing if the node has left already.
 */
export function quitCluster(node: ClusterLike, options: OperationOptions = {}): Promise<OperationResult> {
  return withContext(node, options, async (context) => {
    const seed = seedOf(node);
    const name = formatAddress(seed);
    // An interrupted run may already have made some or all of the other nodes forget this one.
    const report = await askNode(context.connections, seed, context.signal);
    const { myself } = report;
    if (hasLeft(report)) return carryOut(context, [myself], { operation: 'quit', masters: [], steps: [] });
    let view = await lookClaimed(context, seed, myself.id);
    requireMember(view);
    let leaver = leaverOf(view);
    if (leaver.role === 'master') requireSafeToQuit(view, leaver);
    if (leaver.role === 'master' || wasMoving(view, leaver)) {
      view = await finishOpenSlots(context, view);
      leaver = leaverOf(view);
    }
    const others = view.nodes.filter(({ id }) => id !== leaver.id && view.reports.has(id));
    const takers = others.filter((other) => other.role === 'master' && !isFailed(other));
    const moves = leaver.role === 'master' && leaver.slots.length > 0 ? planGiveAway(leaver, takers) : [];
    if (moves.length > 0) requireServing(view, `move the slots of ${name} away`);
    else requireAnswers(view, `take ${name} out`);
    for (const id of goneNodes(view)) {
      const lost = nodeById(view, id);
      const message = `${lost ? formatAddress(lost.address) : id} has failed and cannot be told to forget ${name}`;
      context.emit({ type: 'warning', message });
    }
    const ref = nodeRef(leaver);
    const followed = leaver.role === 'replica' ? stepsToFollowUp(view, leaver) : [];
    const result = await carryOut(context, view.nodes, {
      operation: 'quit',
      masters: mastersOf(view),
      steps: [
        ...moves,
        ...followed,
        { type: 'forget', node: ref, by: others.map(nodeRef) },
        { type: 'reset', node: ref },
      ],
      ...(moves.length > 0 ? { reasons: moveReasons(moves, 'leaves', 'takes an equal share') } : {}),
      expect: {
        members: others.map(nodeRef),
        gone: [leaver.id],
        owners: moves.map(({ target, slots }) => ({ id: target.id, slots })),
        replicas: followed.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
        stateOk: moves.length > 0,
      },
    });
    if (result.applied) warnOfUntold(context, view, leaver);
    return result;
  });
}

// For a replica: its master may have taken over from it during an earlier run, and is then one end of an open slot.
function wasMoving(view: ClusterView, { id, masterId }: NodeRecord): boolean {
  const items = [...openSlotsOf(view).values()].flat();
  return items.some(({ nodeId, peer }) => [id, masterId].includes(peer) || nodeId === masterId);
}

function leaverOf(view: ClusterView): NodeRecord {
  const leaver = nodeById(view, view.seedId);
  if (!leaver)
    throw nodeError('NODES_DISAGREE', view.seed, `Node ${formatAddress(view.seed)} is not in its own view`);
  return leaver;
}

function requireSafeToQuit(view: ClusterView, leaver: NodeRecord): void {
  const name = formatAddress(view.seed);
  const failed = new Set(goneNodes(view));
  const others = view.nodes.filter(
    ({ id, role }) => id !== leaver.id && role === 'master' && !failed.has(id),
  );
  if (others.length === 0) {
    throw nodeError(
      'LAST_NODE',
      name,
      `This is the last node: ${name} cannot give its slots to another master`,
      {
        hint: 'To dissolve the cluster, empty it first',
        next: dissolving(view, leaver.id),
      },
    );
  }
  const replicas = replicasOf(view, leaver.id).filter(({ id }) => !failed.has(id));
  if (replicas.length > 0) {
    const names = replicas.map(({ address }) => formatAddress(address)).join(', ');
    const answering = replicas.filter(({ id }) => view.reports.has(id));
    const cluster = others.find(({ id }) => view.reports.has(id));
    throw nodeError('HAS_REPLICAS', name, `The master still has slaves: ${names}`, {
      hint: 'Another master can have them',
      next: [
        ...(answering.length < replicas.length ? UNTIL_FAILED : cluster ? [keeping(cluster, leaver)] : []),
        ...answering.map(
          ({ address }): Next => ({ do: 'quit', node: formatAddress(address), when: 'not-needed' }),
        ),
      ],
    });
  }
}

/** One that does not answer cannot quit. Once the cluster holds it for failed, it is no obstacle. */
const UNTIL_FAILED: readonly Next[] = [
  { do: 'wait', when: 'declared-failed' },
  { do: 'retry', when: 'after-that' },
];

// A server gives replicas to masters without one on its own: the cluster keeps them.
function keeping(cluster: NodeRecord, leaver: NodeRecord): Next {
  const options = { drain: true } as const;
  return { do: 'del-node', cluster: formatAddress(cluster.address), node: leaver.id, options };
}
