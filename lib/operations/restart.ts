import { endChains } from '../apply/end-chains.ts';
import { lookClaimed } from '../apply/look-claimed.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { outOfSync } from '../findings/out-of-sync.ts';
import { stopJudge } from '../findings/stop-verdict.ts';
import { refusedAtRestart } from '../findings/stopped-replicas.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeName, replicasOf } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { lookWithReplication } from '../nodes/inspect.ts';
import { nodesNamed } from '../nodes/named-masters.ts';
import { followersAfter, requireFollowers } from '../nodes/require-promotable.ts';
import { requireMember, requireServing } from '../nodes/requirements.ts';
import { readServerName, versionTest } from '../nodes/server.ts';
import { growingPause, notReached, waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { mastersAmong } from '../plan/drain.ts';
import { planRestart } from '../plan/restart.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { successors as successorsOf } from './hand-over.ts';

export interface RestartOptions extends OperationOptions {
  /**
   * Only these: nodes by id, a prefix of it or address, all nodes of a host by its name, or by version, such as `8.0`, `8.0.3` or
   * `<8.2`. As a text: with commas between. @default all
   */
  readonly only?: string | readonly string[];
  /** Restart nodes of different shards together, as many as may stop. @default one after the other */
  readonly batch?: boolean;
  /** Bring each master back after its restart. @default false */
  readonly home?: boolean;
}

/** What a restart did or, after a dry run, would do. */
export interface RestartResult extends OperationResult {
  /** Servers that were restarted. */
  readonly restarted: number;
  readonly failovers: number;
  /**
   * Milliseconds that slots had no master at most: the longest time from the request for a failover to the look at which the new
   * master, the former one and others agreed. What clients noticed is less.
   */
  readonly withoutMasterMs: number;
}

type Seen = Awaited<ReturnType<typeof lookWithReplication>>;

/**
 * Restarts the servers of a cluster without an interruption: replicas first, each waited for until it is in sync, then each master once
 * a replica has taken its place. Before each stop it makes sure that the server may stop now. `restartServer` restarts it; without that,
 * it waits until someone has.
 * Before anything is changed, rejects with ClusterError `NO_REPLICA` for a master that no replica can replace and, unless forced, for one
 * that would have too few to take writes in the meantime (`min-replicas-to-write`); with `NOT_REACHED` if none is in sync, `SLOTS_UNCOVERED`, `NODE_UNREACHABLE`, `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE`; later with `RESTART_FAILED`, or `NOT_REACHED` if
 * a server does not come back. The plan holds the run id of each server, so that `applyPlan` goes on with those that are left.
 */
export function restart(cluster: ClusterLike, options: RestartOptions = {}): Promise<RestartResult> {
  return withContext(cluster, options, async (context) => {
    const seed = seedOf(cluster);
    const claimed = await lookClaimed(context, seed);
    requireMember(claimed);
    requireServing(claimed, 'restart its servers');
    // A failover in the middle of a move may lose keys: see docs/moving-slots.md.
    await endChains(context, await finishOpenSlots(context, claimed, undefined, { replicas: true }));
    const seen = await lookWithReplication(context.connections, seed, context.signal);
    const ids = new Set((await chosen(context, seen, options.only)).map(({ id }) => id));
    const ready = await withSuccessors(context, seen, ids);
    const { view, details, successors } = ready;
    const nodes = view.nodes.filter(({ id }) => ids.has(id));
    for (const master of mastersAmong(nodes)) {
      const successor = successors.get(master.id);
      if (successor)
        await requireFollowers(context, view, followersAfter(view, successor, master), successor);
    }
    requireReplicasLeft(context, ready, nodes);
    if (context.settings.dryRun) warnOfStops(context, ready, nodes);
    const runIds = new Map<string, string>();
    for (const [id, one] of details) if (!(one instanceof Error)) runIds.set(id, one.runId);
    const result = await carryOut(
      context,
      view.nodes,
      planRestart(view, { ...options, nodes, runIds, successors }),
    );
    const { restarted, failovers, withoutMasterMs } = context.account;
    return { ...result, restarted: restarted.size, failovers, withoutMasterMs };
  });
}

/** The nodes to restart. Those that are gone are left out, unless they are named. */
async function chosen(
  context: Context,
  { view, details }: Seen,
  only: RestartOptions['only'],
): Promise<NodeRecord[]> {
  const answers = ({ id }: NodeRecord): boolean => {
    const own = details.get(id);
    return own !== undefined && !(own instanceof Error) && own.runId !== '';
  };
  const found = new Set<NodeRecord>();
  const texts = [only ?? []].flat().flatMap((text) => text.split(','));
  for (const text of texts) {
    const isOf = versionTest(text);
    const named = isOf
      ? view.nodes.filter(({ id }) => {
          const own = details.get(id);
          const server = own === undefined || own instanceof Error ? undefined : readServerName(own.version);
          return server !== undefined && isOf(server);
        })
      : await nodesNamed(context, view, text);
    for (const node of named) {
      if (!answers(node)) throw silent(view, node, details.get(node.id));
      found.add(node);
    }
  }
  if (only !== undefined) return [...found];
  for (const node of view.nodes) {
    if (answers(node)) found.add(node);
    else {
      const name = nodeName(view, node.id);
      const message = `${name} ${saysWhySilent(view, node, details.get(node.id))}: it is left out`;
      context.emit({ type: 'warning', node: name, message });
    }
  }
  return [...found];
}

function silent(view: ClusterView, node: NodeRecord, why: unknown): Error {
  const name = nodeName(view, node.id);
  const { hint, next } = wordsOnCondition(view, node.id);
  const message = `Cannot restart ${name}: it ${saysWhySilent(view, node, why)}`;
  return nodeError('NODE_UNREACHABLE', name, message, { hint, next });
}

function saysWhySilent(view: ClusterView, { id }: NodeRecord, why: unknown): string {
  if (!view.reports.has(id)) return wordsOnCondition(view, id).says;
  return `does not report its run id${why instanceof Error ? `: ${why.message}` : ''}`;
}

interface Ready extends Seen {
  readonly successors: ReadonlyMap<string, NodeRecord>;
}

/** Waits until each of these masters with slots has a replica that is in sync. */
async function withSuccessors(context: Context, first: Seen, ids: ReadonlySet<string>): Promise<Ready> {
  const { connections, settings, signal, emit } = context;
  const wait = {
    what: 'a replica of each master to be in sync',
    timeoutMs: settings.dryRun ? 0 : settings.agreeTimeout,
    pauseMs: growingPause(50, 500),
    signal,
    emit,
  };
  let seen: Seen | undefined = first;
  return waitUntil<Ready>(wait, async () => {
    const now = seen ?? (await lookWithReplication(connections, first.view.seed, signal));
    seen = undefined;
    const { view, details } = now;
    const successors = new Map<string, NodeRecord>();
    const missing: string[] = [];
    for (const master of mastersAmong(view.nodes.filter(({ id }) => ids.has(id)))) {
      const replicas = replicasOf(view, master.id);
      const name = nodeName(view, master.id);
      if (replicas.length === 0) {
        throw nodeError('NO_REPLICA', name, `Cannot restart ${name}: it has no replica to take its place`, {
          hint: 'Nothing was changed. Its slots would not be served while it is down',
          next: [{ do: 'replicate', node: name }],
        });
      }
      const [successor] = successorsOf(view, details, master);
      if (successor) successors.set(master.id, successor);
      else
        missing.push(
          ...replicas.map(
            (one) =>
              `${formatAddress(one.address)} ${view.reports.has(one.id) ? (outOfSync(view, details, one) ?? 'is not ready') : 'does not answer'}`,
          ),
        );
    }
    if (missing.length === 0) return { done: { ...now, successors } };
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, missing, {
          address: formatAddress(view.seed),
          hint: 'Nothing was changed',
          next: [{ do: 'retry', when: 'settled' }],
        }),
    };
  });
}

/** Rejects if a master would refuse writes while one of these nodes is down, which no order of restarts avoids. If forced, warns. */
function requireReplicasLeft(context: Context, ready: Ready, nodes: readonly NodeRecord[]): void {
  const found = new Map(
    nodes.flatMap((node) => {
      const refused = refusedAtRestart(ready, node, ready.successors.get(node.id)?.id);
      return refused ? [[refused.master, { ...refused, node: nodeName(ready.view, node.id) }] as const] : [];
    }),
  );
  const [first] = found.values();
  if (!first) return;
  const says = [...found.values()].map(({ message }) => message).join('; ');
  if (context.settings.force) {
    context.emit({ type: 'warning', node: first.node, message: says });
    return;
  }
  throw nodeError('NO_REPLICA', first.node, `Cannot restart ${first.node}: ${says}`, {
    hint: 'Nothing was changed',
    next: [
      ...[...found.values()].flatMap(({ next }) => next),
      { do: 'retry', when: 'after-that' },
      { do: 'retry', options: { force: true }, when: 'anyway' },
    ],
  });
}

function warnOfStops(
  context: Context,
  { view, details, settings }: Seen,
  nodes: readonly NodeRecord[],
): void {
  const judge = stopJudge(view, details, settings);
  const isMaster = new Set(mastersAmong(nodes).map(({ id }) => id));
  const first = nodes.find(({ id }) => !isMaster.has(id));
  for (const { message } of first ? judge(new Set([first.id])).reasons : []) {
    const node = nodeName(view, first?.id ?? '');
    context.emit({ type: 'warning', node, message: `${node} may not stop now: ${message}` });
  }
}
