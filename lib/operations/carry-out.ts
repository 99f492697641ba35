import { catchUp } from '../apply/catch-up.ts';
import { closeAgain } from '../apply/close-again.ts';
import { followUp } from '../apply/follow-up.ts';
import { forgetAgain } from '../apply/forget-again.ts';
import { prepare } from '../apply/prepare.ts';
import { runSteps } from '../apply/run-steps.ts';
import { notApproved } from '../errors.ts';
import type { Expectation, RoleExpectation } from '../model/expectation.ts';
import type { NodeRecord } from '../model/node.ts';
import { estimateMs } from '../move/estimate.ts';
import type { Moved } from '../move/progress.ts';
import { type Nudge, waitForAgreement } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { type Draft, type Plan, toPlan } from '../plan/plan.ts';

/** What an operation did or, after a dry run, would do. */
export interface OperationResult {
  readonly plan: Plan;
  /** False after a dry run. */
  readonly applied: boolean;
  /** Number of slots moved. */
  readonly slots: number;
  /** Number of keys moved. */
  readonly keys: number;
  /** Estimated size of these keys in bytes. */
  readonly bytes: number;
  /** Milliseconds that the slowest batch of keys blocked its source. */
  readonly longestStallMs: number;
  /** Rate of the moves alone, not counting the time before and after them. */
  readonly keysPerSecond: number;
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
  /** After a dry run: milliseconds that introducing nodes and moving slots may take, an order of magnitude. */
  readonly estimatedMs?: number;
}

const NOTHING_MOVED: Moved = { slots: 0, keys: 0, bytes: 0, longestStallMs: 0, keysPerSecond: 0 };

/**
 * Surveys a plan and asks for approval. Unless this is a dry run, applies it and waits until every member reports what is
 * expected. `nodes` are the nodes that the draft was made for.
 */
export async function carryOut(
  context: Context,
  nodes: readonly NodeRecord[],
  draft: Draft,
): Promise<OperationResult> {
  return applyAndVerify(context, toPlan(draft, nodes));
}

/** The same for a plan, which has its nodes already. */
export async function applyAndVerify(context: Context, planned: Plan): Promise<OperationResult> {
  const started = performance.now();
  const prepared = await prepare(context, planned);
  const { plan } = prepared;
  if (context.settings.dryRun) {
    context.emit({ type: 'plan', plan });
    const estimatedMs = estimateMs(plan.steps, context.settings, (move) => prepared.methods.of(move));
    return { plan, applied: false, ...NOTHING_MOVED, estimatedMs, elapsedMs: performance.now() - started };
  }
  await requireApproval(context, plan);
  const moved = inAll(context, await runSteps(context, prepared));
  if (plan.expect) {
    const types = new Set(plan.steps.map(({ type }) => type));
    // After a move, the new owner announces itself to all nodes. A new replica does not.
    const isSlow = types.has('replicate') || (types.has('meet') && !types.has('move-slots'));
    const tell = catchUp(context, plan.before);
    const isAssigned = types.has('failover') || types.has('replicate');
    const follow = isAssigned ? followUp(context, plan.expect) : undefined;
    const forget = types.has('forget') ? forgetAgain(context) : undefined;
    const close = closeAgain(context, plan.expect);
    const nudge: Nudge = async (missing, answers) => {
      await close(missing, answers);
      await follow?.(missing, answers);
      await forget?.(missing, answers);
      if (isSlow || missing.every(({ isRole }) => isRole)) await tell(missing, answers);
    };
    const isMove = types.size === 1 && types.has('move-slots');
    const expected = { ...settledRoles(plan.expect), replicasMayDoubt: isMove };
    await waitForAgreement(context, expected, 'every node to agree', nudge);
  }
  return { plan, applied: true, ...moved, elapsedMs: performance.now() - started };
}

// With what was left of an earlier run, and finished first.
function inAll({ account }: Context, moved: Moved): Moved {
  const { finished } = account;
  if (!finished) return moved;
  account.finished = undefined;
  return {
    slots: finished.slots + moved.slots,
    keys: finished.keys + moved.keys,
    bytes: finished.bytes + moved.bytes,
    longestStallMs: Math.max(finished.longestStallMs, moved.longestStallMs),
    keysPerSecond: (moved.keys > 0 ? moved : finished).keysPerSecond,
  };
}

// A master that gives its last slot away becomes a replica of the new owner, and so do its replicas, unless that is switched off
// (cluster-allow-replica-migration). The others hear of it with the next packet from each, which may take half the node timeout.
function settledRoles(expect: Expectation): RoleExpectation {
  return expect.owners ? { ...expect, settled: expect.members.map(({ id }) => id) } : expect;
}

/** Throws if the caller does not approve the plan. A plan without steps needs no approval. */
export async function requireApproval({ options }: Context, plan: Plan): Promise<void> {
  if (plan.steps.length === 0 || !options.approve || (await options.approve(plan))) return;
  throw notApproved(`The plan of ${plan.operation} was not approved`);
}
