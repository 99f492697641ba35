import { formatAddress } from '../model/address.ts';
import { isServing } from '../model/condition.ts';
import { bytesBehind, type NodeDetails } from '../model/details.ts';
import type { Advice } from '../model/next.ts';
import { hasLink, type NodeRecord } from '../model/node.ts';
import { endOfChain } from '../model/promotion.ts';
import { formatSlots, type SlotRange, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeName, openSlotsOf, recordSeenBy, slotOwners } from '../model/view.ts';
import { wordsOnCondition } from './condition-words.ts';
import { listNames } from './finding.ts';
import { describeUncovered, disagreements } from './findings.ts';
import { outOfSync } from './out-of-sync.ts';
import { type Replication, refusedOnceStopped } from './stopped-replicas.ts';

/** Why nodes may not stop. */
export interface StopReason extends Advice {
  /** Stable: match on this, not on the message. */
  readonly kind:
    | 'no-copy'
    | 'no-majority'
    | 'writes-refused'
    | 'slots-uncovered'
    | 'slot-open'
    | 'nodes-disagree'
    | 'state-fail';
  readonly message: string;
  /** Addresses, or node ids if the address is unknown. */
  readonly nodes: readonly string[];
  readonly slots?: readonly SlotRange[];
}

/** What becomes of a node's part in the cluster when it stops. */
export interface StoppingNode {
  readonly id: string;
  readonly address: string;
  readonly role: 'master' | 'replica';
  /** Slots that it owns. */
  readonly slots: readonly SlotRange[];
  /** Of a master with slots: the replica most likely to take over, and how many bytes it is behind. Absent if none can. */
  readonly successor?: { readonly id: string; readonly address: string; readonly behind: number };
  /** Of a replica: how many others its master keeps that could take over. */
  readonly others?: number;
}

/** Masters with slots: they alone vote, and a majority of all of them must agree to a failover. */
export interface Voters {
  readonly all: number;
  readonly staying: number;
  readonly needed: number;
}

/** Whether some nodes may stop together. */
export interface StopVerdict {
  readonly ok: boolean;
  readonly nodes: readonly StoppingNode[];
  readonly voters: Voters;
  readonly reasons: readonly StopReason[];
}

/** Judges whether nodes, given by their ids, may stop together. */
export type StopJudge = (ids: ReadonlySet<string>) => StopVerdict;

type Details = ReadonlyMap<string, NodeDetails | Error>;

/**
 * Returns a judge for one view: with some nodes gone, every slot must be served, or have a replica that is in sync and that a
 * majority of all masters would elect, and no master may refuse writes for want of those that stop. What counts is what those say that
 * stay: each voter about the replica and its master, and the replica about each voter. Pure.
 */
export function stopJudge(
  view: ClusterView,
  details: Details,
  settings: Replication['settings'] = new Map(),
): StopJudge {
  const owners = slotOwners(view);
  const slotsOf = new Map<string | undefined, number[]>();
  for (const [slot, owner] of owners.entries()) {
    const slots = slotsOf.get(owner);
    if (slots) slots.push(slot);
    else slotsOf.set(owner, [slot]);
  }
  const unowned = slotsOf.get(undefined) ?? [];
  slotsOf.delete(undefined);
  const owned = new Map(
    [...slotsOf].map(([id, slots]) => [id, { ranges: toRanges(slots), text: formatSlots(slots) }]),
  );
  const voters = [...slotsOf.keys()].flatMap((id) => (id === undefined ? [] : [id]));
  const needed = Math.floor(voters.length / 2) + 1;
  const differences = disagreements(view, undefined, openSlotsOf(view));
  const shards = replicasByTop(view);
  const topOf = new Map([...shards].flatMap(([top, own]) => own.map(({ id }) => [id, top] as const)));
  const byName = new Map(view.nodes.map(({ id }) => [nodeName(view, id), id]));
  const nameOf = (id: string): string => nodeName(view, id);

  const serves = new Map<string, boolean>();
  const isUp = (id: string): boolean => {
    const known = serves.get(id) ?? (isServing(view, id) && !isLoading(details.get(id)));
    serves.set(id, known);
    return known;
  };

  return (ids) => {
    // A master that others do not reach on the cluster bus does not vote with them, even if it answers here.
    const up = voters.filter((id) => !ids.has(id) && isUp(id));
    const staying = up.filter((id) => isReachedByMost(view, id, up));
    const candidates = new Map<string, Candidate[]>();
    const candidatesOf = (masterId: string): Candidate[] => {
      const known =
        candidates.get(masterId) ??
        candidatesFor(view, details, masterId, {
          ids,
          staying,
          needed,
          replicas: shards.get(masterId) ?? [],
        });
      candidates.set(masterId, known);
      return known;
    };
    const reasons: StopReason[] = [];

    if (staying.length < needed) {
      const stopped = voters.filter((id) => ids.has(id));
      const silent = voters.filter((id) => !ids.has(id) && !staying.includes(id));
      reasons.push({
        kind: 'no-majority',
        message: `${staying.length} of ${voters.length} masters would be left to vote, and a failover takes ${needed}${silent.length > 0 ? `: ${listNames(silent.map(nameOf))} cannot vote now` : ''}`,
        nodes: [...stopped, ...silent].map(nameOf),
      });
    }
    for (const owner of voters) {
      const successor = ids.has(owner)
        ? candidatesOf(owner).find(({ why }) => why === undefined)?.id
        : undefined;
      const refused = refusedOnceStopped({ view, details, settings }, ids, owner, successor);
      if (refused)
        reasons.push({
          kind: 'writes-refused',
          message: refused.message,
          nodes: [refused.master],
          next: refused.next,
        });
      if (staying.includes(owner)) continue;
      const own = candidatesOf(owner);
      if (own.some(({ why }) => why === undefined)) continue;
      const gone = ids.has(owner) ? 'would stop' : sayNotServing(view, details, owner);
      const why =
        own.length === 0
          ? 'it has no replica that stays'
          : own.map(({ id, why: text }) => `${nameOf(id)} ${text}`).join('; ');
      reasons.push({
        kind: 'no-copy',
        message: `Slots ${owned.get(owner)?.text} would have no copy that can take over: their master ${nameOf(owner)} ${gone}, and ${why}`,
        nodes: [nameOf(owner), ...own.map(({ id }) => nameOf(id))],
        slots: owned.get(owner)?.ranges ?? [],
      });
    }
    if (unowned.length > 0)
      reasons.push({
        kind: 'slots-uncovered',
        message: describeUncovered(unowned),
        nodes: [],
        slots: toRanges(unowned),
      });
    reasons.push(...openReasons(view, ids));
    for (const { message, nodes } of differences) {
      const [speaker = '', ...unknown] = nodes.map((name) => byName.get(name) ?? name);
      // Whoever stops need not agree, nor be known.
      if (ids.has(speaker) || (unknown.length > 0 && unknown.every((id) => ids.has(id)))) continue;
      reasons.push({ kind: 'nodes-disagree', message, nodes });
    }
    const failing = voters.filter((id) => !ids.has(id) && view.reports.get(id)?.info.state === 'fail');
    if (failing.length > 0) {
      const names = failing.map(nameOf);
      const does = names.length === 1 ? 'reports' : 'report';
      reasons.push({
        kind: 'state-fail',
        message: `${listNames(names)} ${does} cluster_state:fail`,
        nodes: names,
      });
    }
    return {
      ok: reasons.length === 0,
      nodes: view.nodes
        .filter(({ id }) => ids.has(id))
        .map((node) => {
          const { role, id, masterId } = node;
          const able = candidatesOf(role === 'replica' ? (topOf.get(id) ?? masterId ?? '') : id);
          return stoppingNode(view, node, owned.get(id)?.ranges ?? [], able);
        }),
      voters: { all: voters.length, staying: staying.length, needed },
      reasons,
    };
  };
}

/**
 * Shares out nodes to groups, each of which may stop together as the cluster is now. Takes them in order, each into the first group
 * that it fits; those that may not stop at all are left out.
 */
export function stopTogether(judge: StopJudge, targets: readonly ReadonlySet<string>[]): number[][] {
  const groups: { readonly members: number[]; readonly ids: Set<string> }[] = [];
  for (const [index, target] of targets.entries()) {
    if (!judge(target).ok) continue;
    const group = groups.find(({ ids }) => judge(new Set([...ids, ...target])).ok);
    if (group) {
      group.members.push(index);
      for (const id of target) group.ids.add(id);
    } else groups.push({ members: [index], ids: new Set(target) });
  }
  return groups.map(({ members }) => members);
}

interface Candidate {
  readonly id: string;
  readonly behind: number;
  /** What keeps it from taking over, as the rest of a sentence; undefined if nothing does. */
  readonly why: string | undefined;
}

interface Remaining {
  readonly ids: ReadonlySet<string>;
  readonly staying: readonly string[];
  readonly needed: number;
  /** Of the master, also those that follow it by a chain. */
  readonly replicas: readonly NodeRecord[];
}

/** Replicas by the id of the master at the end of their chain. */
function replicasByTop({ nodes }: ClusterView): Map<string, NodeRecord[]> {
  const followed = new Map(nodes.map(({ id, role, masterId }) => [id, role === 'master' ? null : masterId]));
  const byTop = new Map<string, NodeRecord[]>();
  for (const node of nodes) {
    const top = node.role === 'replica' ? endOfChain(node.id, (id) => followed.get(id)) : undefined;
    if (top === undefined) continue;
    const own = byTop.get(top);
    if (own) own.push(node);
    else byTop.set(top, [node]);
  }
  return byTop;
}

/** Replicas of a master that stay, each with what keeps it from taking over, the best first. */
function candidatesFor(
  view: ClusterView,
  details: Details,
  masterId: string,
  remaining: Remaining,
): Candidate[] {
  const master = details.get(masterId);
  return remaining.replicas
    .filter(({ id }) => !remaining.ids.has(id))
    .map((replica) => {
      const behind = bytesBehind(details.get(replica.id), master) ?? 0;
      return { id: replica.id, behind, why: whyNot(view, replica, masterId, details, remaining) };
    })
    .sort((a, b) => Number(a.why !== undefined) - Number(b.why !== undefined) || a.behind - b.behind);
}

function whyNot(
  view: ClusterView,
  replica: NodeRecord,
  masterId: string,
  details: Details,
  { staying, needed }: Omit<Remaining, 'replicas'>,
): string | undefined {
  const report = view.reports.get(replica.id);
  if (!report) return wordsOnCondition(view, replica.id).says;
  const lacks = outOfSync(view, details, replica);
  if (lacks !== undefined) return lacks;
  // cluster-replica-no-failover: it never asks for votes (clusterHandleSlaveFailover).
  if (report.myself.flags.includes('nofailover')) return 'is configured not to take over';
  const votes = staying.filter((voter) => votesFor(view, voter, replica.id, masterId)).length;
  return votes < needed ? `would get ${votes} of the ${needed} votes that it takes` : undefined;
}

// A master votes for a node that it knows as a replica of a master with slots (clusterSendFailoverAuthIfNeeded). The request and the
// vote take the links of the cluster bus in both directions.
function votesFor(view: ClusterView, voter: string, replica: string, masterId: string): boolean {
  const there = recordSeenBy(view, replica, voter);
  if (!there || !hasLink(there)) return false;
  // A voter that does not answer here is one that most masters have a link to.
  if (!view.reports.has(voter)) return true;
  const here = recordSeenBy(view, voter, replica);
  const master = recordSeenBy(view, voter, masterId);
  return (
    here !== undefined &&
    hasLink(here) &&
    here.role === 'replica' &&
    here.masterId === masterId &&
    (master?.slots.length ?? 0) > 0
  );
}

function isReachedByMost(view: ClusterView, id: string, up: readonly string[]): boolean {
  const others = up.filter((other) => other !== id && view.reports.has(other));
  const linked = others.filter((other) => {
    const record = recordSeenBy(view, other, id);
    return record !== undefined && hasLink(record);
  });
  return 2 * linked.length >= others.length;
}

function isLoading(own: NodeDetails | Error | undefined): boolean {
  return own !== undefined && !(own instanceof Error) && own.loading !== undefined;
}

function sayNotServing(view: ClusterView, details: Details, id: string): string {
  return isLoading(details.get(id)) ? 'is loading its data from disk' : wordsOnCondition(view, id).says;
}

// A failover in the middle of a move may lose keys: see docs/moving-slots.md.
function openReasons(view: ClusterView, ids: ReadonlySet<string>): StopReason[] {
  const open = [...openSlotsOf(view)].filter(([, items]) =>
    items.some(({ nodeId, peer }) => ids.has(nodeId) || ids.has(peer)),
  );
  if (open.length === 0) return [];
  const slots = open.map(([slot]) => slot);
  const ends = new Set(open.flatMap(([, items]) => items.flatMap(({ nodeId, peer }) => [nodeId, peer])));
  const nodes = [...ends].filter((id) => ids.has(id)).map((id) => nodeName(view, id));
  const message = `${slots.length === 1 ? 'Slot' : 'Slots'} ${formatSlots(slots)} ${slots.length === 1 ? 'is' : 'are'} being moved from or to ${listNames(nodes)}`;
  return [{ kind: 'slot-open', message, nodes, slots: toRanges(slots) }];
}

function stoppingNode(
  view: ClusterView,
  { id, address, role }: NodeRecord,
  slots: readonly SlotRange[],
  candidates: readonly Candidate[],
): StoppingNode {
  const node = { id, address: formatAddress(address), role, slots };
  const able = candidates.filter(({ why }) => why === undefined);
  if (role === 'replica') return { ...node, others: able.length };
  const [first] = slots.length > 0 ? able : [];
  if (!first) return node;
  return { ...node, successor: { id: first.id, address: nodeName(view, first.id), behind: first.behind } };
}
