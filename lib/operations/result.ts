import { waitForAgreement } from '../apply/agree.ts';
import { applyPlan } from '../apply/apply.ts';
import { catchUp } from '../apply/catch-up.ts';
import type { Context } from '../apply/context.ts';
import type { Moved } from '../apply/mover/progress.ts';
import { prepare } from '../apply/prepare.ts';
import { ClusterError } from '../errors.ts';
import type { NodeRecord } from '../model/node.ts';
import { type Draft, type Plan, toPlan } from '../plan/plan.ts';

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

/**
 * Surveys a plan, has it approved, applies it, unless this is a dry run, and waits until every member says what is expected.
 * `nodes` are those that the draft was made for.
 */
export async function carryOut(
  context: Context,
  nodes: readonly NodeRecord[],
  draft: Draft,
): Promise<OperationResult> {
  return applyAndVerify(context, toPlan(draft, nodes));
}

/** The same for a plan that is bound to its nodes already. */
export async function applyAndVerify(context: Context, planned: Plan): Promise<OperationResult> {
  const started = performance.now();
  const plan = await prepare(context, planned);
  if (context.options.dryRun) {
    context.emit({ type: 'plan', plan });
    return { plan, applied: false, ...NOTHING_MOVED, elapsedMs: performance.now() - started };
  }
  await requireApproval(context, plan);
  const moved = await applyPlan(context, plan);
  if (plan.expect) {
    const types = new Set(plan.steps.map(({ type }) => type));
    // After a move the new owner tells everybody by itself.
    const isSlow = types.has('meet') && !types.has('move-slots');
    const nudge = isSlow ? catchUp(context, plan.before) : undefined;
    await waitForAgreement(context, plan.expect, 'every node to agree', nudge);
  }
  return { plan, applied: true, ...moved, elapsedMs: performance.now() - started };
}

/** Throws unless whoever asked for the operation wants the plan carried out. A plan without steps is not asked about. */
export async function requireApproval({ options }: Context, plan: Plan): Promise<void> {
  if (plan.steps.length === 0 || !options.approve || (await options.approve(plan))) return;
  throw new ClusterError('NOT_APPROVED', `The plan of ${plan.operation} was not approved`, {
    hint: 'Nothing was changed',
  });
}
