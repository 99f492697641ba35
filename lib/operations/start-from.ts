import type { Context } from '../apply/context.ts';
import { alreadyInCluster, askNewcomer, isFresh, type Newcomer, requireNoKeys } from '../apply/newcomer.ts';
import { inParallel } from '../apply/parallel.ts';
import { hasCopiedMaster } from '../apply/steps/replicate-master.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import { type Draft, type NodeRef, nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './result.ts';
import { withContext } from './run.ts';

/** Looks at nodes that are to be a cluster, and carries out what the planner makes of them. */
export async function startFrom(
  addresses: readonly AddressLike[],
  options: OperationOptions,
  plan: (nodes: readonly NodeRef[], context: Context) => Draft,
): Promise<OperationResult> {
  const wanted = new Map(
    addresses.map((address) => [formatAddress(parseAddress(address)), parseAddress(address)]),
  );
  const [first] = wanted.values();
  if (!first) throw new RangeError('Name at least one node to start a cluster');
  return withContext(first, options, async (context) => {
    const found = await inParallel([...wanted.values()], (address) => askNewcomer(context, address));
    const newcomers = [...new Map(found.map((newcomer) => [newcomer.report.myself.id, newcomer])).values()];
    const records = newcomers.map(({ report }) => ({
      ...report.myself,
      address: { ...report.myself.address, ...report.address },
    }));
    const draft = plan(records.map(nodeRef), context);
    await requireStartable(context, newcomers, draft);
    // One that an interrupted run has begun with may serve clients already.
    if (newcomers.length > 1) newcomers.filter(isFresh).forEach(requireNoKeys);
    return carryOut(context, records, draft);
  });
}

// Each node is fresh, or all of it comes from a start of these same nodes that was interrupted.
async function requireStartable(
  context: Context,
  newcomers: readonly Newcomer[],
  draft: Draft,
): Promise<void> {
  const finished = await isFinished(context, newcomers, draft);
  for (const newcomer of newcomers) {
    if (isFresh(newcomer)) continue;
    if (finished || !isPartOf(newcomer, newcomers, draft)) throw alreadyInCluster(newcomer);
  }
}

async function isFinished(context: Context, newcomers: readonly Newcomer[], draft: Draft): Promise<boolean> {
  const known = newcomers.every(
    ({ report: { info, records, myself } }) =>
      info.state === 'ok' &&
      records.length === newcomers.length &&
      (masterIn(draft, myself.id) ?? null) === myself.masterId,
  );
  if (!known) return false;
  const replicas = newcomers.filter(({ report }) => report.myself.role === 'replica');
  const copied = await inParallel(replicas, ({ report }) => hasCopiedMaster(context, report.address));
  return !copied.includes(false);
}

function isPartOf({ report }: Newcomer, newcomers: readonly Newcomer[], draft: Draft): boolean {
  const { myself, records } = report;
  const ids = new Set(newcomers.map(({ report: other }) => other.myself.id));
  const share = draft.steps.flatMap((step) =>
    step.type === 'assign-slots' && step.node.id === myself.id ? step.slots : [],
  );
  const within = myself.slots.every(([first, last]) =>
    share.some(([from, to]) => from <= first && last <= to),
  );
  const follows = myself.role === 'master' || myself.masterId === masterIn(draft, myself.id);
  return within && follows && records.every(({ id }) => ids.has(id));
}

/** Whom a node is to replicate. */
function masterIn({ steps }: Draft, id: string): string | undefined {
  const step = steps.find((one) => one.type === 'replicate' && one.replica.id === id);
  return step?.type === 'replicate' ? step.master.id : undefined;
}
