import { unmet } from '../model/expectation.ts';
import { openSlotsOf } from '../model/view.ts';
import { lookForPlan } from '../nodes/look-for-plan.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { type Difference, ownOpenSlots } from '../plan/plan-differences.ts';
import { standingOf } from '../plan/standing.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';
import { checkPlan } from './parse-plan.ts';

/** How far a plan has come. */
export interface PlanStanding {
  /** `differs`: something is neither as it was before the plan nor as the plan makes it. */
  readonly state: 'done' | 'partly' | 'not-begun' | 'differs';
  /** The part of its steps that is done. */
  readonly done: readonly Step[];
  /** The part that is left. */
  readonly left: readonly Step[];
  /** What is neither as it was before the plan nor as the plan makes it. */
  readonly differences: readonly Difference[];
  /** What nodes do not report yet although every step is done. */
  readonly missing: readonly string[];
  /** Open slots of its moves. */
  readonly openSlots: readonly number[];
}

/** Reports how far a plan has come. Changes nothing. Rejects with ClusterError `PLAN_INVALID`, or if no node answers. */
export async function verifyPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: ConnectionOptions & ControlOptions = {},
): Promise<PlanStanding> {
  const checked = checkPlan(plan);
  return withReading(cluster, options, async (context) => {
    const seen = await lookForPlan(context, checked, seedOf(cluster), false);
    const { differences, left, done } = standingOf(checked, seen);
    const { view } = seen;
    const isEnded = left.length === 0 && differences.length === 0;
    const missing =
      isEnded && checked.expect ? unmet(checked.expect, view.reports).map(({ text }) => text) : [];
    const open = ownOpenSlots(checked, view);
    const openSlots = [...openSlotsOf(view).keys()].filter((slot) => open.has(slot));
    return { state: stateOf(), done, left, differences, missing, openSlots };

    function stateOf(): PlanStanding['state'] {
      if (differences.length > 0) return 'differs';
      if (isEnded) return missing.length + openSlots.length === 0 ? 'done' : 'partly';
      return done.length + openSlots.length === 0 ? 'not-begun' : 'partly';
    }
  });
}
