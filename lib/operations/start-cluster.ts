import { alreadyInCluster, askNewcomer, isFresh, type Newcomer, requireNoKeys } from '../apply/newcomer.ts';
import { inParallel } from '../apply/parallel.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import type { OperationOptions } from '../options.ts';
import type { Draft, NodeRef } from '../plan/plan.ts';
import { nodeRef } from '../plan/plan.ts';
import { planStart } from '../plan/start.ts';
import { carryOut, type OperationResult } from './result.ts';
import { withContext } from './run.ts';

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
  const wanted = new Map(
    addresses.map((address) => [formatAddress(parseAddress(address)), parseAddress(address)]),
  );
  const [first] = wanted.values();
  if (!first) throw new RangeError('Name at least one node to start a cluster');
  const { maxSlots = SLOT_COUNT } = options;
  if (!Number.isInteger(maxSlots) || maxSlots < 1) throw new RangeError(`Not a number of slots: ${maxSlots}`);
  return withContext(first, options, async (context) => {
    const found = await inParallel([...wanted.values()], (address) => askNewcomer(context, address));
    const newcomers = [...new Map(found.map((newcomer) => [newcomer.report.myself.id, newcomer])).values()];
    const records = newcomers.map(({ report }) => ({
      ...report.myself,
      address: { ...report.myself.address, ...report.address },
    }));
    const nodes = records.map(nodeRef);
    const plan = planStart(nodes, maxSlots);
    requireStartable(newcomers, plan);
    if (newcomers.length > 1) newcomers.forEach(requireNoKeys);
    const owners = plan.steps.flatMap((step) =>
      step.type === 'assign-slots' ? [{ id: step.node.id, slots: step.slots }] : [],
    );
    return carryOut(context, records, { ...plan, expect: { members: nodes, owners } });
  });
}

// Each node is fresh, or all of it comes from a start of these same nodes that was interrupted.
function requireStartable(newcomers: readonly Newcomer[], plan: Draft): void {
  const finished = newcomers.every(
    ({ report }) => report.info.state === 'ok' && report.records.length === newcomers.length,
  );
  for (const newcomer of newcomers) {
    if (isFresh(newcomer)) continue;
    if (finished || !isPartOf(newcomer, plan)) throw alreadyInCluster(newcomer);
  }
}

function isPartOf({ report }: Newcomer, { masters, steps }: Draft): boolean {
  const ids = new Set(masters.map(({ id }: NodeRef) => id));
  const share = steps.flatMap((step) =>
    step.type === 'assign-slots' && step.node.id === report.myself.id ? step.slots : [],
  );
  const within = report.myself.slots.every(([first, last]) =>
    share.some(([from, to]) => from <= first && last <= to),
  );
  return within && report.records.every(({ id }) => ids.has(id));
}
