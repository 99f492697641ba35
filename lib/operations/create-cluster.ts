import { invalidArgument } from '../errors.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { Context } from '../nodes/context.ts';
import { planCreate } from '../plan/create.ts';
import type { Draft, NodeRef } from '../plan/plan.ts';
import { DEFAULTS } from '../settings.ts';
import type { OperationResult } from './carry-out.ts';
import type { StartOptions } from './start-cluster.ts';
import { startFrom } from './start-from.ts';

export interface CreateOptions extends StartOptions {
  /** Replicas of each master. Nodes left over become further replicas. @default 0 */
  readonly replicas?: number;
  /** By address: a failure domain, such as a rack. A master and its replicas are placed in different ones if possible. */
  readonly zones?: Readonly<Record<string, string>>;
  /** How replicas are assigned if hosts and zones leave a choice: in turn, or in redis-cli's order. @default 'in-turn' */
  readonly order?: 'in-turn' | 'redis-cli';
}

/**
 * Makes a cluster of these nodes: masters, which share the slots, and their replicas. A replica is placed in another zone and on
 * another host than its master if possible; otherwise a `warning` reports it. Duplicate addresses count once.
 * Resolves when every node knows all others and serves, and every replica has copied its master. Rejects with ClusterError
 * `INVALID_ARGUMENT` for too few nodes, `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER`, `NODE_NOT_EMPTY` or `NOT_REACHED`. The same
 * call finishes an interrupted run, and does nothing if the nodes are this very cluster already.
 */
export async function createCluster(
  addresses: readonly AddressLike[],
  options: CreateOptions = {},
): Promise<OperationResult> {
  const { start, create } = DEFAULTS;
  const { replicas = create.replicas, order = create.order, maxSlots = start.maxSlots, zones = {} } = options;
  if (!Number.isInteger(maxSlots) || maxSlots < 1)
    throw invalidArgument(`Not a number of slots: ${maxSlots}`);
  const plan = (nodes: readonly NodeRef[], context: Context): Draft => {
    const named = new Map(
      Object.entries(zones).map(([node, zone]) => [formatAddress(parseAddress(node)), zone]),
    );
    for (const node of named.keys()) {
      if (!nodes.some(({ address }) => address === node))
        throw invalidArgument(`A zone is given for ${node}, which is not among the nodes`);
    }
    const { draft, warnings } = planCreate(nodes, { replicas, zones: named, maxSlots, order });
    for (const message of warnings) context.emit({ type: 'warning', message });
    return draft;
  };
  return startFrom(addresses, options, plan);
}
