import { type Context, nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { namedMaster } from '../apply/named-masters.ts';
import { type Address, type AddressLike, formatAddress } from '../model/address.ts';
import { reachableMasters, replicasOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { joinNoLoad } from './join-cluster.ts';
import { replicate } from './replicate.ts';
import type { OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface AddNodeOptions extends OperationOptions {
  /**
   * Adds it as a replica of this master, named by its id, the beginning of it, or address; `true` for the master with fewest
   * replicas. @default false: as a master without slots
   */
  readonly replicaOf?: string | boolean;
}

/**
 * Adds a node to a cluster as a master without slots, with the functions of the cluster, as `joinNoLoad` does, or as a replica.
 * Rejects with ClusterError before anything is changed where the node is no fresh one, has other functions, or the cluster is
 * not well; what was interrupted is finished by the same call.
 */
export function addNode(
  cluster: ClusterLike,
  node: AddressLike,
  options: AddNodeOptions = {},
): Promise<OperationResult> {
  const { replicaOf = false, ...rest } = options;
  return withContext(cluster, rest, async (context) => {
    const seed = seedOf(cluster);
    if (replicaOf !== false) return replicate(await masterFor(context, seed, replicaOf), node, rest);
    return joinNoLoad(cluster, node, rest);
  });
}

async function masterFor(context: Context, seed: Address, wanted: string | true): Promise<Address> {
  const view = await look(context.connections, seed, context.signal);
  if (wanted !== true) return (await namedMaster(context, view, wanted)).address;
  const masters = reachableMasters(view);
  const [fewest] = masters.toSorted((a, b) => replicasOf(view, a.id).length - replicasOf(view, b.id).length);
  if (fewest) return fewest.address;
  throw nodeError(
    'NODE_UNREACHABLE',
    seed,
    `Cannot add a replica: no master of ${formatAddress(seed)} answers`,
  );
}
