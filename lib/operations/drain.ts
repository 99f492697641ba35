import { endChains } from '../apply/end-chains.ts';
import { lookClaimed } from '../apply/look-claimed.ts';
import { listNames } from '../findings/finding.ts';
import { formatAddress, sameAddress } from '../model/address.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeName, replicasOf } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { replicasIn } from '../nodes/inspect.ts';
import { nodesNamed } from '../nodes/named-masters.ts';
import { askInfo, numberOf } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { isCopy, LINK_MS } from '../nodes/replication.ts';
import { followersAfter, requireFollowers } from '../nodes/require-promotable.ts';
import { requireMember, requireServing } from '../nodes/requirements.ts';
import { growingPause, notReached, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { mastersAmong, planDrain } from '../plan/drain.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';

export interface DrainOptions extends OperationOptions {
  /** Move the slots of masters without a replica elsewhere to the other masters. @default false: they are refused */
  readonly moveSlots?: boolean;
}

/**
 * Prepares a node, named by its id, a prefix of it or its address, or all nodes of a host, for a restart: replicas on other
 * nodes replace the masters, gracefully and one after the other, until no master with slots is left. Nodes stay members.
 * Before anything is changed, rejects with ClusterError `NO_REPLICA` for masters that no replica elsewhere can replace,
 * `LAST_NODE`, `SLOTS_UNCOVERED`, `NODE_UNREACHABLE`, `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE`. The same call finishes an
 * interrupted run.
 */
export function drain(
  cluster: ClusterLike,
  target: string,
  options: DrainOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    let view = await lookClaimed(context, seedOf(cluster));
    requireMember(view);
    const ids = new Set((await nodesNamed(context, view, target)).map(({ id }) => id));
    requireServing(view, `drain ${target}`);
    // A failover in the middle of a move may lose keys: see docs/moving-slots.md.
    view = await endChains(context, await finishOpenSlots(context, view, undefined, { replicas: true }));
    const drained = view.nodes.filter(({ id }) => ids.has(id));
    const masters = mastersAmong(drained);
    const successors = new Map<string, NodeRecord>();
    for (const master of masters) {
      const successor = await successorOf(context, view, master, ids);
      if (successor) successors.set(master.id, successor);
    }
    await inParallel(masters, async (master) => {
      const successor = successors.get(master.id);
      if (successor)
        await requireFollowers(context, view, followersAfter(view, successor, master), successor);
    });
    const alone = masters.filter(({ id }) => !successors.has(id));
    if (alone.length > 0) requireTakers(view, alone, ids, successors.size, options);
    return carryOut(context, view.nodes, planDrain(view, { drained, successors }));
  });
}

/**
 * The replica on a node that stays with the highest replication offset. If none can take over yet, waits for one that is copying, and a
 * moment for one that looks for its master; warns instead in a dry run.
 */
async function successorOf(
  context: Context,
  view: ClusterView,
  master: NodeRecord,
  leaving: ReadonlySet<string>,
): Promise<NodeRecord | undefined> {
  const replicas = replicasOf(view, master.id).filter(
    (replica) => view.reports.has(replica.id) && !leaving.has(replica.id) && !isFailed(replica),
  );
  if (replicas.length === 0) return undefined;
  const name = nodeName(view, master.id);
  const { settings, signal, emit } = context;
  const wait: Wait = {
    what: `a replica of ${name} to copy it`,
    timeoutMs: settings.agreeTimeout,
    pauseMs: growingPause(50, 500),
    signal,
    emit,
  };
  const started = performance.now();
  const linkMs = settings.dryRun ? 0 : Math.min(LINK_MS, settings.agreeTimeout);
  return waitUntil<NodeRecord | undefined>(wait, async () => {
    const [ready, copying] = await copiesOf(context, view, replicas, master);
    const [first] = copying;
    if (!ready && !first && performance.now() - started < linkMs)
      return { missing: replicas.map(({ address }) => `${formatAddress(address)} has no link to ${name}`) };
    if (ready || !first) return { done: ready };
    const missing = copying.map(({ address }) => `${formatAddress(address)} is still copying ${name}`);
    if (settings.dryRun) {
      emit({ type: 'warning', node: nodeName(view, first.id), message: `${missing[0]}` });
      return { done: first };
    }
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, missing, {
          address: name,
          hint: 'Nothing was changed. It cannot replace its master before that is complete',
          next: [{ do: 'retry', when: 'settled' }],
        }),
    };
  });
}

/** The replica that has received most of those with a link, and those that are receiving their first copy: its master knows. */
async function copiesOf(
  context: Context,
  view: ClusterView,
  replicas: readonly NodeRecord[],
  master: NodeRecord,
): Promise<[NodeRecord | undefined, NodeRecord[]]> {
  const { connections, signal } = context;
  signal?.throwIfAborted();
  const [served, ...links] = await inParallel([master, ...replicas], ({ address }) =>
    askInfo(connections, address, ['replication']),
  );
  const listed = served ? replicasIn(served) : [];
  const states = replicas.map(async (replica, index) => {
    const info = links[index] ?? new Map();
    const isListed = listed.some(
      ({ host, port, isOnline }) => !isOnline && sameAddress({ host, port }, replica.address),
    );
    return {
      replica,
      isUp: await isCopy(context, view, info, replica, master),
      isCopying: numberOf(info, 'master_sync_in_progress') === 1 || isListed,
      offset: numberOf(info, 'slave_repl_offset'),
    };
  });
  const found = await Promise.all(states);
  const [first] = found.filter(({ isUp }) => isUp).sort((a, b) => b.offset - a.offset);
  return [first?.replica, found.filter(({ isCopying }) => isCopying).map(({ replica }) => replica)];
}

function requireTakers(
  view: ClusterView,
  alone: readonly NodeRecord[],
  leaving: ReadonlySet<string>,
  successors: number,
  { moveSlots }: DrainOptions,
): void {
  const names = alone.map(({ id }) => nodeName(view, id));
  const name = names[0] ?? '';
  if (!moveSlots) {
    const have = names.length === 1 ? 'has' : 'have';
    const message = `Cannot drain ${listNames(names)}: ${names.length === 1 ? 'it' : 'they'} ${have} no replica elsewhere that could take over`;
    // Those that are copying were waited for.
    const unlinked = alone
      .flatMap(({ id }) => replicasOf(view, id))
      .filter(({ id }) => view.reports.has(id) && !leaving.has(id))
      .map(({ id, masterId }): [string, string] => [nodeName(view, id), nodeName(view, masterId ?? '')]);
    throw nodeError('NO_REPLICA', name, message, {
      ...(unlinked.length === 0
        ? {}
        : { hint: `Without a link to its master: ${listNames(unlinked.map(([replica]) => replica))}` }),
      next: [
        ...(unlinked.length === 0
          ? [{ do: 'replicate' as const, node: name }]
          : unlinked.map(([target, node]) => ({ do: 'replicate' as const, node, target }))),
        { do: 'retry', options: { moveSlots: true } },
      ],
    });
  }
  const others = view.nodes.some(
    ({ id, role }) => role === 'master' && view.reports.has(id) && !leaving.has(id),
  );
  if (others || successors > 0) return;
  throw nodeError(
    'LAST_NODE',
    name,
    `Cannot drain ${listNames(names)}: there is no other master to have the slots`,
  );
}
