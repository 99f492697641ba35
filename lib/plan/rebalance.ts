import { invalidArgument } from '../model/cluster-error.ts';
import { countSlots, type NodeRecord, slotsOf } from '../model/node.ts';
import { toRanges } from '../model/slot.ts';
import { evenLoads } from './even-loads.ts';
import { type MoveStep, nodeRef } from './plan.ts';

/** A master that takes part, and its share relative to the others. */
export interface WeightedMaster {
  readonly node: NodeRecord;
  readonly weight: number;
}

export interface RebalanceRequest {
  readonly masters: readonly WeightedMaster[];
  /** Per cent by which a master may deviate from its share. */
  readonly threshold: number;
  /** By slot: its load. @default the same for all slots */
  readonly loads?: ArrayLike<number>;
}

/**
 * The masters that take part, with their weights; the default weight is 1. A master without slots takes part only with
 * `useEmpty`, or if it was given a weight above 0.
 */
export function weighMasters(
  masters: readonly NodeRecord[],
  weights: ReadonlyMap<string, number>,
  useEmpty: boolean,
): WeightedMaster[] {
  return masters
    .map((node) => ({ node, weight: weights.get(node.id) ?? 1 }))
    .filter(({ node, weight }) => countSlots(node) > 0 || (weight > 0 && (useEmpty || weights.has(node.id))));
}

/**
 * Moves that bring every master to its share. None if no master deviates by more than the threshold. Throws ClusterError
 * `INVALID_ARGUMENT` for an invalid threshold or weight, or if all weights are 0.
 */
export function draftRebalance({ masters, threshold, loads }: RebalanceRequest): MoveStep[] {
  if (!(Number.isFinite(threshold) && threshold >= 0)) throw invalidArgument(`Not a threshold: ${threshold}`);
  for (const { node, weight } of masters) {
    if (!(Number.isFinite(weight) && weight >= 0)) {
      throw invalidArgument(`Not a weight for ${nodeRef(node).address}: ${weight}`);
    }
  }
  if (masters.length > 0 && masters.every(({ weight }) => weight === 0)) {
    throw invalidArgument('All weights are 0: no master is left to own the slots');
  }
  return loads ? planByLoads(masters, loads, threshold) : planByCounts(masters, threshold);
}

interface Holder extends WeightedMaster {
  readonly slots: readonly number[];
  /** Its share, rounded down or up. */
  quota: number;
}

function planByCounts(masters: readonly WeightedMaster[], threshold: number): MoveStep[] {
  const holders = shareOut(masters);
  if (!holders.some((holder) => isOff(holder, threshold))) return [];
  const surplus = ({ slots, quota }: Holder) => slots.length - quota;
  const givers = holders.filter((one) => surplus(one) > 0).sort((a, b) => surplus(b) - surplus(a));
  const takers = holders.filter((one) => surplus(one) < 0).sort((a, b) => surplus(a) - surplus(b));
  const steps: MoveStep[] = [];
  let [given, taken, taker] = [0, 0, 0];
  for (const giver of givers) {
    for (given = 0; given < surplus(giver); ) {
      const to = takers[taker];
      if (!to) return steps;
      const count = Math.min(surplus(giver) - given, -surplus(to) - taken);
      steps.push(moveStep(giver.node, to.node, giver.slots.slice(given, given + count)));
      given += count;
      taken += count;
      if (taken === -surplus(to)) [taker, taken] = [taker + 1, 0];
    }
  }
  return steps;
}

// Floating point: 16384 × 0.3 ÷ 0.6 is not a whole number.
const EPSILON = 1e-6;

// The slots that rounding down leaves over go first to masters that have more than their quota, so that as few as possible
// move, then to those that lose most by rounding. A master that loses nothing gets none, so that every master ends less
// than one slot from its share.
function shareOut(masters: readonly WeightedMaster[]): Holder[] {
  const holders = masters.map((master) => ({ ...master, slots: slotsOf(master.node), quota: 0, lost: 0 }));
  const slots = holders.reduce((sum, holder) => sum + holder.slots.length, 0);
  const weights = masters.reduce((sum, { weight }) => sum + weight, 0);
  for (const holder of holders) {
    const share = (slots * holder.weight) / weights;
    holder.quota = Math.floor(share + EPSILON);
    holder.lost = share - holder.quota;
  }
  const spare = holders.reduce((sum, { quota }) => sum - quota, slots);
  holders
    .filter(({ lost }) => lost > EPSILON)
    .sort((a, b) => Number(hasMore(b)) - Number(hasMore(a)) || b.lost - a.lost)
    .slice(0, spare)
    .forEach((holder) => {
      holder.quota += 1;
    });
  return holders;
}

function hasMore({ slots, quota }: Holder): boolean {
  return slots.length > quota;
}

// As redis-cli, except that a weight of 0 ignores the threshold.
function isOff({ slots, quota, weight }: Holder, threshold: number): boolean {
  const now = slots.length;
  if (threshold === 0 || (weight === 0 && now > 0)) return now !== quota;
  return now > 0 ? Math.abs(100 - (100 * quota) / now) > threshold : quota > 1;
}

function planByLoads(
  masters: readonly WeightedMaster[],
  loads: ArrayLike<number>,
  threshold: number,
): MoveStep[] {
  const carriers = masters.map(({ node, weight }) => ({ weight, slots: slotsOf(node) }));
  const owners = evenLoads(carriers, loads, threshold);
  const steps: MoveStep[] = [];
  for (const [from, { slots }] of carriers.entries()) {
    const byTarget = new Map<number, number[]>();
    for (const slot of slots) {
      const to = owners[slot] ?? from;
      if (to === from) continue;
      const moved = byTarget.get(to);
      if (moved) moved.push(slot);
      else byTarget.set(to, [slot]);
    }
    for (const [to, moved] of [...byTarget].sort(([a], [b]) => a - b)) {
      const [source, target] = [masters[from], masters[to]];
      if (source && target) steps.push(moveStep(source.node, target.node, moved));
    }
  }
  return steps;
}

function moveStep(source: NodeRecord, target: NodeRecord, slots: readonly number[]): MoveStep {
  return { type: 'move-slots', source: nodeRef(source), target: nodeRef(target), slots: toRanges(slots) };
}
