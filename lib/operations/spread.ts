import { endChains } from '../apply/end-chains.ts';
import { lookClaimed } from '../apply/look-claimed.ts';
import { invalidArgument } from '../errors.ts';
import type { Address } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { MIN_REPLICAS } from '../model/refused-writes.ts';
import { type ClusterView, nodeById, nodeName } from '../model/view.ts';
import { zonesById } from '../model/zones.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { isElectionBarred, liftElectionBar } from '../nodes/election-bar.ts';
import { hindrancesOf } from '../nodes/followers.ts';
import { lookWithReplication } from '../nodes/inspect.ts';
import { inParallel } from '../nodes/parallel.ts';
import { hasMasterLink, LINK_MS } from '../nodes/replication.ts';
import { followersAfter, requireFollowers, requireTakeable } from '../nodes/require-promotable.ts';
import { requireMember, requireServing } from '../nodes/requirements.ts';
import { mayNotFollow, readServerName } from '../nodes/server.ts';
import { DONE, growingPause, notReached, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import { type Draft, nodeRef, type StepOf } from '../plan/plan.ts';
import type { MastersAt, SpreadRequest } from '../plan/spread.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';

export interface SpreadOptions extends OperationOptions {
  /** Zones by node, named by address, host, host name, or a prefix of its id. @default what the servers say (Valkey 8.1) */
  readonly zones?: Readonly<Record<string, string>>;
  /** Bring every master to this zone, and leave the replicas where they are. @default masters are spread over all hosts and zones */
  readonly toZone?: string;
}

/** What a spread did or, after a dry run, would do. */
export interface SpreadResult extends OperationResult {
  readonly failovers: number;
  /** Replicas that were given another master. */
  readonly moved: number;
  /** Hosts first. */
  readonly masters: readonly MastersAt[];
}

/**
 * Spreads masters evenly over hosts and zones by as few failovers as possible, so that the masters on one of them are never most of all
 * if that can be had; then takes replicas away from the hosts and zones of their masters, and from masters that have two more than
 * another, by giving them another master. Only replicas that are in sync are used, and every master keeps one in the meantime, or as many as
 * it must have to take writes (`min-replicas-to-write`). Resolves
 * when all nodes agree and have copied their masters. With `toZone`, brings all masters to one zone, as for a planned switch of site.
 * Before anything is changed, rejects with ClusterError `NO_REPLICA` if a master has no replica in that zone that is in sync, or a node
 * could not follow its new master; with `SLOTS_UNCOVERED`, `NODE_UNREACHABLE` or `INVALID_ARGUMENT`. The same call finishes an
 * interrupted run.
 */
export function spread(cluster: ClusterLike, options: SpreadOptions = {}): Promise<SpreadResult> {
  return withContext(cluster, options, async (context) => {
    const seed = seedOf(cluster);
    const claimed = await lookClaimed(context, seed);
    requireMember(claimed);
    requireServing(claimed, 'spread its masters');
    // A failover in the middle of a move may lose keys: see docs/moving-slots.md.
    await endChains(context, await finishOpenSlots(context, claimed));
    const planned = await planInSync(context, seed, options);
    const { view, draft, request } = planned;
    const { mastersByPlace, zoneRefusal } = await import('../plan/spread.ts');
    const refusal = zoneRefusal(view, planned.details, request);
    if (refusal) {
      const { address, message, ...advice } = refusal;
      throw nodeError('NO_REPLICA', address, message, advice);
    }
    await requireFit(context, planned);
    const result = await carryOut(context, view.nodes, draft);
    if (result.applied) await awaitCopies(context, planned);
    const { steps } = result.plan;
    return {
      ...result,
      failovers: steps.filter(({ type }) => type === 'failover').length,
      moved: steps.filter(({ type }) => type === 'replicate').length,
      masters: mastersByPlace(view, request, steps),
    };
  });
}

interface Planned {
  readonly view: ClusterView;
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
  readonly request: SpreadRequest;
  readonly draft: Draft;
}

/** Waits for replicas that are not in sync if they would change the plan: those that copy, and those that look for their master. */
async function planInSync(
  context: Context,
  seed: Address,
  { zones: given = {}, toZone }: SpreadOptions,
): Promise<Planned> {
  const { connections, settings, signal, emit } = context;
  const wait: Wait = { what: 'replicas to be in sync', pauseMs: growingPause(100, 500), signal, emit };
  // Loaded only by this operation.
  const { followingReplicas, planSpread } = await import('../plan/spread.ts');
  const started = performance.now();
  /** Those that a run before this has barred: a Redis 6.0 still shows their flag for a moment after it was lifted. */
  const isOwn = new Set<string>();
  return waitUntil<Planned>(wait, async () => {
    const { view, details, settings: required } = await lookWithReplication(connections, seed, signal);
    const zones = zonesById(view.nodes, given, details);
    if (toZone !== undefined && ![...zones.values()].includes(toZone))
      throw invalidArgument(`No node of the cluster is known to be in zone "${toZone}"`);
    const { living, late } = followingReplicas(view, details);
    const behind = new Set(late.map(({ id }) => id));
    // One that was moved by a run that was cut short may take over again once it has copied its master.
    const barred = living.filter(({ flags }) => flags.includes('nofailover'));
    const marks = await inParallel(barred, (one) => isElectionBarred(context, nodeRef(one)));
    const moved = barred.filter((_, index) => marks[index]);
    for (const { id } of moved) isOwn.add(id);
    const isHeld = moved.some(({ id }) => behind.has(id));
    if (!settings.dryRun) {
      const lifted = await inParallel(
        moved.filter(({ id }) => !behind.has(id)),
        (one) => liftElectionBar(context, nodeRef(one)),
      );
      if (lifted.length > 0) return 'again';
    }
    const mayLead = living.filter(
      ({ id, flags }) => toZone !== undefined || isOwn.has(id) || !flags.includes('nofailover'),
    );
    const ready = new Set(mayLead.filter(({ id }) => !behind.has(id)).map(({ id }) => id));
    // With fewer than this, a master refuses every write.
    const needed = [...required.values()].map((of) => Number(of.get(MIN_REPLICAS) ?? 0));
    const request = { zones, ready, toZone, keep: Math.max(1, ...needed), keepReplicas: isMixed(details) };
    const planned = { view, details, request, draft: planSpread(view, request) };
    const hoped = planSpread(view, { ...request, ready: new Set(mayLead.map(({ id }) => id)) });
    const isSame = JSON.stringify(hoped.steps) === JSON.stringify(planned.draft.steps);
    if (isSame && !isHeld) return { done: planned };
    const timeoutMs = isHeld || late.some(({ isCopying }) => isCopying) ? settings.agreeTimeout : LINK_MS;
    const missing = late.map(({ text }) => text);
    if (!settings.dryRun && performance.now() - started < timeoutMs) return { missing };
    for (const { id, text } of late)
      emit({ type: 'warning', node: nodeName(view, id), message: `${text}: it is not used` });
    return { done: planned };
  });
}

/** True if some node may be unable to copy another: then none is made to. */
function isMixed(details: Planned['details']): boolean {
  const names = new Set([...details.values()].flatMap((own) => (own instanceof Error ? [] : [own.version])));
  const servers = [...names].flatMap((name) => readServerName(name) ?? []);
  return servers.some((one) => servers.some((other) => mayNotFollow(one, other)));
}

/** Rejects if a node could not follow the master that it would get. */
async function requireFit(context: Context, { view, draft }: Planned): Promise<void> {
  const nodeOf = ({ id }: { readonly id: string }): NodeRecord => nodeById(view, id) as NodeRecord;
  for (const step of draft.steps) {
    if (step.type !== 'failover') continue;
    const [replica, master] = [nodeOf(step.replica), nodeOf(step.master)];
    requireTakeable(view, replica, master, step.mode);
    await requireFollowers(context, view, followersAfter(view, replica, master), replica);
  }
  const moves = draft.steps.filter((step): step is StepOf<'replicate'> => step.type === 'replicate');
  const found = await inParallel(moves, (step) =>
    hindrancesOf(context, view, [nodeOf(step.replica)], nodeOf(step.master)),
  );
  const hindrances = found.flat();
  const [first] = hindrances;
  if (!first) return;
  const says = hindrances.map((one) => `${one.node} ${one.says}`).join('; ');
  throw nodeError('NO_REPLICA', first.node, `Cannot give replicas other masters: ${says}`, {
    hint: 'Nothing was changed',
    next: [...hindrances.flatMap((one) => one.next), { do: 'retry', when: 'repaired' }],
  });
}

/** Waits until the nodes that have another master have copied it: then the next change may begin, or the way back. */
async function awaitCopies(context: Context, { view, draft, request }: Planned): Promise<void> {
  const { settings, signal, emit } = context;
  const wasMaster = new Set(view.nodes.flatMap(({ id, role }) => (role === 'master' ? [id] : [])));
  const waiting = new Set(
    (draft.expect?.replicas ?? []).flatMap(({ id }) =>
      request.ready.has(id) || wasMaster.has(id) ? [nodeById(view, id) as NodeRecord] : [],
    ),
  );
  const wait: Wait = {
    what: 'replicas to copy their new masters',
    timeoutMs: settings.agreeTimeout,
    pauseMs: growingPause(20, 200),
    signal,
    emit,
  };
  await waitUntil(wait, async () => {
    await inParallel([...waiting], async (node) => {
      if (await hasMasterLink(context, node.address).catch(() => false)) waiting.delete(node);
    });
    if (waiting.size === 0) return DONE;
    const missing = [...waiting].map(({ id }) => `${nodeName(view, id)} has not copied its master yet`);
    const [first] = waiting;
    return {
      missing,
      giveUp: (elapsedMs) =>
        notReached(wait.what, elapsedMs, missing, {
          address: nodeName(view, first?.id ?? ''),
          next: [{ do: 'check', cluster: nodeName(view, view.seedId) }],
        }),
    };
  });
}
