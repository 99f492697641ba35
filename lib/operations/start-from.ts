import { admitFounders } from '../apply/admit.ts';
import { claimCluster } from '../apply/look-claimed.ts';
import { giveNewId } from '../apply/new-id.ts';
import { invalidArgument } from '../errors.ts';
import { type Address, type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { formatRanges } from '../model/slot.ts';
import type { Context } from '../nodes/context.ts';
import {
  alreadyInCluster,
  askNewcomer,
  besideMember,
  hasOwnSlots,
  holdOwnSlots,
  isFresh,
  type Newcomer,
  requireNoKeys,
} from '../nodes/newcomer.ts';
import { inParallel } from '../nodes/parallel.ts';
import { hasMasterLink } from '../nodes/replication.ts';
import { requireAddress } from '../nodes/requirements.ts';
import { eachOnce } from '../nodes/twins.ts';
import type { OperationOptions } from '../options.ts';
import { type Draft, type NodeRef, nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { withContext } from './cluster.ts';

type Planner = (nodes: readonly NodeRef[], context: Context) => Draft;

/** Looks at the nodes of a new cluster, plans it, and carries out the plan. Does nothing if they are that cluster already. */
export async function startFrom(
  addresses: readonly AddressLike[],
  options: OperationOptions,
  plan: Planner,
): Promise<OperationResult> {
  const wanted = new Map(
    addresses.map((address) => [formatAddress(parseAddress(address)), parseAddress(address)]),
  );
  const [first] = wanted.values();
  if (!first) throw invalidArgument('Name at least one node to start a cluster');
  return withContext(first, options, (context) =>
    startIn(context, [first, ...[...wanted.values()].slice(1)], plan),
  );
}

/** The same in a context. */
export async function startIn(
  context: Context,
  addresses: readonly [Address, ...Address[]],
  plan: Planner,
): Promise<OperationResult> {
  const [first] = addresses;
  await claimCluster(context, first, addresses.slice(1));
  const newcomers = await lookAtFresh(context, addresses, async (seen) => {
    if (seen.length > 1) for (const { report } of seen) requireAddress(report, 'start a cluster');
    // Nodes that an earlier run has begun with were looked at by that.
    if (!seen.every(isFresh)) return;
    const refs = recordsOf(seen).map(nodeRef);
    // Whatever the plan warns of is said when it is made for good.
    await admitFounders(context, refs, plan(refs, { ...context, emit: () => {} }).steps);
  });
  const records = recordsOf(newcomers);
  const draft = plan(records.map(nodeRef), context);
  // Only waits until the nodes agree, as the run that did the rest would have.
  if (isLaidOut(newcomers, draft) && (await isFinished(context, newcomers, draft)))
    return carryOut(context, records, { ...draft, steps: [] });
  await requireStartable(context, newcomers, draft);
  // A node that an interrupted run already set up may serve clients.
  if (newcomers.length > 1) newcomers.filter(isFresh).forEach(requireNoKeys);
  return carryOut(context, records, draft);
}

function recordsOf(found: readonly Newcomer[]): NodeRecord[] {
  return found.map(({ report }) => ({
    ...report.myself,
    address: { ...report.myself.address, ...report.address },
  }));
}

// Of nodes that are all alone, those that were members before get a new id. After an interrupted start, introductions may be on
// their way to the ids that the nodes have.
async function lookAtFresh(
  context: Context,
  addresses: readonly Address[],
  admit: (found: readonly Newcomer[]) => Promise<void>,
): Promise<readonly Newcomer[]> {
  const [first] = addresses as [Address];
  const asked = await inParallel(addresses, (address) =>
    besideMember(context, first, address, () => askNewcomer(context, address)),
  );
  const found = await eachOnce(context, asked);
  await admit(found);
  const areFresh = found.every((newcomer) => isFresh(newcomer) && newcomer.keys === 0);
  if (found.length === 1 || !areFresh) return found;
  return inParallel(found, async (newcomer) =>
    (await giveNewId(context, newcomer.report)) ? askNewcomer(context, newcomer.report.address) : newcomer,
  );
}

// Throws unless each node is fresh or its state comes from an interrupted start of these same nodes.
async function requireStartable(
  context: Context,
  newcomers: readonly Newcomer[],
  draft: Draft,
): Promise<void> {
  const finished = await isFinished(context, newcomers, draft);
  for (const newcomer of newcomers) {
    if (isFresh(newcomer)) continue;
    if (!finished && isPartOf(newcomer, newcomers, draft)) continue;
    const areAlone = newcomers.every(({ report }) => report.records.length === 1);
    if (newcomers.length > 1 && areAlone && hasOwnSlots(newcomer)) throw holdOwnSlots(newcomers, newcomer);
    throw alreadyInCluster(newcomer);
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
  const copied = await inParallel(replicas, ({ report }) => hasMasterLink(context, report.address));
  return !copied.includes(false);
}

/** True if these nodes are a cluster already that is exactly as planned, with no slot open. */
export function isLaidOut(newcomers: readonly Pick<Newcomer, 'report'>[], draft: Draft): boolean {
  const ids = new Set(newcomers.map(({ report }) => report.myself.id));
  return newcomers.every(({ report: { info, records, myself } }) => {
    const share = draft.steps.flatMap((step) =>
      step.type === 'assign-slots' && step.node.id === myself.id ? step.slots : [],
    );
    return (
      info.state === 'ok' &&
      records.length === ids.size &&
      records.every(({ id }) => ids.has(id)) &&
      (masterIn(draft, myself.id) ?? null) === myself.masterId &&
      (myself.role === 'replica' || formatRanges(myself.slots) === formatRanges(share)) &&
      myself.openSlots.length === 0
    );
  });
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

/** The master of a node in the plan. */
function masterIn({ steps }: Draft, id: string): string | undefined {
  const step = steps.find((one) => one.type === 'replicate' && one.replica.id === id);
  return step?.type === 'replicate' ? step.master.id : undefined;
}
