import type { Expectation } from '../model/expectation.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { expandSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, reachableMasters } from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type MoveStep, nodeRef, type Plan, toPlan } from './plan.ts';
import { moveReasons, shareReasons } from './reasons.ts';
import { planRebalance as planMoves, weighMasters } from './rebalance.ts';
import { planReshard as planParts } from './reshard.ts';

export interface RebalancePlanOptions {
  /** A master's share relative to the others', by node id. 0 empties it. @default 1 for each */
  readonly weights?: Readonly<Record<string, number>>;
  /** Gives slots to masters without any. @default false */
  readonly useEmptyMasters?: boolean;
  /** Per cent that a master may be off its share. @default 2 */
  readonly threshold?: number;
}

export interface ReshardPlanOptions {
  /** Ids of the masters that give slots; `'all'` for all but the one that receives. */
  readonly from: 'all' | readonly string[];
  /** Id of the master that receives them. */
  readonly to: string;
  /** How many slots, shared among the sources by how many they have, or which. */
  readonly slots: number | SlotsLike;
}

/**
 * The plan that brings every master to its share of slots. Pure: the same view gives the same plan, and nobody is asked. No steps
 * where no master is off its share by more than the threshold. Throws a RangeError for an id that is no working master's.
 */
export function planRebalance(view: ClusterView, options: RebalancePlanOptions = {}): Plan {
  const { weights = {}, useEmptyMasters = false, threshold = 2 } = options;
  const working = workingMasters(view);
  for (const id of Object.keys(weights)) requireMaster(view, id);
  const masters = weighMasters(working, new Map(Object.entries(weights)), useEmptyMasters);
  const steps = planMoves({ masters, threshold });
  const draft = {
    operation: 'rebalance',
    steps,
    masters: mastersOf(view),
    expect: expectationOf(view, steps),
  };
  return toPlan({ ...draft, reasons: shareReasons(masters, steps, 'slots') }, view.nodes);
}

/**
 * The plan that moves slots of several masters to one. Pure, like `planRebalance`. Throws a RangeError for an id that is no
 * working master's, and for slots that the sources do not have.
 */
export function planReshard(view: ClusterView, { from, to, slots }: ReshardPlanOptions): Plan {
  const target = requireMaster(view, to);
  const sources =
    from === 'all'
      ? workingMasters(view).filter(({ id }) => id !== target.id)
      : [...new Set(from)].map((id) => requireMaster(view, id));
  const wanted = typeof slots === 'number' ? slots : expandSlots(slots);
  const planned = planParts({ sources, target, slots: wanted });
  if ('refusal' in planned) throw new RangeError(planned.refusal.message);
  const { steps } = planned;
  const owned = typeof wanted === 'number' ? [] : [{ id: target.id, slots: toRanges(wanted) }];
  const reasons = moveReasons(steps, 'gives', 'receives');
  const expect = expectationOf(view, steps, owned);
  return toPlan({ operation: 'reshard', steps, masters: mastersOf(view), expect, reasons }, view.nodes);
}

function requireMaster(view: ClusterView, id: string): NodeRecord {
  const node = nodeById(view, id);
  if (node && workingMasters(view).includes(node)) return node;
  throw new RangeError(`Not the id of a master that works: "${id}"`);
}

/** Masters that answer and that nobody holds for failed. */
export function workingMasters(view: ClusterView): NodeRecord[] {
  return reachableMasters(view).filter((node) => !isFailed(node));
}

/** What every member that answers says when the moves are done. */
export function expectationOf(
  view: ClusterView,
  moves: readonly MoveStep[],
  owned: Expectation['owners'] = [],
): Expectation {
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  return { members, owners: [...owned, ...moves.map(({ target, slots }) => ({ id: target.id, slots }))] };
}
