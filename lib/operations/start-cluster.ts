import type { AddressLike } from '../model/address.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import type { OperationOptions } from '../options.ts';
import { planStart } from '../plan/start.ts';
import type { OperationResult } from './result.ts';
import { startFrom } from './start-from.ts';

export interface StartOptions extends OperationOptions {
  /** Most slots in one ADDSLOTS: some networks cut long commands. @default 16384 */
  readonly maxSlots?: number;
}

/**
 * Makes a cluster of one node, which gets all slots. It may hold keys.
 * Rejects with ClusterError `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER` or `NOT_REACHED`.
 */
export function startCluster(address: AddressLike, options: StartOptions = {}): Promise<OperationResult> {
  return startClusterOnMulti([address], options);
}

/**
 * Makes a cluster of several masters, which share the slots in the order given; the first gets what is left over.
 * Addresses given twice count once. Resolves when every node knows all others and serves.
 * Rejects with ClusterError `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER`, `NODE_NOT_EMPTY` or `NOT_REACHED`; what was
 * interrupted is finished by the same call.
 */
export async function startClusterOnMulti(
  addresses: readonly AddressLike[],
  options: StartOptions = {},
): Promise<OperationResult> {
  const { maxSlots = SLOT_COUNT } = options;
  if (!Number.isInteger(maxSlots) || maxSlots < 1) throw new RangeError(`Not a number of slots: ${maxSlots}`);
  return startFrom(addresses, options, (nodes) => {
    const draft = planStart(nodes, maxSlots);
    const owners = draft.steps.flatMap((step) =>
      step.type === 'assign-slots' ? [{ id: step.node.id, slots: step.slots }] : [],
    );
    return { ...draft, expect: { members: nodes, owners } };
  });
}
