import type { Next } from '../model/next.ts';
import { expandSlots, toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  contestedSlots,
  lastOwner,
  nodeById,
  nodeName,
  openSlotsOf,
  replicaMarks,
  slotOwners,
} from '../model/view.ts';
import { closing, type MarkEvidence, planOpenSlots, type SlotStep } from './open-slots.ts';
import type { Step, StrayAnswer } from './plan.ts';
import { type KeyEvidence, planUncovered, type UncoveredPlan } from './uncovered.ts';
import type { Undecided } from './undecided.ts';

/** How to repair the slots of a cluster. */
export interface FixPlan {
  readonly steps: readonly Step[];
  readonly undecided: readonly Undecided[];
}

/** How slots are repaired. */
export interface FixRules {
  /** What happens to keys on nodes that do not own their slot. @default equal copies are dropped, all others stay */
  readonly strayKeys?: StrayAnswer | undefined;
  /** A slot that only one end has open is closed where it is. @default false */
  readonly closesOneSided?: boolean | undefined;
  /** Keys of open slots, where `evidence` of all keys is not to be had. */
  readonly marks?: MarkEvidence;
  /** Without `evidence`, also closes slots that only a replica has open: before it is promoted. @default false */
  readonly closesReplicaMarks?: boolean;
}

/**
 * Repairs the slots of a cluster. Closes open slots (`planOpenSlots`). With `evidence` of keys on nodes that do not own
 * their slot, it also gives slots that no node serves to a master (`planUncovered`) and settles stray keys with the owner. Of
 * two nodes that claim a slot, the one with the higher config epoch owns it, as on the servers. Unserved slots are assigned first, because keys cannot be moved before.
 */
export function planFix(view: ClusterView, evidence?: KeyEvidence, rules: FixRules = {}): FixPlan {
  const { strayKeys, closesOneSided = false, marks = evidence, closesReplicaMarks = false } = rules;
  const settles = evidence !== undefined;
  const open = planOpenSlots(
    view,
    { leavesUnowned: settles, settlesKeys: settles, strayKeys, closesOneSided },
    marks,
  );
  const decided = new Set([...slotsIn(open.steps), ...open.undecided.map(({ slot }) => slot)]);
  if (!evidence) {
    const kept = closesReplicaMarks ? planMarks(view, decided) : [];
    return { steps: mergeSteps([...open.steps, ...kept]), undecided: open.undecided };
  }
  const uncovered = planUncovered(view, evidence, decided);
  const stray = planStrays(view, evidence, uncovered, decided, strayKeys);
  const undecided = [...open.undecided, ...uncovered.undecided, ...stray.undecided];
  const known = new Set([
    ...decided,
    ...slotsIn([...uncovered.steps, ...stray.steps]),
    ...undecided.map(({ slot }) => slot),
  ]);
  const steps = mergeSteps([...uncovered.steps, ...open.steps, ...stray.steps, ...planMarks(view, known)]);
  return heldUp(view, { steps, undecided });
}

// Keys cannot be moved to a node in cluster_state:fail, which a node is in as long as any slot is not served.
function heldUp(view: ClusterView, { steps, undecided }: FixPlan): FixPlan {
  const stuck = undecided.some(({ code }) => code === 'SLOTS_UNCOVERED');
  const down = new Set([...view.reports].filter(([, { info }]) => info.state === 'fail').map(([id]) => id));
  if (!stuck || down.size === 0) return { steps, undecided };
  const reason = 'their keys cannot be moved before every slot is served';
  const hint = 'First make sure that every slot is served';
  const next: readonly Next[] = [{ do: 'retry', when: 'repaired' }];
  const later = steps.filter((step) => step.type !== 'take-slots');
  const slots = new Set(slotsIn(later));
  for (const { slot } of undecided) slots.delete(slot);
  return {
    steps: steps.filter((step) => step.type === 'take-slots'),
    undecided: [...undecided, ...[...slots].map((slot) => ({ slot, reason, hint, next }))],
  };
}

function slotsIn(steps: readonly Step[]): number[] {
  return steps.flatMap((step) => ('slots' in step ? expandSlots(step.slots) : []));
}

// What a master is told about a slot it tells its replicas, even if it has nothing to change itself.
function planMarks(view: ClusterView, known: ReadonlySet<number>): SlotStep[] {
  const owners = slotOwners(view);
  return replicaMarks(view).flatMap(({ master, slots }) =>
    slots.flatMap((slot) => {
      const owner = nodeById(view, owners[slot] ?? '');
      const node = nodeById(view, master?.id ?? '');
      if (known.has(slot) || !node || !owner || !view.reports.has(owner.id)) return [];
      return [closing(node, owner, slot)];
    }),
  );
}

// Stray keys on nodes without an open slot: left behind by an interrupted move.
function planStrays(
  view: ClusterView,
  { holders, sharing }: KeyEvidence,
  { takers, undecided: unowned }: UncoveredPlan,
  besides: ReadonlySet<number>,
  strayKeys: StrayAnswer | undefined,
): { steps: SlotStep[]; undecided: Undecided[] } {
  const owners = slotOwners(view);
  const leftOut = new Set([...besides, ...unowned.map(({ slot }) => slot)]);
  const contested = contestedSlots(view);
  const open = openSlotsOf(view);
  const steps: SlotStep[] = [];
  const undecided: Undecided[] = [];
  for (const slot of new Set([...holders.keys(), ...takers.keys(), ...contested.keys()])) {
    const taker = takers.get(slot);
    const owner = taker ?? nodeById(view, owners[slot] ?? '');
    if (leftOut.has(slot) || !owner || !view.reports.has(owner.id)) continue;
    const claims = (contested.get(slot) ?? []).filter((id) => id !== owner.id);
    const rival = claims
      .map((id) => nodeById(view, id))
      .find((node) => node?.configEpoch === owner.configEpoch);
    if (rival && !taker) {
      const names = [owner, rival].map(({ id }) => nodeName(view, id)).join(' and ');
      undecided.push({
        slot,
        reason: `${names} claim them with the same config epoch, and do not hear from one another`,
        hint: 'Make sure that they can reach one another on the cluster bus port: one of them then takes a higher epoch on its own',
      });
      continue;
    }
    // Nobody has served the slot, so nobody has deleted a key of it: what any node holds belongs together. The last owner
    // may have deleted keys while it did.
    const answer = taker && taker.id !== lastOwner(view, slot) ? 'bring' : strayKeys;
    const pair = sharing.get(slot)?.find((ids) => !ids.includes(owner.id));
    if (pair && taker && answer === 'bring') {
      const [a, b] = pair.map((id) => nodeName(view, id));
      undecided.push({
        slot,
        code: 'KEY_CONFLICT',
        reason: `${a} and ${b}, which do not own them, both hold the same key of them`,
        hint: 'Delete it on the node where it is wrong',
        next: [{ do: 'retry', when: 'repaired' }],
      });
      continue;
    }
    const marked = taker ? (open.get(slot) ?? []).map(({ nodeId }) => nodeId) : [];
    for (const id of new Set([...(holders.get(slot) ?? []), ...claims, ...marked])) {
      const node = nodeById(view, id);
      if (node && id !== owner.id) steps.push(closing(node, owner, slot, answer));
    }
  }
  return { steps, undecided };
}

/**
 * Joins steps on the same nodes and orders them. First, slots that no node serves are taken, and nodes learn the owner to
 * move from. Closings come last, since they may name the target of a move as owner. Among these, owners come first: an
 * owner whose slot is still migrating accepts no key of it.
 */
function mergeSteps(steps: readonly SlotStep[]): SlotStep[] {
  const merged = new Map<string, { step: SlotStep; slots: number[] }>();
  for (const step of steps) {
    const key = keyOf(step);
    const known = merged.get(key) ?? { step, slots: [] };
    known.slots.push(...expandSlots(step.slots));
    merged.set(key, known);
  }
  const joined = [...merged.values()].map(({ step, slots }) => ({ ...step, slots: toRanges(slots) }));
  const rank = (step: SlotStep): number => {
    if (step.type === 'take-slots') return 0;
    if (step.type === 'move-slots') return 2;
    if (step.stayOpen) return 1;
    return step.node.id === step.owner.id ? 3 : 4;
  };
  return joined.sort((a, b) => rank(a) - rank(b));
}

function keyOf(step: SlotStep): string {
  switch (step.type) {
    case 'move-slots':
      return `${step.type} ${step.source.id} ${step.target.id}`;
    case 'take-slots':
      return `${step.type} ${step.node.id} ${step.from[0]?.id}`;
    case 'close-slots':
      return `${step.type} ${step.node.id} ${step.owner.id} ${step.stayOpen} ${step.strayKeys}`;
  }
}
