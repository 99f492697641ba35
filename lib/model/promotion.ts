import { isServing } from './condition.ts';
import { type NodeRecord, slotsOf } from './node.ts';
import { type ClusterView, type NodeReport, nodeById, recordSeenBy, slotOwners } from './view.ts';

/** Why a replica has nothing to take over from the node that it follows. */
export type PromotionBar =
  /** The node that it follows is itself a replica; `top` is the master at the end of the chain. */
  | { readonly kind: 'replica-of-replica'; readonly top?: NodeRecord }
  /** No member gives that master a slot that no other owns by a higher config epoch: servers elect no replica of it. */
  | { readonly kind: 'no-slots' };

/**
 * The id of the node that a node follows: null for a master, undefined if no member knows the node. Its own report counts; of a
 * node that does not answer, what most members report that do not follow it: a replica that was cut off knows what was before.
 */
export function followedBy(view: ClusterView, id: string): string | null | undefined {
  const own = view.reports.get(id)?.myself;
  if (own) return own.role === 'master' ? null : own.masterId;
  const said = new Map<string | null, number>();
  for (const { myself, records } of view.reports.values()) {
    if (myself.masterId === id) continue;
    const record = records.find((one) => one.id === id);
    if (!record) continue;
    const master = record.role === 'master' ? null : record.masterId;
    said.set(master, (said.get(master) ?? 0) + 1);
  }
  const [most] = [...said].sort(([, a], [, b]) => b - a);
  if (most) return most[0];
  const known = nodeById(view, id);
  return known && (known.role === 'master' ? null : known.masterId);
}

/** The master at the end of the chain of nodes that a node follows: itself, if it is one. Undefined if the chain does not end. */
export function topMaster(view: ClusterView, id: string): NodeRecord | undefined {
  const top = endOfChain(id, (at) => followedBy(view, at));
  return top === undefined ? undefined : nodeById(view, top);
}

/** The id at the end of a chain: `next` gives the id that one follows, null for none, undefined if that is not known. */
export function endOfChain(id: string, next: (id: string) => string | null | undefined): string | undefined {
  const seen = new Set<string>();
  for (let at = id; !seen.has(at); ) {
    seen.add(at);
    const followed = next(at);
    if (followed === null) return at;
    if (followed === undefined) return undefined;
    at = followed;
  }
  return undefined;
}

/**
 * The replica that a node follows, as that one reports itself; undefined if it follows a master, or a node that does not answer. Such a node
 * is no copy to count on: nobody elects it (clusterHandleSlaveFailover), and it sends every client away (getNodeByQuery).
 */
export function replicaFollowed(
  view: ClusterView,
  { masterId }: Pick<NodeRecord, 'masterId'>,
): NodeRecord | undefined {
  const followed = view.reports.get(masterId ?? '')?.myself;
  return followed?.role === 'replica' ? followed : undefined;
}

/** Replicas that answer and follow a replica, each with the master at the end of its chain. Those whose master does not answer are left out. */
export function chainedReplicas(
  view: ClusterView,
): { readonly replica: NodeRecord; readonly followed: NodeRecord; readonly master: NodeRecord }[] {
  return view.nodes.flatMap((replica) => {
    const followed = view.reports.has(replica.id) ? replicaFollowed(view, replica) : undefined;
    const master = followed && topMaster(view, followed.id);
    return followed && master && view.reports.has(master.id) ? [{ replica, followed, master }] : [];
  });
}

/** What stands against promoting a replica of this master, whatever the way. */
export function promotionBar(view: ClusterView, masterId: string): PromotionBar | undefined {
  if (followedBy(view, masterId) !== null) {
    const top = topMaster(view, masterId);
    return { kind: 'replica-of-replica', ...(top ? { top } : {}) };
  }
  return slotOwners(view).includes(masterId) ? undefined : { kind: 'no-slots' };
}

/**
 * Slots that a replica would take with its master's if it were promoted, and that a node serves which owns them by now: by the id of that
 * node. The replica takes those that its master has in its own view (clusterFailoverReplaceYourMaster), which may be of the time before a
 * failover. Whoever wins then, writes to the other are lost.
 */
export function slotsOfOthers(view: ClusterView, replicaId: string, masterId: string): Map<string, number[]> {
  const seen = recordSeenBy(view, replicaId, masterId);
  const owners = slotOwners(view);
  const taken = new Map<string, number[]>();
  for (const slot of seen ? slotsOf(seen) : []) {
    const owner = owners[slot];
    if (owner === undefined || owner === masterId || owner === replicaId || !isServing(view, owner)) continue;
    const own = taken.get(owner);
    if (own) own.push(slot);
    else taken.set(owner, [slot]);
  }
  return taken;
}

/** Nodes that follow this one: by their own report or, of those that do not answer, by that of others. */
export function followersOf(view: ClusterView, id: string): NodeRecord[] {
  return view.nodes.filter((node) => node.id !== id && followedBy(view, node.id) === id);
}

/** The same at any depth: nodes whose chain ends at this one. */
export function followersBelow(view: ClusterView, id: string): NodeRecord[] {
  return view.nodes.filter((node) => node.id !== id && topMaster(view, node.id)?.id === id);
}

/**
 * What speaks against a promotion that the replica itself reports: an election may be taken back a moment later, when others know a
 * newer owner of the slots. `former` is the master that it replaces, if that answers; `hasSlots`, whether the replica reports any as its
 * own now: after the takeover from a master without slots it does not.
 */
export function deniedPromotion(
  replicaId: string,
  { former, hasSlots }: { readonly former: NodeReport | undefined; readonly hasSlots: boolean },
  others: readonly NodeReport[],
): NodeReport[] {
  const steppedDown = !former || followsIn(former, former.myself.id, replicaId);
  return [
    ...(former && !steppedDown ? [former] : []),
    ...others.filter(({ records }) => {
      const record = records.find(({ id }) => id === replicaId);
      return record !== undefined && (record.role !== 'master' || (hasSlots && record.slots.length === 0));
    }),
  ];
}

function followsIn({ records }: NodeReport, id: string, masterId: string): boolean {
  const record = records.find((one) => one.id === id);
  return record?.role === 'replica' && record.masterId === masterId;
}

/** How far a replica is, as it reports it. */
export interface ReplicaProgress {
  readonly id: string;
  readonly keys: number;
  readonly offset: number;
  /** Identifies the stream that the offset counts. */
  readonly replicationId: string;
  /** True if it has had a link to its master since it became a replica or was started. */
  readonly wasLinked: boolean;
}

/**
 * What a replica that replaces a master without its consent would lose: `empty` if it never copied it, or another replica of the
 * same stream that has received more.
 */
export function promotionLoss(
  replica: ReplicaProgress,
  siblings: readonly ReplicaProgress[],
): 'empty' | { readonly ahead: ReplicaProgress; readonly bytes: number } | undefined {
  const isEmpty = ({ wasLinked, keys }: ReplicaProgress): boolean => !wasLinked && keys === 0;
  const full = siblings.filter((one) => !isEmpty(one));
  const offsets = (one: ReplicaProgress, other: ReplicaProgress): number => other.offset - one.offset;
  if (isEmpty(replica)) {
    const [fuller] = full.toSorted((one, other) => other.keys - one.keys || offsets(one, other));
    // The one of its stream that has received most: else it would be the next to be refused.
    const [ahead] = full.filter((one) => one.replicationId === fuller?.replicationId).sort(offsets);
    return ahead ? { ahead, bytes: Math.max(0, offsets(replica, ahead)) } : 'empty';
  }
  const [ahead] = full.filter(({ replicationId }) => replicationId === replica.replicationId).sort(offsets);
  return ahead && ahead.offset > replica.offset ? { ahead, bytes: offsets(replica, ahead) } : undefined;
}

/** What was seen of a graceful failover that was asked for a while ago, while its master accepts no writes. */
export interface Attempt {
  /** Bytes of the replication stream that the replica has applied. */
  readonly applied: number;
  /** Bytes that its master has written, asked after that. */
  readonly written: number;
  /** They count one stream. Not so once the master was started again, until the replica has copied it. */
  readonly isOneStream: boolean;
  /** The current epoch of the replica when it was asked, and now: it takes a new one for its election. */
  readonly epochs: readonly [before: number, now: number];
}

/**
 * Why the failover has not happened; undefined if that cannot be told: the request may not have reached the master. A replica begins its
 * election once it has applied exactly what its master has written (clusterHandleManualFailover). `ahead` of it, it never does.
 */
export function attemptLacks({
  applied,
  written,
  isOneStream,
  epochs: [before, now],
}: Attempt): 'behind' | 'ahead' | 'votes' | undefined {
  if (applied > written) return isOneStream ? 'ahead' : undefined;
  if (applied < written) return 'behind';
  return now > before ? 'votes' : undefined;
}
