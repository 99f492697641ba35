import { ClusterError } from '../errors.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeReport } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
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
export function mayBeBanned(report: NodeReport): boolean {
  const { myself, info } = report;
  return isAloneAndEmpty(report) && Math.max(info.currentEpoch, myself.configEpoch) > 0;
}

function isAloneAndEmpty({ myself, records, inHandshake = [], info }: NodeReport): boolean {
  const isAlone = records.length === 1 && inHandshake.length === 0;
  return isAlone && myself.role === 'master' && info.slotsAssigned === 0 && myself.openSlots.length === 0;
}

/**
 * True if a master among these members bans an id that it does not know: from Redis 7.2 on, FORGET of such an id succeeds then, and does
 * nothing (clusterBlacklistExists). A node that was restored from an old configuration has such an id, and shows no trace of it. Older
 * servers cannot say; but with them a ban does not spread, and MEET takes no notice of it.
 */
export async function isBannedBy(
  { connections, signal }: Context,
  members: readonly NodeReport[],
  id: string,
): Promise<boolean> {
  const masters = members.filter(
    ({ myself, records }) =>
      myself.role === 'master' && myself.slots.length > 0 && !records.some((one) => one.id === id),
  );
  const answers = await inParallel(masters, ({ address }) =>
    connections.ask(address, ['CLUSTER', 'FORGET', id], { signal }).catch(() => undefined),
  );
  signal?.throwIfAborted();
  return answers.some((answer) => answer !== undefined);
}

/**
 * True of a node that is to be introduced to these members if they may ban its id. If not, it is not asked again. A dry run does not
 * ask them: it would take a FORGET.
 */
export async function membersMayBan(
  context: Context,
  report: NodeReport,
  members: readonly NodeReport[],
): Promise<boolean> {
  const { account, settings } = context;
  const node = formatAddress(report.address);
  if (account.unbanned.has(node)) return false;
  if (mayBeBanned(report)) return true;
  if (settings.dryRun || !isAloneAndEmpty(report)) return false;
  if (await isBannedBy(context, members, report.myself.id)) return true;
  if (members.length > 0) account.unbanned.add(node);
  return false;
}

/**
 * Gives a node that is alone and holds no key a new id before it is introduced to these members, if they may ban it. If it may not be
 * reset, waits until no ban can be left. Resolves to true if either was done, and all has to be looked at again. A dry run changes
 * nothing.
 */
export async function giveNewId(
  context: Context,
  report: NodeReport,
  members: readonly NodeReport[] = [],
): Promise<boolean> {
  if (!(await membersMayBan(context, report, members))) return false;
  const node = formatAddress(report.address);
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
