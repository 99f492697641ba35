import { failedNodes } from '../model/findings.ts';
import { countSlots, isFailed, type NodeRecord } from '../model/node.ts';
import { SLOT_COUNT, toRanges } from '../model/slot.ts';
import { type ClusterView, lastOwner, nodeById, nodeName, replicasOf, slotOwners } from '../model/view.ts';
import type { Undecided } from './fix.ts';
import { nodeRef, type StepOf } from './plan.ts';

/** What is known of the keys in a cluster beside the view of it. */
export interface KeyEvidence {
  /** By slot: ids of the masters that hold keys of it without owning it, in the order of the view. */
  readonly holders: ReadonlyMap<number, readonly string[]>;
  /** By slot with several holders: pairs of them that have a key in common. */
  readonly sharing: ReadonlyMap<number, readonly (readonly [string, string])[]>;
  /** Ids of masters whose slots may be given to others: their keys are lost. */
  readonly givenUp: ReadonlySet<string>;
}

/** Who is to have the slots that nobody serves. */
export interface UncoveredPlan {
  /** By slot: the master that takes it. */
  readonly takers: ReadonlyMap<number, NodeRecord>;
  readonly steps: readonly StepOf<'take-slots'>[];
  readonly undecided: readonly Undecided[];
}

/**
 * Finds an owner for every slot that has none, or whose owner has failed and is given up. Keys decide it where one master
 * holds them; where several do, the one that owned the slot last by its config epoch, or any if no key is on two of them. Never
 * how many keys. Slots without any key go to the masters with fewest slots, as few ranges to each as can be.
 * `besides` are slots that are decided on elsewhere.
 */
export function planUncovered(
  view: ClusterView,
  evidence: KeyEvidence,
  besides: ReadonlySet<number>,
): UncoveredPlan {
  const owners = slotOwners(view);
  const failed = new Set(failedNodes(view));
  const masters = takersIn(view);
  const takers = new Map<number, NodeRecord>();
  const undecided: Undecided[] = [];
  const empty: number[] = [];
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const owner = owners[slot];
    if (besides.has(slot) || (owner !== undefined && view.reports.has(owner))) continue;
    if (owner !== undefined && !evidence.givenUp.has(owner)) {
      if (failed.has(owner)) undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...whyLost(view, owner) });
      continue;
    }
    const replica = owner === undefined ? undefined : livingReplica(view, owner);
    if (owner !== undefined && replica) {
      undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...whyLost(view, owner) });
      continue;
    }
    const choice = chooseByKeys(view, evidence, slot, masters);
    if (choice === undefined) empty.push(slot);
    else if ('reason' in choice) undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...choice });
    else takers.set(slot, choice);
  }
  if (masters.length > 0) shareOut(empty, masters, takers);
  return { takers, steps: stepsOf(view, takers, owners), undecided };
}

/** Masters that can be given slots. */
function takersIn(view: ClusterView): NodeRecord[] {
  const suspected = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) if (isFailed(record)) suspected.add(record.id);
  }
  return view.nodes.filter(({ id, role }) => role === 'master' && view.reports.has(id) && !suspected.has(id));
}

function livingReplica(view: ClusterView, id: string): NodeRecord | undefined {
  return replicasOf(view, id).find((replica) => view.reports.has(replica.id));
}

function whyLost(view: ClusterView, id: string): Pick<Undecided, 'reason' | 'hint'> {
  const name = nodeName(view, id);
  const replica = livingReplica(view, id);
  const seed = nodeName(view, view.seedId);
  if (replica) {
    const heir = nodeName(view, replica.id);
    return {
      reason: `their owner ${name} has failed, and its replica ${heir} holds their keys`,
      hint: `Let it take over: redis-trib failover ${heir} --mode force, or --mode takeover where too few masters live to vote`,
    };
  }
  return {
    reason: `their owner ${name} has failed and may come back with their keys`,
    hint:
      `Bring ${name} back. If it is gone for good, and its keys with it: redis-trib rescue ${seed} NEW, ` +
      `or redis-trib fix ${seed} --with-unreachable-masters`,
  };
}

// Undefined where no master holds a key of it.
function chooseByKeys(
  view: ClusterView,
  { holders, sharing }: KeyEvidence,
  slot: number,
  masters: readonly NodeRecord[],
): NodeRecord | { readonly reason: string; readonly hint: string } | undefined {
  const ids = holders.get(slot) ?? [];
  const holding = masters.filter(({ id }) => ids.includes(id));
  const [first, ...more] = holding;
  if (!first || more.length === 0) return first;
  const last = masters.find(({ id }) => id === lastOwner(view, slot));
  const pair = sharing.get(slot)?.find(([a, b]) => a !== last?.id && b !== last?.id);
  if (pair) {
    const [a, b] = pair.map((id) => nodeName(view, id));
    return {
      reason: `${a} and ${b} both hold a key of theirs, and nothing says which of them owned the slot last`,
      hint: `Compare them, with CLUSTER GETKEYSINSLOT for one, and delete what is wrong; then run the same command again`,
    };
  }
  return last ?? holding.toSorted((a, b) => countSlots(a) - countSlots(b))[0];
}

// Fills up those with fewest slots to one level, then hands out the slots in ascending order, one master after the other.
function shareOut(
  slots: readonly number[],
  masters: readonly NodeRecord[],
  takers: Map<number, NodeRecord>,
): void {
  const taken = new Map<string, number>();
  for (const { id } of takers.values()) taken.set(id, (taken.get(id) ?? 0) + 1);
  const levels = masters
    .map((node) => ({ node, level: countSlots(node) + (taken.get(node.id) ?? 0), quota: 0 }))
    .sort((a, b) => a.level - b.level);
  for (let left = slots.length; left > 0; ) {
    const [lowest] = levels;
    const least = lowest ? lowest.level + lowest.quota : 0;
    const low = levels.filter(({ level, quota }) => level + quota === least);
    const next = levels.find(({ level, quota }) => level + quota > least);
    const room = next ? next.level + next.quota - least : Number.POSITIVE_INFINITY;
    const each = Math.min(room, Math.floor(left / low.length));
    // What cannot be shared out evenly goes to the first of them.
    for (const one of each > 0 ? low : low.slice(0, left)) one.quota += Math.max(1, each);
    left -= each > 0 ? each * low.length : Math.min(left, low.length);
  }
  let at = 0;
  for (const { node, quota } of levels) {
    for (const slot of slots.slice(at, at + quota)) takers.set(slot, node);
    at += quota;
  }
}

function stepsOf(
  view: ClusterView,
  takers: ReadonlyMap<number, NodeRecord>,
  owners: readonly (string | undefined)[],
): StepOf<'take-slots'>[] {
  const parts = new Map<string, { taker: NodeRecord; owner: string | undefined; slots: number[] }>();
  for (const [slot, taker] of takers) {
    const owner = owners[slot];
    const key = `${taker.id} ${owner ?? ''}`;
    const part = parts.get(key) ?? { taker, owner, slots: [] };
    part.slots.push(slot);
    parts.set(key, part);
  }
  return [...parts.values()].map(({ taker, owner, slots }) => {
    const from = owner === undefined ? undefined : nodeById(view, owner);
    return {
      type: 'take-slots',
      node: nodeRef(taker),
      slots: toRanges(slots),
      from: from ? [nodeRef(from)] : [],
    };
  });
}
