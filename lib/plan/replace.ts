import type { NodeRecord } from '../model/node.ts';
import { endOfChain, followedBy, topMaster } from '../model/promotion.ts';
import {
  type ClusterView,
  hostOf,
  type NodeReport,
  nodeById,
  reachableMasters,
  replicasOf,
} from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type Step, type StepOf } from './plan.ts';

/** A node that leaves, and the server that takes its place. */
export interface Replacement {
  readonly node: NodeRecord;
  /** As it reports itself. The cluster may not know it yet. */
  readonly by: NodeRecord;
  /** True if `by` and all members know one another. */
  readonly isSettled: boolean;
  /** The master that `by` copies; itself, if it has taken the place already. Undefined if it becomes a master without slots. */
  readonly master?: NodeRecord | undefined;
  /** True if no member knows `node` any more, and only its reset is left. */
  readonly isForgotten?: boolean | undefined;
  /** If `by` becomes a master without slots: the functions that it lacks. */
  readonly functions?: readonly StepOf<'load-functions'>[] | undefined;
}

/** True of a master that owns slots: it is replaced by a failover. */
export function ownsAny(view: ClusterView, { id, role, slots }: NodeRecord): boolean {
  return view.reports.has(id) && role === 'master' && slots.length > 0;
}

/**
 * True if a newcomer and all members know one another. A node that leaves need not know it any more once another has forgotten that node;
 * newcomers (`byIds`) without slots may not have met that yet.
 */
export function isMet(
  view: ClusterView,
  id: string,
  { leaving, byIds }: { readonly leaving: ReadonlySet<string>; readonly byIds: ReadonlySet<string> },
): boolean {
  const own = view.reports.get(id);
  const reports = [...view.reports.values()];
  const hasBegun = (other: string): boolean =>
    leaving.has(other) &&
    reports.some(
      (report) =>
        !(byIds.has(report.myself.id) && report.myself.slots.length === 0) && !doesKnow(report, other),
    );
  const others = reports.filter(({ myself }) => myself.id !== id && !hasBegun(myself.id));
  return (
    own !== undefined &&
    (own.records.length > 1 || own.myself.slots.length > 0) &&
    others.every((other) => doesKnow(other, id) && doesKnow(own, other.myself.id))
  );
}

function doesKnow({ records }: NodeReport, id: string): boolean {
  return records.some((record) => record.id === id);
}

/**
 * The master that a server copies which replaces a node: the node itself, or the master of the shard that it belongs to, which may be that
 * server already. Undefined for a master without slots. `mates` are the ids of the shard of a node that is dead, as far as members know;
 * `chosen`, those of the masters that other newcomers copy.
 */
export function masterToCopy(
  view: ClusterView,
  node: NodeRecord,
  by: Pick<NodeRecord, 'id'>,
  mates: readonly string[] = [],
  chosen: readonly string[] = [],
): NodeRecord | undefined {
  if (ownsAny(view, node)) return node;
  const top = topMaster(view, node.id);
  if (top && top.id !== node.id) return top;
  if (view.reports.has(node.id)) return undefined;
  // Dead: another has taken its place, and no member says which. An earlier run may have made it known to that one.
  const own = topMaster(view, by.id);
  const owners = reachableMasters(view).filter((one) => ownsAny(view, one));
  if (own && owners.some(({ id }) => id === own.id)) return own;
  const mate = owners.find(({ id }) => mates.includes(id));
  if (mate) return mate;
  const living = ({ id }: NodeRecord): number =>
    replicasOf(view, id).filter((one) => view.reports.has(one.id)).length +
    chosen.filter((one) => one === id).length;
  return owners.toSorted((a, b) => living(a) - living(b))[0];
}

/**
 * Replaces nodes one for one: each newcomer is introduced, copies its master and, if it replaces that, takes its place; the other replicas
 * follow it, and then the node that it replaces leaves. Replicas come before masters, whose newcomers they then follow without another
 * copy, and no host sends more than one copy at a time, unless `batch`. Pure.
 */
export function planReplace(view: ClusterView, replacements: readonly Replacement[], batch = false): Draft {
  const members = view.nodes.filter(({ id }) => view.reports.has(id));
  const fresh = replacements.filter(({ isSettled }) => !isSettled).map(({ by }) => by);
  const isNew = new Set(fresh.map(({ id }) => id));
  // First: one that was forgotten does not hear whom to follow any more, and may follow another that leaves.
  const forgotten = replacements.filter(({ isForgotten }) => isForgotten).map(({ node }) => node);
  const isFollower = ({ masterId }: NodeRecord): boolean => forgotten.some(({ id }) => id === masterId);
  const steps: Step[] = [...forgotten]
    .sort((a, b) => Number(isFollower(b)) - Number(isFollower(a)))
    .map((node) => ({ type: 'reset', node: nodeRef(node) }));
  if (fresh.length > 0) {
    const to = members.filter(({ id }) => !isNew.has(id)).map(nodeRef);
    steps.push({ type: 'meet', nodes: fresh.map(nodeRef), to, serving: true });
  }
  const state = new Members([...members, ...fresh], view);
  const left = replacements.filter(({ isForgotten }) => !isForgotten);
  const isMaster = ({ node }: Replacement): boolean => ownsAny(view, node);
  // A replica may be one of a master without slots.
  const isEmptyMaster = ({ master }: Replacement): boolean => master === undefined;
  const groups = [
    left.filter((one) => !isMaster(one) && !isEmptyMaster(one)),
    left.filter(isEmptyMaster),
    left.filter(isMaster),
  ];
  for (const group of groups) {
    const rounds = batch && group.length > 0 ? [group] : inRounds(view, group);
    for (const round of rounds) steps.push(...stepsOfRound(view, round, state));
  }
  const takeovers = replacements.filter(isMaster);
  const isPassing = new Set(replacements.flatMap(({ node, by }) => [node.id, by.id]));
  const places = replacements.filter(({ by }) => state.masterOf(by.id) === null).map(({ by }) => nodeRef(by));
  return {
    operation: 'replace',
    masters: [...mastersOf(view).filter(({ id }) => !isPassing.has(id)), ...places],
    steps,
    expect: {
      members: state.present.map(nodeRef),
      gone: replacements.map(({ node }) => node.id),
      owners: takeovers.map(({ node, by }) => ({ id: by.id, slots: node.slots })),
      replicas: [...state.told].flatMap((id) => {
        const masterId = state.masterOf(id);
        return masterId !== null && state.has(id) ? [{ id, masterId }] : [];
      }),
    },
  };
}

/** The members that answer while a plan is carried out, and whom they follow. */
class Members {
  present: readonly NodeRecord[];
  /** Ids of nodes whose master the plan sets. */
  readonly told: Set<string> = new Set();
  readonly #masters: Map<string, string | null>;

  constructor(present: readonly NodeRecord[], view: ClusterView) {
    this.present = present;
    this.#masters = new Map(present.map(({ id }) => [id, followedBy(view, id) ?? null]));
  }

  has(id: string): boolean {
    return this.present.some((one) => one.id === id);
  }

  masterOf(id: string): string | null {
    return this.#masters.get(id) ?? null;
  }

  followers(id: string): NodeRecord[] {
    return this.present.filter((one) => one.id !== id && this.masterOf(one.id) === id);
  }

  /** The same at any depth. */
  below(id: string): NodeRecord[] {
    return this.present.filter(
      (one) => one.id !== id && endOfChain(one.id, (at) => this.masterOf(at)) === id,
    );
  }

  attach(replica: NodeRecord, master: NodeRecord): StepOf<'replicate'> {
    this.told.add(replica.id);
    this.#masters.set(replica.id, master.id);
    return { type: 'replicate', replica: nodeRef(replica), master: nodeRef(master) };
  }

  promote(replica: NodeRecord, master: NodeRecord): StepOf<'failover'> {
    for (const { id } of this.followers(master.id)) this.#masters.set(id, replica.id);
    this.#masters.set(master.id, replica.id).set(replica.id, null);
    return { type: 'failover', replica: nodeRef(replica), master: nodeRef(master), mode: 'graceful' };
  }

  remove(node: NodeRecord): StepOf<'forget'> {
    const isDead = !this.has(node.id);
    this.present = this.present.filter(({ id }) => id !== node.id);
    const by = this.present.map(nodeRef);
    return { type: 'forget', node: nodeRef(node), by, ...(isDead ? { isDead: true as const } : {}) };
  }
}

function stepsOfRound(view: ClusterView, round: readonly Replacement[], state: Members): Step[] {
  const [copies, takeovers, functions, follow]: [Step[], Step[], Step[], Step[]] = [[], [], [], []];
  for (const { by, master } of round)
    if (master && master.id !== by.id) copies.push(state.attach(by, master));
  for (const one of round) functions.push(...(one.functions ?? []));
  for (const { node, by } of round) if (ownsAny(view, node)) takeovers.push(state.promote(by, node));
  for (const { node, by, master } of round) {
    const top = ownsAny(view, node) ? by : (master ?? by);
    // None could forget the node that it follows (CLUSTER FORGET: "Can't forget my master"). Those of the new master have its data
    // before another copy is given up.
    const followers = [...state.followers(node.id), ...(top.id === by.id ? state.below(by.id) : [])];
    for (const follower of followers)
      if (follower.id !== node.id && follower.id !== top.id) follow.push(state.attach(follower, top));
  }
  const alive = round.filter(({ node }) => state.has(node.id));
  return [
    ...copies,
    ...functions,
    ...takeovers,
    ...follow,
    ...round.map(({ node }) => state.remove(node)),
    ...alive.map(({ node }): Step => ({ type: 'reset', node: nodeRef(node) })),
  ];
}

/** Groups in which no host is copied from twice. */
function inRounds(view: ClusterView, replacements: readonly Replacement[]): Replacement[][] {
  const rounds: { readonly hosts: Set<string>; readonly all: Replacement[] }[] = [];
  for (const one of replacements) {
    const { master, by } = one;
    const host =
      master && master.id !== by.id ? hostOf(view, nodeById(view, master.id) ?? master) : undefined;
    let round = rounds.find(({ hosts }) => host === undefined || !hosts.has(host));
    if (!round) {
      round = { hosts: new Set(), all: [] };
      rounds.push(round);
    }
    if (host !== undefined) round.hosts.add(host);
    round.all.push(one);
  }
  return rounds.map(({ all }) => all);
}
