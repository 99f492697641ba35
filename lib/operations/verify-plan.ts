import { lookForPlan } from '../apply/sight.ts';
import { unmet } from '../model/expectation.ts';
import { openSlotsOf } from '../model/view.ts';
import type { ConnectionOptions, ControlOptions } from '../options.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { type Difference, ownOpenSlots, standingOf } from '../plan/standing.ts';
import { checkPlan } from './parse-plan.ts';
import { type ClusterLike, seedOf, withReading } from './run.ts';

/** How far a plan has come. */
export interface PlanStanding {
  /** `differs`: something is neither as the plan saw it nor as it makes it. */
  readonly state: 'done' | 'partly' | 'not-begun' | 'differs';
  /** What is done of its steps. */
  readonly done: readonly Step[];
  /** What is left of them. */
  readonly left: readonly Step[];
  /** What is neither as the plan saw it nor as it makes it. */
  readonly differences: readonly Difference[];
  /** What nodes do not say yet though every step is done. */
  readonly missing: readonly string[];
  /** Slots of its moves that are open. */
  readonly openSlots: readonly number[];
}

/** Tells how far a plan has come; changes nothing. Rejects with ClusterError `PLAN_INVALID`, or where no node can be asked. */
export async function verifyPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: ConnectionOptions & ControlOptions = {},
): Promise<PlanStanding> {
  const checked = checkPlan(plan);
  return withReading(cluster, options, async (context) => {
    const sight = await lookForPlan(context, checked, seedOf(cluster), false);
    const { differences, left, done } = standingOf(checked, sight);
    const { view } = sight;
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
