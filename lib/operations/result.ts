import { waitForAgreement } from '../apply/agree.ts';
import { applyPlan } from '../apply/apply.ts';
import type { Context } from '../apply/context.ts';
import type { Moved } from '../apply/mover/progress.ts';
import { prepare } from '../apply/prepare.ts';
import type { Expectation } from '../model/expectation.ts';
import type { Plan } from '../plan/plan.ts';

/** What an operation did, or, after a dry run, would do. */
export interface OperationResult {
  readonly plan: Plan;
  /** False after a dry run. */
  readonly applied: boolean;
  /** Slots that were moved. */
  readonly slots: number;
  /** Keys that were moved. */
  readonly keys: number;
  /** Bytes of these keys, an estimate. */
  readonly bytes: number;
  /** Milliseconds the slowest batch of keys held up its source. */
  readonly longestStallMs: number;
  /** Pace of the moves alone, without what came before and after them. */
  readonly keysPerSecond: number;
  /** Milliseconds for all of it. */
  readonly elapsedMs: number;
}

export const NOTHING_MOVED: Moved = { slots: 0, keys: 0, bytes: 0, longestStallMs: 0, keysPerSecond: 0 };

/** Surveys a plan, applies it, unless this is a dry run, and waits until every member says what is expected. */
export async function carryOut(
  context: Context,
  planned: Plan,
  expectation: Expectation | undefined,
): Promise<OperationResult> {
  const started = performance.now();
  const plan = await prepare(context, planned);
  if (context.options.dryRun) {
    context.emit({ type: 'plan', plan });
    return { plan, applied: false, ...NOTHING_MOVED, elapsedMs: performance.now() - started };
  }
  const moved = await applyPlan(context, plan);
  if (expectation) await waitForAgreement(context, expectation, 'every node to agree');
  return { plan, applied: true, ...moved, elapsedMs: performance.now() - started };
}
