import { expandSlots, toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  contestedSlots,
  nodeById,
  nodeName,
  openSlotsOf,
  slotOwners,
} from '../model/view.ts';
import { closing, planOpenSlots, type SlotStep } from './open-slots.ts';
import type { Step } from './plan.ts';
import { type KeyEvidence, planUncovered, type UncoveredPlan } from './uncovered.ts';

/** A slot that is not as it should be, and that cannot be mended without guessing. */
export interface Undecided {
  readonly slot: number;
  /** What is in the way, of one slot or of several alike. */
  readonly reason: string;
  /** What to do about it. @default bring back the node that is named */
  readonly hint?: string;
  /** @default 'OPEN_SLOT' */
  readonly code?: 'OPEN_SLOT' | 'SLOTS_UNCOVERED' | 'KEY_CONFLICT';
}

/** How to mend the slots of a cluster. */
export interface FixPlan {
  readonly steps: readonly Step[];
  readonly undecided: readonly Undecided[];
}

/**
 * Mends the slots of a cluster: closes those that are open, see `planOpenSlots`; and, where it is known who holds keys of what he
 * does not own, gives those that nobody serves to a master (`planUncovered`), and keys that lie on a node which does not own
 * their slot to the owner. Of two nodes that claim a slot the one with the higher config epoch owns it, as among servers, and
 * is given the keys of the other. Slots are given first, for keys cannot be moved while slots are not served.
 */
export function planFix(view: ClusterView, evidence?: KeyEvidence): FixPlan {
  const open = planOpenSlots(view, evidence !== undefined);
  if (!evidence) return { steps: mergeSteps(open.steps), undecided: open.undecided };
  const decided = new Set([...slotsIn(open.steps), ...open.undecided.map(({ slot }) => slot)]);
  const uncovered = planUncovered(view, evidence, decided);
  const stray = planStrays(view, evidence, uncovered, decided);
  const undecided = [...open.undecided, ...uncovered.undecided, ...stray.undecided];
  const steps = mergeSteps([...uncovered.steps, ...open.steps, ...stray.steps]);
  return heldUp(view, { steps, undecided });
}

// Keys cannot be moved to a node that does not serve, and it does not while a slot is left that nobody serves.
function heldUp(view: ClusterView, { steps, undecided }: FixPlan): FixPlan {
  const stuck = undecided.some(({ code }) => code === 'SLOTS_UNCOVERED');
  const down = new Set([...view.reports].filter(([, { info }]) => info.state === 'fail').map(([id]) => id));
  if (!stuck || down.size === 0) return { steps, undecided };
  const reason = 'their keys cannot be moved before every slot is served';
  const hint = 'See to the slots that are not served first, then run the same command again';
  const later = steps.filter((step) => step.type !== 'take-slots');
  const slots = new Set(slotsIn(later));
  for (const { slot } of undecided) slots.delete(slot);
  return {
    steps: steps.filter((step) => step.type === 'take-slots'),
    undecided: [...undecided, ...[...slots].map((slot) => ({ slot, reason, hint }))],
  };
}

function slotsIn(steps: readonly Step[]): number[] {
  return steps.flatMap((step) => ('slots' in step ? expandSlots(step.slots) : []));
}

// Keys that lie where they do not belong, on nodes that have no slot open: what a move that was broken off left behind.
function planStrays(
  view: ClusterView,
  { holders, sharing }: KeyEvidence,
  { takers, undecided: unowned }: UncoveredPlan,
  besides: ReadonlySet<number>,
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
        reason: `${names} claim them with one config epoch, and do not hear of one another`,
        hint: 'Let them reach one another on the cluster bus port: then one of them takes a higher epoch by itself',
      });
      continue;
    }
    const pair = sharing.get(slot)?.find((ids) => !ids.includes(owner.id));
    if (pair) {
      const [a, b] = pair.map((id) => nodeName(view, id));
      undecided.push({
        slot,
        code: 'KEY_CONFLICT',
        reason: `${a} and ${b}, which do not own them, both hold a key of theirs`,
        hint: 'Delete it on the one where it is wrong, then run the same command again',
      });
      continue;
    }
    const marked = taker ? (open.get(slot) ?? []).map(({ nodeId }) => nodeId) : [];
    for (const id of new Set([...(holders.get(slot) ?? []), ...claims, ...marked])) {
      const node = nodeById(view, id);
      if (node && id !== owner.id) steps.push(closing(node, owner, slot));
    }
  }
  return { steps, undecided };
}

/**
 * Joins steps on the same nodes. Closings come last, since they may name a move's target as the owner, and those of owners
 * first among them: an owner that still gives a slot away takes no key of it. First of all slots are taken that nobody serves, and
 * nodes are told whom to move from.
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
      return `${step.type} ${step.node.id} ${step.owner.id} ${step.stayOpen}`;
  }
}
