import { invalidArgument } from '../errors.ts';
import type { AddressLike } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import { planStart } from '../plan/start.ts';
import { DEFAULTS } from '../settings.ts';
import type { OperationResult } from './carry-out.ts';
import { startFrom } from './start-from.ts';

export interface StartOptions extends OperationOptions {
  /** Most slots in one ADDSLOTS: some networks break long commands. @default 16384 */
  readonly maxSlots?: number;
}

/**
 * Creates a cluster of one node, which gets all slots. It may hold keys. Does nothing if it is that cluster already.
 * Rejects with ClusterError `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER` or `NOT_REACHED`.
 */
export function startCluster(address: AddressLike, options: StartOptions = {}): Promise<OperationResult> {
  return startClusterOnMulti([address], options);
}

/**
 * Creates a cluster of several masters, which share the slots in the order given; the first also gets the rest. Duplicate
 * addresses count once. Resolves when every node knows all others and serves.
 * Rejects with ClusterError `NOT_CLUSTER_ENABLED`, `ALREADY_IN_CLUSTER`, `NODE_NOT_EMPTY` or `NOT_REACHED`. The same call
 * finishes an interrupted run, and does nothing if the nodes are this very cluster already.
 */
export async function startClusterOnMulti(
  addresses: readonly AddressLike[],
  options: StartOptions = {},
): Promise<OperationResult> {
  const { maxSlots = DEFAULTS.start.maxSlots } = options;
  if (!Number.isInteger(maxSlots) || maxSlots < 1)
    throw invalidArgument(`Not a number of slots: ${maxSlots}`);
  return startFrom(addresses, options, (nodes) => {
    const draft = planStart(nodes, maxSlots);
    const owners = draft.steps.flatMap((step) =>
      step.type === 'assign-slots' ? [{ id: step.node.id, slots: step.slots }] : [],
    );
    return { ...draft, expect: { members: nodes, owners } };
  });
}
