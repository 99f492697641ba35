import { ClusterError } from '../errors.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeReport } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { DONE, type Wait, waitUntil } from '../nodes/wait-until.ts';
import { nodeRef } from '../plan/plan.ts';
import { reset } from './steps/reset.ts';

/** CLUSTER_BLACKLIST_TTL, and a second for a member that hears of the ban last. */
export const BAN_MS = 61_000;
const PAUSE_MS = 250;

/**
 * True of a node that is alone now, but was a member once: it may have been forgotten a moment ago. Where a node id was forgotten it
 * is banned for a minute, and since Redis 7.2 that spreads by gossip (CLUSTERMSG_EXT_TYPE_FORGOTTEN_NODE), even to members that have
 * met the node again since. A soft reset keeps the id and the current epoch; only a hard reset sets that to 0 (clusterReset).
 */
export function mayBeBanned({ myself, records, inHandshake = [], info }: NodeReport): boolean {
  const isAlone = records.length === 1 && inHandshake.length === 0;
  const isEmpty = myself.role === 'master' && info.slotsAssigned === 0 && myself.openSlots.length === 0;
  return isAlone && isEmpty && Math.max(info.currentEpoch, myself.configEpoch) > 0;
}

/**
 * Gives a node that is alone and holds no key a new id before it is introduced, if it may be banned. If it may not be
 * reset, waits until no ban can be left. Resolves to true if either was done, and all has to be looked at again. A dry run changes
 * nothing.
 */
export async function giveNewId(
  context: Context,
  report: NodeReport,
  isBanned: boolean = mayBeBanned(report),
): Promise<boolean> {
  const node = formatAddress(report.address);
  if (!isBanned || context.account.unbanned.has(node)) return false;
  const warn = (message: string): void => context.emit({ type: 'warning', node, message });
  if (context.settings.dryRun) {
    warn(`${node} was a member before: it would be reset first, and join under a new node id`);
    return false;
  }
  const { myself, address } = report;
  try {
    await reset(context, nodeRef({ id: myself.id, address: { ...myself.address, ...address } }));
    // Once is enough: a node that still has an epoch after a hard reset would be reset for ever.
    context.account.unbanned.add(node);
    warn(`${node} was a member before: it was reset, and joins under a new node id`);
    return true;
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'COMMAND_REFUSED') throw error;
    warn(`${error.message}. It was a member before, and may be banned for a minute`);
    await waitOut(context, report);
    return true;
  }
}

/** Waits until a ban of the node id is over. */
export async function waitOut(context: Context, { address, myself }: NodeReport): Promise<void> {
  const started = performance.now();
  const wait: Wait = {
    what: 'the ban of a node id to end',
    pauseMs: PAUSE_MS,
    signal: context.signal,
    emit: context.emit,
  };
  await waitUntil(wait, () => {
    if (performance.now() - started >= BAN_MS) return DONE;
    return { missing: [`Node id ${myself.id} may have been forgotten within the last minute`] };
  });
  context.account.unbanned.add(formatAddress(address));
}
