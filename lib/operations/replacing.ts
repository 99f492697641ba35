import { admit } from '../apply/admit.ts';
import { claimThenLook } from '../apply/look-claimed.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import type { NodeRecord } from '../model/node.ts';
import { followersOf, topMaster } from '../model/promotion.ts';
import { type ClusterView, nodeById, nodeName, slotsLeftTo } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { alreadyInCluster, askNewcomer, besideMember, type Newcomer } from '../nodes/newcomer.ts';
import { askInfo, numberOf } from '../nodes/node-info.ts';
import { inParallel } from '../nodes/parallel.ts';
import { requireFollowers } from '../nodes/require-promotable.ts';
import { requireMember, requireServing } from '../nodes/requirements.ts';
import { askShardMates } from '../nodes/shards.ts';
import type { OwnFunctions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import type { Replacement } from '../plan/replace.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { renewId, requireEmptyOrMember } from './joining.ts';
import { notEmptied, requireGone, requireNoMoveWith } from './removable.ts';
import type { Leaver, Pair } from './replace-pairs.ts';
import { forgetStaleEntries } from './stale-entries.ts';

/** What there is to replace, and the cluster that it was found in. */
export interface Replacing {
  readonly view: ClusterView;
  /** Those that are not done yet. */
  readonly replacements: readonly Replacement[];
}

/**
 * Looks at a cluster and at the servers that join it, and makes sure that each of them fits, before anything is changed. `functions` says
 * what happens to functions of theirs.
 */
export async function lookToReplace(
  context: Context,
  cluster: Address,
  pairs: readonly Pair[],
  functions: OwnFunctions,
): Promise<Replacing> {
  const { stayingSeed } = await import('./replace-pairs.ts');
  for (let tries = 0; ; tries++) {
    const seed = await stayingSeed(context, cluster, pairs);
    const found = await lookOnce(context, seed, pairs, functions);
    if (found !== 'renewed') return found;
    if (tries >= pairs.length) {
      const names = pairs.map(({ by }) => formatAddress(by)).join(', ');
      throw nodeError('NODES_DISAGREE', seed, `Some members still do not know ${names} after a reset`, {
        hint: 'Another operator or gossip introduced it again: wait a minute',
        resumable: 'same-call',
      });
    }
  }
}

/** `renewed` if a server was reset to join under a new id: look at everything again. */
async function lookOnce(
  context: Context,
  seed: Address,
  pairs: readonly Pair[],
  functions: OwnFunctions,
): Promise<Replacing | 'renewed'> {
  // Loaded only by this operation.
  const [{ findLeaver, requireDistinct }, { ownsAny }] = await Promise.all([
    import('./replace-pairs.ts'),
    import('../plan/replace.ts'),
  ]);
  const servers = pairs.map(({ by }) => by);
  const first = await claimThenLook(
    context,
    seed,
    () => look(context.connections, seed, context.signal),
    servers,
  );
  requireMember(first);
  const newcomers = await inParallel(pairs, ({ by }) =>
    besideMember(context, seed, by, () => askNewcomer(context, by)),
  );
  const leaversIn = (seen: ClusterView): Promise<(Leaver | undefined)[]> =>
    inParallel(pairs, (pair, index) => findLeaver(context, seen, pair, newcomers[index] as Newcomer));
  const atFirst = await leaversIn(first);
  requireDistinct(pairs, newcomers, atFirst);
  const byIds = new Set(newcomers.map(({ report }) => report.myself.id));
  const passing = new Set([...byIds, ...atFirst.flatMap((leaver) => (leaver ? [leaver.node.id] : []))]);
  const nudge = async (seen: ClusterView): Promise<void> => {
    for (const { report } of newcomers) await forgetStaleEntries(context, seen, report);
  };
  const settle = (): Promise<ClusterView> =>
    lookSettled(context, seed, passing, context.settings.dryRun ? undefined : nudge);
  let view = await settle();
  // A Valkey that was forgotten introduces itself again. Members that knew it a moment ago may not any more, and it is not dead for that.
  const leavers = await leaversIn(view);
  const left = pairs.flatMap((pair, index) => {
    const [newcomer, leaver] = [newcomers[index], leavers[index]];
    return newcomer && leaver ? [{ pair, newcomer, leaver }] : [];
  });
  for (const { leaver } of left) {
    if (leaver.isForgotten || view.reports.has(leaver.node.id)) continue;
    if (!context.settings.force) requireGone(view, leaver.node);
    await requireNoMoveWith(context, view, leaver.node);
    const slots = slotsLeftTo(view, leaver.node.id).length;
    if (slots > 0) throw notEmptied(view, leaver.node, slots);
  }
  const leaving = new Set(left.map(({ leaver }) => leaver.node.id));
  const unreachable = new Map([...view.unreachable].filter(([id]) => !leaving.has(id)));
  const names = left.map(({ leaver }) => nodeName(view, leaver.node.id)).join(', ');
  if (left.length > 0) requireServing({ ...view, unreachable }, `replace ${names}`);
  const replacements: Replacement[] = [];
  // Those last of which it has to be guessed whom they followed: the others say who has lost a replica.
  const isGuessed = ({ leaver: { node } }: (typeof left)[number]): boolean =>
    !view.reports.has(node.id) && node.role === 'master';
  for (const { pair, newcomer, leaver } of left.toSorted(
    (a, b) => Number(isGuessed(a)) - Number(isGuessed(b)),
  )) {
    const chosen = replacements.flatMap(({ master }) => master?.id ?? []);
    const all = { context, view, leaving, byIds, chosen, functions };
    replacements.push(await replacementFor(all, pair, newcomer, leaver));
  }
  for (const one of replacements) {
    if (!ownsAny(view, one.node)) continue;
    const staying = followersOf(view, one.node.id).filter(
      ({ id }) => view.reports.has(id) && !leaving.has(id) && id !== one.by.id,
    );
    await requireFollowers(context, view, staying, one.by);
  }
  let isRenewed = false;
  for (const { newcomer } of left) isRenewed = (await renewId(context, newcomer, view)) || isRenewed;
  if (isRenewed) return 'renewed';
  // A failover in the middle of a move may lose keys: see docs/moving-slots.md.
  const settled = await finishOpenSlots(context, view, passing);
  if (settled === view) return { view, replacements };
  view = settled;
  return {
    view,
    replacements: replacements.map((one) => ({ ...one, node: nodeById(view, one.node.id) ?? one.node })),
  };
}

interface Asked {
  readonly context: Context;
  readonly view: ClusterView;
  /** Ids of all nodes that leave. */
  readonly leaving: ReadonlySet<string>;
  /** Ids of all servers that take their places. */
  readonly byIds: ReadonlySet<string>;
  /** Ids of the masters that other servers are to copy. */
  readonly chosen: readonly string[];
  readonly functions: OwnFunctions;
}

/** Finds out what a pair needs. Rejects if the server cannot take the place of the node. */
async function replacementFor(
  { context, view, leaving, byIds, chosen, functions }: Asked,
  { by: address }: Pair,
  newcomer: Newcomer,
  { node: named, isForgotten }: Leaver,
): Promise<Replacement> {
  const { isMet, masterToCopy } = await import('../plan/replace.ts');
  const { myself } = newcomer.report;
  const isNew = requireEmptyOrMember(newcomer, view);
  const by: NodeRecord = { ...myself, address: { ...myself.address, ...address } };
  if (isForgotten) return { node: { ...named, slots: [] }, by, isSettled: true, isForgotten };
  const node = nodeById(view, named.id) ?? named;
  const isAlive = view.reports.has(node.id);
  const mates =
    isAlive || topMaster(view, node.id)?.id !== node.id ? [] : await askShardMates(context, view, node.id);
  const master = masterToCopy(view, node, by, mates, chosen);
  if (!isNew) requireBegun(view, newcomer, node, master);
  const isThere = master === undefined ? !isNew : master.id === by.id || myself.masterId === master.id;
  if (master && !isThere) await requireRoom(context, master, by);
  return {
    node,
    by,
    isSettled: !isNew && isMet(view, by.id, { leaving, byIds }),
    master,
    functions: isThere
      ? []
      : await admit(context, {
          node: nodeRef(by),
          masters: mastersOf(view),
          master: master && nodeRef(master),
          masterLeaves: master !== undefined && leaving.has(master.id),
          functions,
        }),
  };
}

/** Throws if a member cannot be one that an earlier run has introduced to replace this node. */
function requireBegun(
  view: ClusterView,
  newcomer: Newcomer,
  node: NodeRecord,
  master: NodeRecord | undefined,
): void {
  const { myself } = newcomer.report;
  if (myself.id === node.id)
    throw nodeError(
      'SAME_NODE',
      node.address,
      `Same node: ${formatAddress(node.address)} cannot replace itself`,
    );
  if (master?.id === myself.id) return;
  const isFree =
    myself.role === 'master'
      ? myself.slots.length === 0 && (master === undefined || followersOf(view, myself.id).length === 0)
      : master !== undefined && topMaster(view, myself.id)?.id === master.id;
  if (isFree) return;
  const other = myself.role === 'replica' && master ? topMaster(view, myself.id) : undefined;
  throw master && other ? isElsewhere(newcomer, other, master) : alreadyInCluster(newcomer);
}

// Between two runs, servers may move a replica to a master that has none (clusterHandleSlaveMigration).
function isElsewhere({ report }: Newcomer, other: NodeRecord, master: NodeRecord): Error {
  const [name, theirs] = [formatAddress(report.address), formatAddress(other.address)];
  return nodeError(
    'ALREADY_IN_CLUSTER',
    name,
    `Node ${name} is already in this cluster, as a replica of ${theirs}`,
    {
      hint: 'Name another node, unless an earlier run brought it and the servers moved it to a master without a replica',
      next: [
        { do: 'replicate', node: formatAddress(master.address), target: name, when: 'earlier-move' },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

/** Throws if the data of a master does not fit into a server, which evicts keys or refuses writes once it is a master. */
async function requireRoom(
  { connections, settings, emit }: Context,
  master: NodeRecord,
  by: NodeRecord,
): Promise<void> {
  const [own, theirs] = await inParallel([by, master], ({ address }) =>
    askInfo(connections, address, ['memory']),
  );
  const limit = own ? numberOf(own, 'maxmemory') : 0;
  const used = theirs ? numberOf(theirs, 'used_memory') - numberOf(theirs, 'mem_not_counted_for_evict') : 0;
  if (limit === 0 || used <= limit) return;
  const [node, name] = [formatAddress(by.address), formatAddress(master.address)];
  const message = `Not enough memory on ${node}: ${name} has ${formatBytes(used)} in use, and maxmemory of ${node} is ${formatBytes(limit)}`;
  if (settings.force) {
    emit({ type: 'warning', node, message });
    return;
  }
  throw nodeError('NO_MEMORY', node, message, {
    hint: 'Nothing was changed. Raise maxmemory there',
    next: [
      { do: 'configure', node, settings: ['maxmemory'] },
      { do: 'retry', options: { force: true }, when: 'anyway' },
    ],
  });
}
