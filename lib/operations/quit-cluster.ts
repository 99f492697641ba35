import { nodeError } from '../apply/context.ts';
import { askNode } from '../apply/look.ts';
import { lookSettled, requireAnswers, requireServing } from '../apply/settle.ts';
import { formatAddress } from '../model/address.ts';
import { failedNodes } from '../model/findings.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById, openSlotsOf, replicasOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { planGiveAway } from '../plan/give-away.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { moveReasons } from '../plan/reasons.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { requireMember } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

/**
 * Takes a node out of its cluster: moves its slots to the other masters, makes every node forget it, and resets it hard,
 * so that it can join again at once under a new node id.
 * Rejects with ClusterError `NOT_IN_CLUSTER`, `LAST_NODE`, `HAS_REPLICAS`, `SLOTS_UNCOVERED` or `NODE_UNREACHABLE` before
 * anything is changed; what was interrupted is finished by the same call.
 */
export function quitCluster(node: ClusterLike, options: OperationOptions = {}): Promise<OperationResult> {
  return withContext(node, options, async (context) => {
    const seed = seedOf(node);
    const name = formatAddress(seed);
    // An interrupted run may have made some of the others, or all of them, forget the node already.
    const { myself } = await askNode(context.connections, seed, context.signal);
    let view = await lookSettled(context, seed, myself.id);
    requireMember(view);
    let leaver = leaverOf(view);
    if (leaver.role === 'master') requireLeavable(view, leaver);
    if (leaver.role === 'master' || wasMoving(view, leaver)) {
      view = await finishOpenSlots(context, view);
      leaver = leaverOf(view);
    }
    const others = view.nodes.filter(({ id }) => id !== leaver.id && view.reports.has(id));
    const takers = others.filter((other) => other.role === 'master' && !isFailed(other));
    const moves = leaver.role === 'master' && leaver.slots.length > 0 ? planGiveAway(leaver, takers) : [];
    if (moves.length > 0) requireServing(view, `move the slots of ${name} away`);
    else requireAnswers(view, `take ${name} out`);
    for (const id of failedNodes(view)) {
      const lost = nodeById(view, id);
      const message = `${lost ? formatAddress(lost.address) : id} has failed and cannot be told to forget ${name}`;
      context.emit({ type: 'warning', message });
    }
    const ref = nodeRef(leaver);
    return carryOut(context, view.nodes, {
      operation: 'quit',
      masters: mastersOf(view),
      steps: [...moves, { type: 'forget', node: ref, by: others.map(nodeRef) }, { type: 'reset', node: ref }],
      ...(moves.length > 0 ? { reasons: moveReasons(moves, 'leaves', 'takes an equal share') } : {}),
      expect: {
        members: others.map(nodeRef),
        gone: [leaver.id],
        owners: moves.map(({ target, slots }) => ({ id: target.id, slots })),
        stateOk: moves.length > 0,
      },
    });
  });
}

// Of a replica: its master, which may have taken over from it in the middle of an earlier run, is at one end of an open slot.
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

function requireLeavable(view: ClusterView, leaver: NodeRecord): void {
  const name = formatAddress(view.seed);
  const failed = new Set(failedNodes(view));
  const others = view.nodes.filter(
    ({ id, role }) => id !== leaver.id && role === 'master' && !failed.has(id),
  );
  if (others.length === 0) {
    throw nodeError(
      'LAST_NODE',
      name,
      `This is the last node: ${name} has no other master to give its slots to`,
      {
        hint: `To end the cluster, empty it and run: redis-trib shutdown ${name}`,
      },
    );
  }
  const replicas = replicasOf(view, leaver.id).filter(({ id }) => !failed.has(id));
  if (replicas.length > 0) {
    const names = replicas.map(({ address }) => formatAddress(address)).join(', ');
    throw nodeError('HAS_REPLICAS', name, `The master still has slaves: ${names}`, {
      hint: `Take them out first with: redis-trib quit ${replicas[0] ? formatAddress(replicas[0].address) : ''}`,
    });
  }
}
