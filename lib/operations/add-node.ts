import { type AddressLike, formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { reachableMasters, replicasOf } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { namedMaster } from '../nodes/named-masters.ts';
import type { NewcomerOptions, OperationOptions } from '../options.ts';
import type { OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import { addMaster } from './join-cluster.ts';
import type { Joining } from './joining.ts';
import { addReplica } from './replicate.ts';

export interface AddNodeOptions extends NewcomerOptions {
  /**
   * Add it as a replica of this master, named by node id, a prefix of it, or address; `true` for the master with the fewest
   * replicas. @default false: as a master without slots
   */
  readonly replicaOf?: string | boolean;
}

/**
 * Adds a node to a cluster as a master without slots, as `joinNoLoad` does, or as a replica. A master gets the cluster's
 * functions. Rejects with a ClusterError before anything is changed if the node is not fresh, has different functions, or
 * the cluster is not healthy. The same call finishes an interrupted run, and does nothing if the node is a member as wanted.
 */
export function addNode(
  cluster: ClusterLike,
  node: AddressLike,
  options: AddNodeOptions = {},
): Promise<OperationResult> {
  const { replicaOf = false, ...rest } = options;
  return withContext(cluster, rest, (context) => {
    if (replicaOf === false)
      return addMaster(context, cluster, node, { functions: rest.functions, mayBeDone: true });
    return addReplica(context, cluster, node, (joining) => masterFor(context, joining, replicaOf), {
      functions: rest.functions,
      mayBeDone: true,
    });
  });
}

/** Adds a node as a replica of the master that `choose` picks, once the cluster is claimed. */
export function addReplicaOf(
  cluster: ClusterLike,
  node: AddressLike,
  choose: (joining: Joining) => NodeRecord,
  options: OperationOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, (context) => addReplica(context, cluster, node, choose));
}

async function masterFor(
  context: Context,
  { view, node, newcomer }: Joining,
  wanted: string | true,
): Promise<NodeRecord> {
  if (wanted !== true) return namedMaster(context, view, wanted);
  const others = reachableMasters(view).filter(({ id }) => id !== node.id);
  // An earlier run may have made it a replica already.
  const current = others.find(({ id }) => id === newcomer.report.myself.masterId);
  const count = ({ id }: NodeRecord): number => replicasOf(view, id).length;
  const [fewest] = others.toSorted((a, b) => count(a) - count(b));
  const chosen = current ?? fewest;
  if (chosen) return chosen;
  const name = formatAddress(view.seed);
  throw nodeError('NODE_UNREACHABLE', name, `Cannot add a replica: no master of ${name} answers`);
}
