import { wordsOnCondition } from '../findings/condition-words.ts';
import { listNames } from '../findings/finding.ts';
import { type AddressLike, formatAddress, parseAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { followersOf, topMaster } from '../model/promotion.ts';
import { nodeName } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { isElectionBarred } from '../nodes/election-bar.ts';
import { alreadyInCluster, requireNoKeys } from '../nodes/newcomer.ts';
import { hasCopied } from '../nodes/replication.ts';
import type { NewcomerOptions, OwnFunctions } from '../options.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import { answeringMembers, type Joining, lookForJoin, membersAndNewcomer } from './joining.ts';

/**
 * Adds a node to a cluster as a replica of a master. If the master named is a replica, its master is used. The node may
 * already be a member: a master without slots or replicas, or a replica, which then follows this master instead of its own, or
 * asks it again where it is now. Does nothing if it follows this master already and has copied it. Resolves when every node knows
 * the replica and it has copied its master.
 * Before anything is changed, rejects with a ClusterError if the node is not fresh or the cluster is not healthy.
 */
export function replicate(
  master: ClusterLike,
  replica: AddressLike,
  options: NewcomerOptions = {},
): Promise<OperationResult> {
  return withContext(master, options, (context) =>
    addReplica(context, master, replica, masterAt, { mayMove: true, functions: options.functions }),
  );
}

function masterAt({ view }: Joining): NodeRecord {
  const record = topMaster(view, view.seedId);
  if (record) return record;
  const name = formatAddress(view.seed);
  throw nodeError('NODE_UNREACHABLE', name, `The master of ${name} is not known to the cluster`);
}

/**
 * The same in a context; `choose` says which master it is to copy, once the cluster is claimed. With `mayMove`, the node may be a
 * replica of another. With `mayBeDone`, it may be a replica of this one that has copied it; else that is refused.
 */
export async function addReplica(
  context: Context,
  cluster: ClusterLike,
  replica: AddressLike,
  choose: (joining: Joining) => NodeRecord | Promise<NodeRecord>,
  {
    mayMove = false,
    mayBeDone = mayMove,
    functions,
  }: {
    readonly mayMove?: boolean;
    readonly mayBeDone?: boolean;
    readonly functions?: OwnFunctions | undefined;
  } = {},
): Promise<OperationResult> {
  const joining = await lookForJoin(context, cluster, replica, { choose, functions });
  const { view, node, newcomer, isNew, isSettled } = joining;
  const record = joining.master ?? (await choose(joining));
  const { myself } = newcomer.report;
  if (record.id === myself.id) throw isItsMaster(joining);
  const isReplica = myself.role === 'replica' && myself.masterId === record.id;
  const members = answeringMembers(joining);
  const expect = { members, replicas: [{ id: node.id, masterId: record.id }] };
  // A node that an interrupted run made a replica may still be copying: then wait for that.
  const isDone =
    isSettled &&
    isReplica &&
    !(await isElectionBarred(context, node)) &&
    (await hasCopied(context, view, { ...myself, address: newcomer.report.address }, record));
  if (isDone && mayBeDone)
    return carryOut(context, membersAndNewcomer(joining), {
      operation: 'replicate',
      masters: mastersOf(view),
      steps: [],
      expect,
    });
  if (!isNew && !mayMove && (isDone || (myself.role === 'replica' && !isReplica)))
    throw alreadyInCluster(newcomer);
  if (!isNew && myself.slots.length > 0)
    throw alreadyInCluster(newcomer, 'It has slots: only an empty master can become a replica');
  if (!isNew && !isReplica && followersOf(view, myself.id).length > 0) throw hasFollowers(joining, record);
  if (!isReplica && myself.role === 'replica') warnOfLastCopy(context, joining, record);
  if (myself.role === 'master') requireNoKeys(newcomer);
  return carryOut(context, membersAndNewcomer(joining), {
    operation: 'replicate',
    masters: mastersOf(view),
    steps: [
      ...(isSettled
        ? []
        : [{ type: 'meet' as const, nodes: [node], to: members.slice(0, -1), serving: true }]),
      {
        type: 'replicate',
        replica: { ...node, address: formatAddress(parseAddress(replica)) },
        master: nodeRef(record),
      },
    ],
    expect,
  });
}

function isItsMaster({ view, node }: Joining): Error {
  const name = nodeName(view, view.seedId);
  return nodeError('SAME_NODE', node.address, `${node.address} cannot follow ${name}: it is its master`, {
    next: [{ do: 'failover', node: name }],
  });
}

// A replica of a replica asks on, for what may be another data set by then.
function hasFollowers({ view, node }: Joining, wanted: NodeRecord): Error {
  const followers = followersOf(view, node.id);
  const own = topMaster(view, node.id);
  // Of a master without slots they copy nothing.
  const master = own && own.slots.length > 0 ? own : wanted;
  const message = `${node.address} still has replicas of its own: ${listNames(followers.map(({ id }) => nodeName(view, id)))}`;
  const moving = followers.flatMap(({ id }): readonly Next[] =>
    view.reports.has(id)
      ? [{ do: 'replicate', node: nodeName(view, master.id), target: nodeName(view, id) }]
      : (wordsOnCondition(view, id).next ?? []),
  );
  return nodeError('HAS_REPLICAS', node.address, message, {
    next: [...moving, { do: 'retry', when: 'after-that' }],
  });
}

/** Its copy of the master that it leaves is given up: that is said if it is the only one. */
function warnOfLastCopy({ emit }: Context, { view, node, newcomer }: Joining, to: NodeRecord): void {
  const former = topMaster(view, newcomer.report.myself.id);
  if (!former || former.id === to.id || former.slots.length === 0) return;
  const others = view.nodes.filter(
    ({ id }) => id !== node.id && view.reports.has(id) && topMaster(view, id)?.id === former.id,
  );
  if (others.some(({ role }) => role === 'replica')) return;
  const name = nodeName(view, former.id);
  emit({ type: 'warning', node: name, message: `${name} is left without a replica` });
}
