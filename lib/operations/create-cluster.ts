import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { planCreate } from '../plan/create.ts';
import type { OperationResult } from './result.ts';
import type { StartOptions } from './start-cluster.ts';
import { startFrom } from './start-from.ts';

export interface CreateOptions extends StartOptions {
  /** Replicas of each master. Nodes that are left over become further ones. @default 0 */
  readonly replicas?: number;
  /** By address: a label of what fails together, such as a rack. Masters and their replicas are kept in different ones. */
  readonly zones?: Readonly<Record<string, string>>;
  /** Which replica goes to which master, where hosts and zones leave a choice: in turn, or as redis-cli has it. @default 'in-turn' */
  readonly order?: 'in-turn' | 'redis-cli';
}

/**
 * Makes a cluster of these nodes: masters, which share the slots, and replicas of them, away from their master by zone and by
 * host where that can be. A `warning` tells where it cannot. Addresses given twice count once.
 * Resolves when every node knows all others and serves, and every replica has copied its master. Rejects with RangeError for
 * too few nodes, with ClusterError `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER`, `NODE_NOT_EMPTY` or `NOT_REACHED`; what
 * was interrupted is finished by the same call.
 */
export async function createCluster(
  addresses: readonly AddressLike[],
  options: CreateOptions = {},
): Promise<OperationResult> {
  const { replicas = 0, zones = {}, maxSlots = SLOT_COUNT, order = 'in-turn' } = options;
  if (!Number.isInteger(maxSlots) || maxSlots < 1) throw new RangeError(`Not a number of slots: ${maxSlots}`);
  return startFrom(addresses, options, (nodes, context) => {
    const named = new Map(
      Object.entries(zones).map(([node, zone]) => [formatAddress(parseAddress(node)), zone]),
    );
    for (const node of named.keys()) {
      if (!nodes.some(({ address }) => address === node))
        throw new RangeError(`A zone is given for ${node}, which is not among the nodes`);
    }
    const { draft, warnings } = planCreate(nodes, { replicas, zones: named, maxSlots, order });
    for (const message of warnings) context.emit({ type: 'warning', message });
    return draft;
  });
}
