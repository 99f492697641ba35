import { introducing, takeovers, UNLISTED, wordsOnCondition } from '../findings/condition-words.ts';
import { formatAddress } from '../model/address.ts';
import { conditionOf, goneNodes } from '../model/condition.ts';
import type { Advice } from '../model/next.ts';
import { countSlots, isFailed, type NodeRecord } from '../model/node.ts';
import { toRanges } from '../model/slot.ts';
import { type ClusterView, lastOwner, nodeById, nodeName, slotOwners } from '../model/view.ts';
import { nodeRef, type StepOf } from './plan.ts';
import type { Undecided } from './undecided.ts';
import { unservedSlots } from './unserved.ts';

/** What is known about the keys in a cluster. */
export interface KeyEvidence {
  /** By slot: ids of the masters that hold keys of it but do not own it, in the order of the view. */
  readonly holders: ReadonlyMap<number, readonly string[]>;
  /** By slot with several holders: pairs of them that have a key in common. */
  readonly sharing: ReadonlyMap<number, readonly (readonly [string, string])[]>;
  /** Ids of masters given up as lost with their keys: their slots may go to others. */
  readonly givenUp: ReadonlySet<string>;
  /**
   * By slot that no node serves and of which no master holds a key: ids of replicas that hold some, or may, and whose master
   * does not answer.
   */
  readonly replicas?: ReadonlyMap<number, readonly string[]>;
  /** See `MarkEvidence`. */
  readonly sharesWithOwner?: ReadonlySet<string>;
  /** See `MarkEvidence`. */
  readonly heirs?: ReadonlyMap<string, string>;
  /** Ids of masters that do not answer and are not given up: they may hold keys of slots that no node owns. */
  readonly silent?: readonly string[];
  /** True if a node that no member lists takes part in the cluster: it may serve slots that no node owns. */
  readonly hearsUnlisted?: boolean;
}

/** New owners for the slots that no node serves. */
export interface UncoveredPlan {
  /** By slot: the master that takes it. */
  readonly takers: ReadonlyMap<number, NodeRecord>;
  readonly steps: readonly StepOf<'take-slots'>[];
  readonly undecided: readonly Undecided[];
}

/**
 * Finds an owner for every slot that no node serves and that nothing keeps: its owner was given up, or it has none, and no replica
 * has its keys. A slot goes to the master that holds
 * keys of it. If several do, it goes to the last owner by config epoch, or to any of them if no key is on two. The number
 * of keys never decides. Slots without keys go to the masters with the fewest slots, in as few ranges as possible.
 * `besides` are slots decided on elsewhere.
 */
export function planUncovered(
  view: ClusterView,
  evidence: KeyEvidence,
  besides: ReadonlySet<number>,
): UncoveredPlan {
  const owners = slotOwners(view);
  const masters = takersIn(view);
  const takers = new Map<number, NodeRecord>();
  const undecided: Undecided[] = [];
  const empty: number[] = [];
  const lost = lostWithKeys(view, evidence.givenUp);
  const reasons = new Map<string, Pick<Undecided, 'reason' | 'next'>>();
  for (const { slot, owner, keeper } of unservedSlots(view, lost)) {
    if (besides.has(slot)) continue;
    if (owner !== undefined && keeper !== undefined) {
      const why = reasons.get(`${owner} ${keeper}`) ?? whyKept(view, owner, keeper);
      reasons.set(`${owner} ${keeper}`, why);
      undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...why });
      continue;
    }
    if (owner === undefined && evidence.hearsUnlisted) {
      undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...mayBeForgotten(formatAddress(view.seed)) });
      continue;
    }
    const choice = chooseByKeys(view, evidence, slot, masters);
    const [replica] = evidence.replicas?.get(slot) ?? [];
    const [silent] = owner === undefined ? (evidence.silent ?? []) : [];
    if (choice === undefined && replica !== undefined)
      undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...heldByReplica(view, replica) });
    else if (silent !== undefined && !isLastOwner(view, slot, choice))
      undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...mayBeHeld(view, silent, evidence) });
    else if (choice === undefined) empty.push(slot);
    else if ('reason' in choice) undecided.push({ slot, code: 'SLOTS_UNCOVERED', ...choice });
    else takers.set(slot, choice);
  }
  if (masters.length > 0) shareOut(empty, masters, takers);
  return { takers, steps: stepsOf(view, takers, owners), undecided };
}

/** Nodes that keep nothing: those given up, and replicas that are gone, whether their master is given up or not. */
export function lostWithKeys(view: ClusterView, givenUp: ReadonlySet<string>): Set<string> {
  return new Set([...givenUp, ...goneNodes(view).filter((id) => nodeById(view, id)?.role === 'replica')]);
}

/** Masters that can be given slots. */
function takersIn(view: ClusterView): NodeRecord[] {
  const suspected = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) if (isFailed(record)) suspected.add(record.id);
  }
  return view.nodes.filter(({ id, role }) => role === 'master' && view.reports.has(id) && !suspected.has(id));
}

/** Why slots are left to their owner, and what brings them back. */
function whyKept(
  view: ClusterView,
  owner: string,
  keeper: string,
): Pick<Undecided, 'reason' | 'hint' | 'next'> {
  const name = nodeName(view, owner);
  const { kind } = conditionOf(view, owner);
  const { says, hint, next } = wordsOnCondition(view, owner);
  if (keeper !== owner) {
    const replica = nodeName(view, keeper);
    const reason = `their owner ${name} ${kind === 'dead' ? 'has failed' : says}, and its replica ${replica} holds their keys`;
    if (view.reports.has(keeper)) return { reason, next: takeovers(view, keeper, owner) };
    const { says: how, ...advice } = wordsOnCondition(view, keeper);
    return { reason: `${reason}, but ${how}`, ...advice };
  }
  if (kind === 'dead')
    return { reason: `their owner ${name} has failed and may come back with their keys`, next };
  return { reason: `their owner ${name} ${says}`, hint, next };
}

/**
 * Why slots of nobody are left alone if a node that no member lists takes part in the cluster, and what to do. A master that the
 * others have forgotten deletes its keys of slots that it finds with another owner when it is introduced again.
 */
export function mayBeForgotten(cluster: string): Pick<Undecided, 'reason' | 'hint' | 'next'> {
  return {
    reason: `no node owns them, and ${UNLISTED}`,
    hint: 'Another owner of these slots would cost it its keys. If it is not a master of this cluster, stop it or reset it',
    next: [introducing(cluster), { do: 'retry', options: { force: true }, when: 'anyway' }],
  };
}

// A replica whose master is gone keeps its keys when it takes over, and is a master then that holds keys of slots without an owner.
function heldByReplica(view: ClusterView, replica: string): Pick<Undecided, 'reason' | 'hint' | 'next'> {
  const [name, master = ''] = [nodeName(view, replica), nodeById(view, replica)?.masterId ?? ''];
  const isDead = conditionOf(view, master).kind === 'dead';
  const { says, ...advice } = wordsOnCondition(view, master);
  const reason = `no node owns them, ${name} holds keys of them, and its master ${nodeName(view, master)} ${isDead ? 'has failed' : says}`;
  if (!isDead) return { reason, ...advice };
  return { reason, next: [...takeovers(view, replica, master), { do: 'retry', when: 'after-that' }] };
}

// A server that starts with keys of a slot that no node owns takes the slot, and one that finds another owner deletes them
// (verifyClusterConfigWithData, clusterUpdateSlotsConfigWith).
function mayBeHeld(
  view: ClusterView,
  silent: string,
  { replicas }: KeyEvidence,
): Pick<Undecided, 'reason' | 'hint' | 'next'> {
  const { says, hint, next = [] } = wordsOnCondition(view, silent);
  const reason = `no node owns them, and ${nodeName(view, silent)}, which may have their keys, ${says}`;
  // One that has others of its keys takes over first. It may have been behind, so it does not answer for these.
  const replica = [...(replicas?.values() ?? [])]
    .flat()
    .find((id) => nodeById(view, id)?.masterId === silent);
  if (replica !== undefined) return { ...heldByReplica(view, replica), reason };
  return { reason, hint, next: [...next, { do: 'retry', when: 'repaired' }] };
}

function isLastOwner(view: ClusterView, slot: number, choice: NodeRecord | Advice | undefined): boolean {
  return choice !== undefined && 'id' in choice && choice.id === lastOwner(view, slot);
}

// Undefined if no master holds a key of the slot.
function chooseByKeys(
  view: ClusterView,
  { holders, sharing }: KeyEvidence,
  slot: number,
  masters: readonly NodeRecord[],
): NodeRecord | (Advice & { readonly reason: string }) | undefined {
  const ids = holders.get(slot) ?? [];
  const holding = masters.filter(({ id }) => ids.includes(id));
  const [first, ...more] = holding;
  if (!first || more.length === 0) return first;
  const last = masters.find(({ id }) => id === lastOwner(view, slot));
  const pair = sharing.get(slot)?.find(([a, b]) => a !== last?.id && b !== last?.id);
  if (pair) {
    const [a, b] = pair.map((id) => nodeName(view, id));
    return {
      reason: `${a} and ${b} both hold the same key of them, and nothing says which of them owned the slot last`,
      hint: 'Compare them, for example with CLUSTER GETKEYSINSLOT, and delete the wrong values',
      next: [{ do: 'retry', when: 'repaired' }],
    };
  }
  return last ?? holding.toSorted((a, b) => countSlots(a) - countSlots(b))[0];
}

// Fills up the masters with the fewest slots to one level, then gives out the slots in ascending order, master by master.
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
    // A rest that cannot be divided evenly goes to the first of them.
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
