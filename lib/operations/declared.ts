import { giveNewId } from '../apply/new-id.ts';
import type { Address } from '../model/address.ts';
import { capitalised } from '../model/lists.ts';
import { slotsAre } from '../model/slot.ts';
import { type ClusterView, type NodeReport, nodeById, openSlotsOf } from '../model/view.ts';
import { waitForAgreement } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import { hasCopied } from '../nodes/replication.ts';
import { planCreate } from '../plan/create.ts';
import type { EnsureRequest } from '../plan/ensure.ts';
import { type NodeRef, nodeRef } from '../plan/plan.ts';
import { DEFAULTS } from '../settings.ts';
import type { OperationResult } from './carry-out.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { forgetStaleEntries } from './stale-entries.ts';
import { startIn } from './start-from.ts';

// What a declared cluster has in common with other operations: apart from the rest, which only it loads.

/** Starts a cluster of these nodes. `holders` have slots already, by share. */
export function startDeclared(
  context: Context,
  named: readonly [Address, ...Address[]],
  request: EnsureRequest,
  holders: ReadonlyMap<number, string>,
  require: (nodes: readonly NodeRef[]) => void,
): Promise<OperationResult> {
  return startIn(context, named, (nodes, { emit }) => {
    require(nodes);
    const { maxSlots } = DEFAULTS.start;
    const { draft, warnings } = planCreate(nodes, { ...request, maxSlots, holders });
    for (const message of warnings) emit({ type: 'warning', message });
    return { ...draft, operation: 'ensure' };
  });
}

/**
 * Waits until all members report that they serve: one that an earlier run has introduced does not at once, and takes no slot before.
 * Then finishes open slots, or at once if one that does not serve has some. Resolves to what it did: all has to be looked at again. A dry run only says that slots are open.
 */
export async function settleMembers(
  context: Context,
  view: ClusterView,
): Promise<'waited' | 'finished' | undefined> {
  const { dryRun } = context.settings;
  const unserving = [...view.reports.values()].filter(({ info }) => info.state !== 'ok');
  // A node that imports slots does not follow a failover of their owner. It serves once it is told whom to import from, and not before.
  const isStuck = unserving.some(({ myself }) => myself.openSlots.length > 0);
  if (!dryRun && unserving.length > 0 && !isStuck) {
    const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
    await waitForAgreement(context, { members }, 'every node to serve');
    return 'waited';
  }
  const open = openSlotsOf(view);
  if (open.size === 0) return undefined;
  await finishOpenSlots(context, view);
  if (!dryRun) return 'finished';
  const message = `${capitalised(slotsAre(open.keys()))} open: they would be finished first`;
  context.emit({ type: 'warning', message });
  return undefined;
}

/** Makes members forget the ids that these nodes had before they were reset. */
export async function forgetFormerIds(
  context: Context,
  view: ClusterView,
  reports: readonly NodeReport[],
): Promise<void> {
  for (const report of reports) await forgetStaleEntries(context, view, report);
}

/** Gives those of these nodes a new id that may be banned. True if it did: all has to be looked at again. */
export async function giveNewIds(
  context: Context,
  reports: readonly NodeReport[],
  { reports: members }: ClusterView,
): Promise<boolean> {
  const given = await inParallel(reports, (report) => giveNewId(context, report, [...members.values()]));
  return given.includes(true);
}

/** Ids of the replicas that have not copied their master yet. */
export async function replicasCopying(context: Context, view: ClusterView): Promise<Set<string>> {
  const replicas = view.nodes.filter(({ id, role }) => role === 'replica' && view.reports.has(id));
  const found = await inParallel(replicas, async (replica) => {
    const master = nodeById(view, replica.masterId ?? '');
    return master && (await hasCopied(context, view, replica, master)) ? [] : [replica.id];
  });
  return new Set(found.flat());
}
