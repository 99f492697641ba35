import { ClusterError, invalidArgument } from '../model/cluster-error.ts';
import type { Expectation } from '../model/expectation.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { expandSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, reachableMasters } from '../model/view.ts';
import { DEFAULTS } from '../settings.ts';
import { mastersOf } from './moves.ts';
import { type MoveStep, nodeRef, type Plan, toPlan } from './plan.ts';
import { moveReasons, shareReasons } from './reasons.ts';
import { draftRebalance, weighMasters } from './rebalance.ts';
import { draftReshard } from './reshard.ts';

export interface RebalancePlanOptions {
  /** By node id: a master's share relative to the others. 0 empties it. @default 1 for each */
  readonly weights?: Readonly<Record<string, number>>;
  /** Give slots to masters that have none. @default false */
  readonly useEmptyMasters?: boolean;
  /** Per cent by which a master may deviate from its share. @default 2 */
  readonly threshold?: number;
}

export interface ReshardPlanOptions {
  /** Ids of the source masters; `'all'` for all masters but the target. */
  readonly from: 'all' | readonly string[];
  /** Id of the target master. */
  readonly to: string;
  /** Which slots, or how many: then the sources give in proportion to the slots they have. */
  readonly slots: number | SlotsLike;
}

/**
 * The plan that brings every master to its share of slots. Pure: no node is asked, and the same view gives the same plan. It has
 * no steps if no master is off its share by more than the threshold. Throws ClusterError `INVALID_ARGUMENT` for an id that is not
 * that of a working master.
 */
export function planRebalance(view: ClusterView, options: RebalancePlanOptions = {}): Plan {
  const defaults = DEFAULTS.rebalance;
  const { useEmptyMasters = defaults.useEmptyMasters, threshold = defaults.threshold } = options;
  const { weights = {} } = options;
  const working = workingMasters(view);
  for (const id of Object.keys(weights)) requireMaster(view, id);
  const masters = weighMasters(working, new Map(Object.entries(weights)), useEmptyMasters);
  const steps = draftRebalance({ masters, threshold });
  const draft = {
    operation: 'rebalance',
    steps,
    masters: mastersOf(view),
    expect: expectationOf(view, steps),
  };
  return toPlan({ ...draft, reasons: shareReasons(masters, steps, 'slots') }, view.nodes);
}

/**
 * The plan that moves slots of several masters to one. Pure, like `planRebalance`. Throws ClusterError `INVALID_ARGUMENT` for an
 * id that is not that of a working master, and for slots that the sources do not have.
 */
export function planReshard(view: ClusterView, { from, to, slots }: ReshardPlanOptions): Plan {
  const target = requireMaster(view, to);
  const sources =
    from === 'all'
      ? workingMasters(view).filter(({ id }) => id !== target.id)
      : [...new Set(from)].map((id) => requireMaster(view, id));
  const wanted = typeof slots === 'number' ? slots : expandSlots(slots);
  const planned = draftReshard({ sources, target, slots: wanted });
  if ('refusal' in planned) {
    const { code, message, ...advice } = planned.refusal;
    throw new ClusterError(code, message, advice);
  }
  const { steps } = planned;
  const owned = typeof wanted === 'number' ? [] : [{ id: target.id, slots: toRanges(wanted) }];
  const reasons = moveReasons(steps, 'gives', 'receives');
  const expect = expectationOf(view, steps, owned);
  return toPlan({ operation: 'reshard', steps, masters: mastersOf(view), expect, reasons }, view.nodes);
}

function requireMaster(view: ClusterView, id: string): NodeRecord {
  const node = nodeById(view, id);
  if (node && workingMasters(view).includes(node)) return node;
  throw invalidArgument(`Not the id of a working master: "${id}"`);
}

/** Masters that answer and are not flagged `fail`. */
export function workingMasters(view: ClusterView): NodeRecord[] {
  return reachableMasters(view).filter((node) => !isFailed(node));
}

/** What every member that answers must report after the moves. */
export function expectationOf(
  view: ClusterView,
  moves: readonly MoveStep[],
  owned: Expectation['owners'] = [],
): Expectation {
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  return { members, owners: [...owned, ...moves.map(({ target, slots }) => ({ id: target.id, slots }))] };
}
