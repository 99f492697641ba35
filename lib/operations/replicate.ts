import { nodeError } from '../apply/context.ts';
import { alreadyInCluster, requireNoKeys } from '../apply/newcomer.ts';
import { hasCopiedMaster } from '../apply/steps/replicate-master.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { nodeById } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { lookAtBoth, membersOf, nodesOf } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, withContext } from './run.ts';

/**
 * Adds a node to a cluster as a replica of a master; where a replica is named as the master, of that replica's master.
 * A member without slots and replicas is taken as it is. Resolves when every node knows the replica and it has copied its master.
 * Rejects with ClusterError before anything is changed where the node is no fresh one or the cluster is not well.
 */
export function replicate(
  master: ClusterLike,
  replica: AddressLike,
  options: OperationOptions = {},
): Promise<OperationResult> {
  return withContext(master, options, async (context) => {
    const joining = await lookAtBoth(context, master, replica, false);
    const { view, node, newcomer, isNew, isSettled } = joining;
    const named = nodeById(view, view.seedId);
    const record = named?.role === 'replica' && named.masterId ? nodeById(view, named.masterId) : named;
    if (!record) {
      const name = formatAddress(view.seed);
      throw nodeError('NODE_UNREACHABLE', name, `The master of ${name} is not known to the cluster`);
    }
    const { myself } = newcomer.report;
    const isReplica = myself.role === 'replica' && myself.masterId === record.id;
    // One that an interrupted run made a replica may still be copying: then there is something left to wait for.
    const isDone = isSettled && isReplica && (await hasCopiedMaster(context, newcomer.report.address));
    if (!isNew && (isDone || (myself.role === 'replica' && !isReplica))) throw alreadyInCluster(newcomer);
    if (!isNew && (myself.slots.length > 0 || view.nodes.some(({ masterId }) => masterId === myself.id))) {
      throw alreadyInCluster(
        newcomer,
        'It has slots or replicas of its own: only an empty master can become a replica',
      );
    }
    if (myself.role === 'master') requireNoKeys(newcomer);
    const members = membersOf(joining);
    return carryOut(context, nodesOf(joining), {
      operation: 'replicate',
      masters: mastersOf(view),
      steps: [
        ...(isSettled
          ? []
          : [{ type: 'meet' as const, nodes: [node], to: members.slice(0, -1), serving: true }]),
        {
          type: 'replicate',
          replica: { ...node, address: formatAddress(parseAddress(replica)) },
          master: nodeRef(record),
        },
      ],
      expect: { members, replicas: [{ id: node.id, masterId: record.id }] },
    });
  });
}
