import { ClusterError, messageOf } from '../../errors.ts';
import { listNames } from '../../findings/finding.ts';
import { outOfSync } from '../../findings/out-of-sync.ts';
import { stopJudge } from '../../findings/stop-verdict.ts';
import type { Replication as Seen } from '../../findings/stopped-replicas.ts';
import { formatAddress, parseAddress } from '../../model/address.ts';
import { isSuspected } from '../../model/node.ts';
import { type ClusterView, nodeById, recordSeenBy } from '../../model/view.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { lookWithReplication } from '../../nodes/inspect.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { growingPause, notReached, pause, waitUntil } from '../../nodes/wait-until.ts';
import type { Plan, RunningNode, StepOf } from '../../plan/plan.ts';

/** A longer one would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Restarts servers, each once it may stop, and waits until each is back: with another run id, at one with the others, and in sync. Those
 * that were restarted since the plan was made are only waited for.
 */
export async function restartServers(
  context: Context,
  step: StepOf<'restart'>,
  plan: Pick<Plan, 'before' | 'steps'>,
): Promise<void> {
  let left = step.nodes;
  sayWhatIsLeft(context, plan);
  while (left.length > 0) {
    const { back, free } = await waitToStop(context, left, plan);
    await restart(context, free, plan);
    await waitForReturn(context, [...back, ...free], free, plan);
    const done = new Set([...back, ...free].map(({ id }) => id));
    left = left.filter(({ id }) => !done.has(id));
  }
}

/** The same call goes on with the nodes that were not restarted; if there are none, it would begin again. */
function sayWhatIsLeft({ account }: Context, plan: Pick<Plan, 'before' | 'steps'>): void {
  const left = addressesIn(plan).filter((address) => !account.restarted.has(address));
  const [first] = plan.before;
  account.again =
    left.length > 0
      ? { do: 'retry', options: { only: left.join(',') } }
      : { do: 'check', ...(first ? { cluster: first.address } : {}) };
}

function addressesIn({ steps }: Pick<Plan, 'steps'>): string[] {
  return steps.flatMap((step) => (step.type === 'restart' ? step.nodes.map(({ address }) => address) : []));
}

/** What was restarted and what is left, for an error. */
function doneAndLeft(
  { account: { restarted } }: Context,
  plan: Pick<Plan, 'steps'>,
  failed: readonly string[],
): string {
  const left = addressesIn(plan).filter((address) => !restarted.has(address) && !failed.includes(address));
  return `Restarted: ${listNames([...restarted]) || 'none'}. Left: ${listNames(left) || 'none'}`;
}

/**
 * Waits until at least one of these servers may stop, and resolves to as many as may stop together now. Those that were restarted
 * already are `back`. A server that owns slots may not stop, even if a replica would take over: clients would notice. If forced, one may
 * stop whose master then refuses writes.
 */
async function waitToStop(
  context: Context,
  nodes: readonly RunningNode[],
  plan: Pick<Plan, 'before' | 'steps'>,
): Promise<{ readonly back: readonly RunningNode[]; readonly free: readonly RunningNode[] }> {
  const names = nodes.map(({ address }) => address);
  const wait = {
    what: `${listNames(names)} to be free to stop`,
    timeoutMs: context.settings.agreeTimeout,
    pauseMs: growingPause(50, 500),
    signal: context.signal,
    emit: context.emit,
  };
  return waitUntil(wait, async () => {
    const { view, details, settings } = await lookFromOther(context, nodes, plan);
    const judge = stopJudge(view, details, context.settings.force ? undefined : settings);
    const back = nodes.filter((node) => isRestarted(node, details));
    const free: RunningNode[] = [];
    const missing: string[] = [];
    for (const node of nodes) {
      if (back.includes(node)) continue;
      if (ownsSlots(view, node.id)) {
        missing.push(`${node.address} owns slots: a replica must take its place before`);
        continue;
      }
      const verdict = judge(new Set([...free, node].map(({ id }) => id)));
      if (verdict.ok) free.push(node);
      else missing.push(...verdict.reasons.map(({ message }) => message));
    }
    if (back.length + free.length > 0) return { done: { back, free } };
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, [...new Set(missing)], {
          address: names[0] ?? '',
          hint: doneAndLeft(context, plan, []),
          next: [{ do: 'check', cluster: formatAddress(view.seed) }],
        }),
    };
  });
}

function ownsSlots(view: ClusterView, id: string): boolean {
  // Itself, or the others, if it does not answer.
  const records = [view.reports.get(id)?.myself, nodeById(view, id)];
  return records.some((record) => record?.role === 'master' && record.slots.length > 0);
}

function isRestarted({ id, runId }: RunningNode, details: Seen['details']): boolean {
  const own = details.get(id);
  return own !== undefined && !(own instanceof Error) && own.runId !== '' && own.runId !== runId;
}

async function restart(
  context: Context,
  nodes: readonly RunningNode[],
  plan: Pick<Plan, 'steps'>,
): Promise<void> {
  const { restartServer } = context.options;
  const { restartTimeout } = context.settings;
  for (const { address, id } of nodes) {
    context.emit({ type: 'restart', node: address, id, byHand: restartServer === undefined });
  }
  if (!restartServer) return;
  const late = new AbortController();
  // All end before anything is said: what was begun is not to be left in the middle.
  const ends = await Promise.allSettled(
    nodes.map(async ({ address, id }) => {
      const { host, port } = parseAddress(address);
      const inTime = pause(Math.min(restartTimeout, LONGEST_TIMER_MS), late.signal).then(() => {
        throw new Error(`it has not ended after ${Math.round(restartTimeout / 1000)} s`);
      });
      inTime.catch(() => {});
      await Promise.race([restartServer({ id, host, port }), inTime]);
    }),
  );
  late.abort();
  for (const [index, end] of ends.entries()) {
    if (end.status === 'fulfilled') continue;
    const name = nodes[index]?.address ?? '';
    throw nodeError('RESTART_FAILED', name, `Cannot restart ${name}: ${messageOf(end.reason)}`, {
      hint: doneAndLeft(context, plan, [name]),
      cause: end.reason,
      resumable: 'same-call',
    });
  }
}

/** Waits until the servers are back. For one that somebody is to restart, the time counts from the moment when it is gone. */
async function waitForReturn(
  context: Context,
  nodes: readonly RunningNode[],
  stopped: readonly RunningNode[],
  plan: Pick<Plan, 'before' | 'steps'>,
): Promise<void> {
  const { settings, signal, emit, options } = context;
  const begun = performance.now();
  const waiting = new Map(nodes.map((node) => [node.id, node]));
  /** By id: when it was restarted, or first seen to be gone. */
  const since = new Map<string, number>(
    nodes
      .filter((node) => options.restartServer !== undefined || !stopped.includes(node))
      .map(({ id }) => [id, begun]),
  );
  const wait = {
    what: `${listNames(nodes.map(({ address }) => address))} to be restarted`,
    timeoutMs: 0,
    pauseMs: growingPause(50, 500),
    signal,
    emit,
  };
  await waitUntil<undefined>(wait, async () => {
    const seen = await lookFromOther(context, nodes, plan);
    const missing: string[] = [];
    const silent = [...waiting.values()].filter(({ id }) => !seen.view.reports.has(id));
    const strangers = await strangersAt(context, silent);
    for (const node of waiting.values()) {
      const why = notBack(seen, node, strangers);
      const isGone = isRestarted(node, seen.details) || !seen.view.reports.has(node.id);
      if (isGone && !since.has(node.id)) since.set(node.id, performance.now());
      if (why !== undefined) {
        missing.push(`${node.address} ${why}`);
        continue;
      }
      waiting.delete(node.id);
      context.account.restarted.add(node.address);
      sayWhatIsLeft(context, plan);
      if (stopped.includes(node))
        emit({ type: 'restarted', node: node.address, elapsedMs: performance.now() - begun });
    }
    if (waiting.size === 0) return { done: undefined };
    const now = performance.now();
    const late = [...waiting.values()].find(
      ({ id }) => now - (since.get(id) ?? Number.POSITIVE_INFINITY) >= settings.restartTimeout,
    );
    return {
      missing,
      ...(late
        ? {
            giveUp: (elapsedMs: number) =>
              notBackInTime(
                context,
                late,
                { missing, view: seen.view, isStranger: strangers.has(late.id) },
                elapsedMs,
                plan,
              ),
          }
        : {}),
    };
  });
}

function notBackInTime(
  context: Context,
  { address, id }: RunningNode,
  {
    missing,
    view,
    isStranger,
  }: { readonly missing: readonly string[]; readonly view: ClusterView; readonly isStranger: boolean },
  elapsedMs: number,
  plan: Pick<Plan, 'steps'>,
): ClusterError {
  return notReached(`${address} to be restarted`, elapsedMs, missing, {
    address,
    hint: doneAndLeft(context, plan, [address]),
    next: isStranger
      ? [{ do: 'check', cluster: formatAddress(view.seed) }]
      : view.reports.has(id)
        ? []
        : [{ do: 'start-node', node: address }],
  });
}

/** What a server lacks to be back, as the rest of a sentence; undefined if nothing. */
function notBack(
  { view, details }: Seen,
  node: RunningNode,
  strangers: ReadonlyMap<string, string>,
): string | undefined {
  const report = view.reports.get(node.id);
  if (!report) {
    const stranger = strangers.get(node.id);
    if (stranger !== undefined)
      return `answers as another node, ${stranger}: it was started without its nodes.conf`;
    const loading = view.asked?.get(node.address)?.loading;
    return loading ? `is loading its data from disk (${loading.percent}%)` : 'does not answer';
  }
  const own = details.get(node.id);
  if (own === undefined || own instanceof Error) return 'does not report its run id';
  if (!isRestarted(node, details)) return 'has not been restarted yet';
  if (own.loading) return `is loading its data from disk (${own.loading.percent}%)`;
  const { myself, info } = report;
  if (myself.role === 'replica') {
    const lacks = outOfSync(view, details, myself);
    if (lacks !== undefined) return lacks;
  }
  if (info.state !== 'ok') return 'reports cluster_state:fail';
  const apart = [...view.reports.values()].find((other) => {
    if (other.myself.id === node.id) return false;
    const record = recordSeenBy(view, other.myself.id, node.id);
    return record !== undefined && (record.linkState !== 'connected' || isSuspected(record));
  });
  return apart ? `is not connected to ${formatAddress(apart.address)} yet` : undefined;
}

/**
 * By id of a node: that of the one that answers at its address. The others need not say where that is: a server that finds another id at
 * the address of a node forgets the address (clusterProcessPacket, NOADDR).
 */
async function strangersAt(
  { connections, signal }: Context,
  nodes: readonly RunningNode[],
): Promise<Map<string, string>> {
  const found = await inParallel(nodes, async ({ id, address }): Promise<[string, string][]> => {
    try {
      const there = await connections.ask(parseAddress(address), ['CLUSTER', 'MYID'], {
        early: true,
        signal,
      });
      return typeof there === 'string' && there !== id ? [[id, there]] : [];
    } catch {
      signal?.throwIfAborted();
      return [];
    }
  });
  return new Map(found.flat());
}

/** Looks from a member that is not being restarted, if there is one. */
async function lookFromOther(
  { connections, signal }: Context,
  nodes: readonly RunningNode[],
  { before }: Pick<Plan, 'before'>,
): Promise<Seen> {
  const own = new Set(nodes.map(({ id }) => id));
  const known = before.filter(({ address }) => !address.startsWith(':'));
  const masters = known.filter(({ role }) => role === 'master');
  const ranked = [...masters, ...known].sort((a, b) => Number(own.has(a.id)) - Number(own.has(b.id)));
  let failure: unknown;
  for (const { address } of ranked) {
    try {
      const seen = await lookWithReplication(connections, parseAddress(address), signal);
      // One that was reset, or is alone, says nothing of the others.
      if (nodes.some(({ id }) => nodeById(seen.view, id))) return seen;
    } catch (error) {
      signal?.throwIfAborted();
      failure = error;
    }
  }
  throw failure ?? new ClusterError('NODE_UNREACHABLE', 'No node of the plan answers');
}
