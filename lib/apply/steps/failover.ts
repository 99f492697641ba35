import { ReplyError } from '../../../resp/index.ts';
import { formatAddress, parseAddress } from '../../model/address.ts';
import type { Advice, Next } from '../../model/next.ts';
import { isFailed, type NodeRecord } from '../../model/node.ts';
import { NodeLines } from '../../model/node-lines.ts';
import { deniedPromotion } from '../../model/promotion.ts';
import { slotsAre } from '../../model/slot.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { MEET_AGAIN_MS, meetCommand } from '../../nodes/meet-command.ts';
import { askNodeTimeout } from '../../nodes/node-timeout.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { DONE, notReached, type Wait, waitUntil } from '../../nodes/wait-until.ts';
import type { NodeRef, StepOf } from '../../plan/plan.ts';
import { type Lack, notReady, overdue } from './failover-lacks.ts';

/**
 * A server abandons a manual failover after five seconds (CLUSTER_MF_TIMEOUT) without reporting it: then it is asked again. Its
 * master does not accept writes for that long, so the pauses grow.
 */
const [ASK_AGAIN_MS, ASK_AGAIN_LATER_MS] = [6000, 20_000];
const PAUSE_MS = 50;
const MAY_STILL_HAPPEN =
  'The failover that was asked for may still happen: see which node is the master before you go on';
/** Masters that are asked besides the former one. */
const WITNESSES = 3;
/** So long at most a failover waits for voters to hear of the replica. */
const VOTERS_MS = 3000;
/** Time for an election and for the others to hear of it. */
const ELECTION_MS = 15_000;
const MARGIN_MS = 500;
/** A failover that will happen has happened by then. The server gives up after five seconds. */
const [OVERDUE_MS, ABANDONED_MS] = [2500, 5000];
/** The server's default, for a node that does not say. */
const DEFAULT_TIMEOUT_MS = 15_000;

/**
 * Makes a replica replace its master, and waits until it reports that it is a master, and so do its former master and others, in
 * two looks: an election may be taken back.
 */
export async function promoteReplica(
  context: Context,
  step: StepOf<'failover'>,
  masters: readonly NodeRef[] = [],
): Promise<void> {
  const { replica, master, mode } = step;
  const { connections, settings, signal, account, emit } = context;
  const wait: Wait = {
    what: `${replica.address} to take the place of ${master.address}`,
    timeoutMs: settings.agreeTimeout,
    pauseMs: PAUSE_MS,
    signal,
    emit,
  };
  const started = performance.now();
  let [asks, askAt, patienceMs] = [0, started, ASK_AGAIN_MS];
  let limitMs = settings.agreeTimeout;
  let [wasMaster, wasConfirmed] = [false, false];
  let retryMs: number | undefined;
  let askedAt: number | undefined;
  let confirmedMs = 0;
  let lack: Lack | undefined;
  /** The last request: when it was made, the epoch of the replica before it, and whether it was looked into. */
  let last = { at: started, epoch: 0, isSeen: true };
  let isLost = false;
  // A replica that has held an election holds another only once four node timeouts have passed (clusterHandleSlaveFailover,
  // auth_retry_time). Until then it takes the old votes each time it is asked, which others take back, or does nothing.
  const knowRetry = async (): Promise<number> => {
    // That takes no votes.
    if (mode === 'takeover') return performance.now();
    retryMs ??= 4 * (await nodeTimeout(context, replica)) + MARGIN_MS;
    if (retryMs - MARGIN_MS <= settings.agreeTimeout) limitMs = Math.max(limitMs, retryMs + ELECTION_MS);
    return started + retryMs;
  };
  const hearing = {
    others: masters.filter(({ id }) => id !== master.id && id !== replica.id),
    started,
    toldAt: 0,
  };
  const askAgain = async (epoch: number, records: readonly NodeRecord[]): Promise<void> => {
    if (performance.now() < askAt) return;
    const unready =
      mode === 'graceful'
        ? ((await notReady(context, step)) ?? (await unheard(context, step, records, hearing)))
        : undefined;
    if (unready || lack?.kind === 'not-ready') lack = unready;
    if (unready) return;
    if (mode === 'graceful' && asks === 0) await requireClosedAt(context, step);
    const now = performance.now();
    const newElectionAt = asks > 0 ? await knowRetry() : now;
    account.asked(replica.address);
    if (!(await ask(context, step, records))) {
      if (asks === 0) account.promotions.delete(replica.address);
      lack = withoutBusLink(step);
      return;
    }
    askAt = newElectionAt > now ? Math.min(now + patienceMs, newElectionAt) : now + patienceMs;
    // Votes that came late count if it is asked once more. After that, its master would not accept writes in vain.
    if (isLost && newElectionAt > now) askAt = newElectionAt;
    patienceMs = Math.min(2 * patienceMs, ASK_AGAIN_LATER_MS);
    asks += 1;
    last = { at: now, epoch, isSeen: false };
    askedAt ??= now;
    emit({ type: 'failover', node: replica.address, master: master.address });
  };
  const seeLast = async (epoch: number): Promise<void> => {
    const elapsedMs = performance.now() - last.at;
    if (last.isSeen || elapsedMs < OVERDUE_MS) return;
    last.isSeen = true;
    if (elapsedMs > ABANDONED_MS) return;
    lack = (await overdue(context, step, [last.epoch, epoch])) ?? lack;
    if (lack?.kind === 'never')
      throw notReached(wait.what, elapsedMs, [lack.says], { ...lack.advice, address: replica.address });
    isLost ||= lack?.kind === 'votes';
  };
  await waitUntil(wait, async () => {
    const { myself, records, info } = await askNode(connections, parseAddress(replica.address), signal);
    const isMaster = myself.role === 'master';
    const missing = isMaster ? await denials(context, step, masters) : [];
    if (isMaster && missing.length === 0) {
      if (wasConfirmed) {
        account.answered(replica.address, confirmedMs);
        return DONE;
      }
      [wasMaster, wasConfirmed] = [true, true];
      confirmedMs = askedAt === undefined ? 0 : performance.now() - askedAt;
      return { missing };
    }
    wasConfirmed = false;
    if (wasMaster && !isMaster) {
      askAt = await knowRetry();
      const seconds = Math.max(0, Math.ceil((askAt - performance.now()) / 1000));
      emit({
        type: 'warning',
        node: replica.address,
        message: `The others took the promotion of ${replica.address} back. It can hold another election in ${seconds} s, and is asked again then`,
      });
    }
    wasMaster = isMaster;
    if (!isMaster) await seeLast(info.currentEpoch);
    const lacking = isMaster ? missing : [lack?.says ?? `${replica.address} is a replica`];
    const { hint, next: wayOn = [] } = asks > 0 ? mayHappen(step) : notAsked(replica);
    const details = {
      ...{ address: replica.address, hint: lack?.advice.hint ?? hint },
      next: [...(lack?.advice.next ?? []), ...wayOn],
    };
    return {
      missing: lacking,
      ...(performance.now() - started < limitMs
        ? {}
        : { giveUp: (elapsedMs: number) => notReached(wait.what, elapsedMs, lacking, details) }),
      nudge: () => (isMaster ? undefined : askAgain(info.currentEpoch, records)),
    };
  });
}

/**
 * The lack of a replica of which its master, or a voter, has not heard that it is one: a server before Redis 7.2 announces that only with
 * its next packets. A master ignores the request until then (CLUSTERMSG_TYPE_MFSTART), and the replica waits for it in vain for five
 * seconds; others do not vote. So it is made to send them a packet. Others may never hear it: they are not waited for for long.
 */
async function unheard(
  context: Context,
  { replica, master }: StepOf<'failover'>,
  records: readonly NodeRecord[],
  hearing: { readonly others: readonly NodeRef[]; readonly started: number; toldAt: number },
): Promise<Lack | undefined> {
  const now = performance.now();
  const others = now - hearing.started < VOTERS_MS ? hearing.others.slice(0, WITNESSES) : [];
  const lines = new NodeLines();
  const late = await inParallel([master, ...others], async (node) => {
    // One that does not answer is the business of the failover itself.
    const report = await askNode(
      context.connections,
      parseAddress(node.address),
      context.signal,
      lines,
    ).catch(() => undefined);
    const record = report?.records.find(({ id }) => id === replica.id);
    const isLate = report?.myself.role === 'master' && record && record.masterId !== master.id;
    return isLate ? [node] : [];
  }).then((found) => found.flat());
  context.signal?.throwIfAborted();
  const [first] = late;
  // The packet may have ended that link for a moment.
  if (!first)
    return records.find(({ id }) => id === master.id)?.linkState === 'disconnected'
      ? withoutBusLink({ replica, master })
      : undefined;
  if (now - hearing.toldAt >= MEET_AGAIN_MS) {
    hearing.toldAt = now;
    const commands = await Promise.all(late.map((node) => meetCommand(context, node)));
    // Gossip spreads it anyway, only later.
    await context.connections.askAll(parseAddress(replica.address), commands).catch(() => undefined);
  }
  const says = `${first.address} has not heard yet that ${replica.address} is a replica of ${master.address}`;
  return { kind: 'not-ready', says, advice: {} };
}

function withoutBusLink({ replica, master }: Pick<StepOf<'failover'>, 'replica' | 'master'>): Lack {
  const says = `${replica.address} has no link to ${master.address} on the cluster bus`;
  return { kind: 'not-ready', says, advice: {} };
}

/** Members that answer and do not report the promotion, as texts. */
async function denials(
  context: Context,
  { replica, master }: StepOf<'failover'>,
  masters: readonly NodeRef[],
): Promise<string[]> {
  const others = masters.filter(({ id }) => id !== master.id && id !== replica.id).slice(0, WITNESSES);
  const lines = new NodeLines();
  const asked = await inParallel([master, replica, ...others], async ({ id, address }) => {
    try {
      const report = await askNode(context.connections, parseAddress(address), context.signal, lines);
      return report.myself.id === id ? report : undefined;
    } catch {
      // It is silent, or gone. Those that must agree are asked after the step.
      context.signal?.throwIfAborted();
      return undefined;
    }
  });
  const [former, promoted, ...rest] = asked;
  const denying = deniedPromotion(
    replica.id,
    { former, hasSlots: promoted?.myself.slots.length !== 0 },
    rest.filter((report) => report !== undefined),
  );
  return denying.map(({ myself, address }) =>
    myself.id === master.id
      ? `${master.address} has not become a replica of ${replica.address}`
      : `${formatAddress(address)} does not consider ${replica.address} the master`,
  );
}

/**
 * Rejects with ClusterError `OPEN_SLOT` if the master has a slot open now, or the replica does: another tool may have begun a move since
 * the plan was made. The replicas of Redis know nothing of it, and clients would not find keys that have moved. If forced, warns.
 */
async function requireClosedAt(context: Context, { replica, master }: StepOf<'failover'>): Promise<void> {
  const reports = await inParallel([master, replica], ({ address }) =>
    // A master that does not answer is the business of the failover itself.
    askNode(context.connections, parseAddress(address), context.signal).catch(() => undefined),
  );
  context.signal?.throwIfAborted();
  const marks = reports.flatMap((report) => report?.myself.openSlots ?? []);
  const openSlots = [...new Set(marks.map(({ slot }) => slot))].sort((a, b) => a - b);
  if (openSlots.length === 0) return;
  const message = `Cannot fail over from ${master.address} to ${replica.address}: ${slotsAre(openSlots)} open there`;
  if (context.settings.force) {
    context.emit({ type: 'warning', node: master.address, message });
    return;
  }
  throw nodeError('OPEN_SLOT', master.address, message, {
    openSlots,
    resumable: 'same-call',
    next: [
      { do: 'fix', cluster: master.address, when: 'not-moving' },
      { do: 'retry', when: 'after-that' },
    ],
  });
}

async function nodeTimeout(context: Context, { address }: NodeRef): Promise<number> {
  const ms = await askNodeTimeout(context, parseAddress(address));
  return ms instanceof Error ? DEFAULT_TIMEOUT_MS : ms;
}

/**
 * Resolves to false if the replica refused because its link to its master on the cluster bus has just ended: a server takes its master for
 * failed without one, and says the same of both (clusterCommand). `records` are those of the replica.
 */
async function ask(
  { connections }: Context,
  step: StepOf<'failover'>,
  records: readonly NodeRecord[],
): Promise<boolean> {
  const { replica, master, mode } = step;
  const words = mode === 'graceful' ? [] : [mode.toUpperCase()];
  try {
    await connections.ask(parseAddress(replica.address), ['CLUSTER', 'FAILOVER', ...words]);
    return true;
  } catch (error) {
    // It may have become a master between two looks.
    if (!(error instanceof ReplyError) || error.message.includes('to a replica')) throw error;
    const record = records.find(({ id }) => id === master.id);
    if (error.message.includes('Master is down') && record && !isFailed(record)) return false;
    throw nodeError(
      'NOT_REACHED',
      replica.address,
      `Cannot fail over to ${replica.address}: ${error.message}`,
      {
        next: wayOn(step),
        cause: error,
      },
    );
  }
}

function mayHappen(step: StepOf<'failover'>): Advice {
  return { hint: MAY_STILL_HAPPEN, next: wayOn(step) };
}

function notAsked({ address }: NodeRef): Advice {
  return { hint: `No failover was asked for. See "INFO replication" on ${address}: it may still be copying` };
}

function wayOn({ mode, replica: { address: node } }: StepOf<'failover'>): Next[] {
  if (mode === 'graceful')
    return [{ do: 'failover', node, options: { mode: 'force' }, when: 'master-silent' }];
  if (mode === 'force')
    return [{ do: 'failover', node, options: { mode: 'takeover' }, when: 'too-few-masters-to-vote' }];
  return [{ do: 'check', cluster: node }];
}
