import type { Context } from '../apply/context.ts';
import { nodeError } from '../apply/context.ts';
import { requireAnswers, requireServing } from '../apply/settle.ts';
import { lookForPlan } from '../apply/sight.ts';
import { hasCopiedMaster } from '../apply/steps/replicate-master.ts';
import { ClusterError } from '../errors.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import {
  type Difference,
  nodesNow,
  ownOpenSlots,
  type Sight,
  type Standing,
  standingOf,
} from '../plan/standing.ts';
import { traceOf } from '../plan/trace.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { checkPlan } from './parse-plan.ts';
import { applyAndVerify, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

/**
 * Carries out a plan that was made before, on the cluster it was made for. One that was begun already, by whomever, is finished:
 * slots that have moved count as done. What is in the slots, memory and other operators are looked at anew.
 * The plan of the result has the steps that were left.
 * Rejects with ClusterError `PLAN_INVALID`, `NOT_SAME_CLUSTER`, or `PLAN_STALE` where anything is neither as the plan saw it
 * nor as it makes it, before anything is changed.
 */
export async function applyPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: OperationOptions = {},
): Promise<OperationResult> {
  const checked = checkPlan(plan);
  return carryOutChecked(cluster, options, async (context) => {
    const sight = await lookForPlan(context, checked, seedOf(cluster), true);
    const standing = standingOf(checked, sight);
    requireSame(checked, sight, standing.differences);
    const left: Plan = { ...checked, before: nodesNow(checked, sight), steps: standing.left };
    await requireReady(context, left, sight);
    return { plan: left, original: checked, sight };
  });
}

/** A plan that may be carried out now. */
export interface Ready {
  readonly plan: Plan;
  /** The plan it is part of, or takes back: open slots of its moves are its own. */
  readonly original: Plan;
  readonly sight: Sight;
}

/**
 * Finds out what is to be done, finishes the moves that were begun of it, and does it. It is found out again once it was approved: a
 * person may take a while to answer.
 */
export function carryOutChecked(
  cluster: ClusterLike,
  options: OperationOptions,
  find: (context: Context) => Promise<Ready>,
): Promise<OperationResult> {
  let context: Context | undefined;
  let isApproved = false;
  const approve: OperationOptions['approve'] = async (plan) => {
    if (isApproved) return true;
    if (options.approve) {
      if (!(await options.approve(plan))) return false;
      if (context) await find(context);
    }
    isApproved = true;
    return true;
  };
  return withContext(cluster, { ...options, approve }, async (own) => {
    context = own;
    let ready = await find(own);
    const { view } = ready.sight;
    if (!options.dryRun && ownOpenSlots(ready.original, view).size > 0) {
      if (!(await approve(ready.plan))) throw notApproved(ready.plan);
      await finishOpenSlots(own, view);
      ready = await find(own);
    }
    return applyAndVerify(own, ready.plan);
  });
}

function notApproved({ operation }: Plan): ClusterError {
  return new ClusterError('NOT_APPROVED', `The plan of ${operation} was not approved`, {
    hint: 'Nothing was changed',
  });
}

/** Throws where a plan was made for another cluster, or for this one as it is no more. */
export function requireSame(
  plan: Plan,
  { view, members }: Sight,
  differences: Standing['differences'],
): void {
  const [first] = differences;
  if (!first) return;
  const { newcomers } = traceOf(plan);
  const settled = plan.before.filter(({ id }) => !newcomers.has(id));
  if (settled.length > 0 && !settled.some(({ id }) => members.has(id))) {
    const name = formatAddress(view.seed);
    throw nodeError(
      'NOT_SAME_CLUSTER',
      name,
      `The plan was made for another cluster: ${name} knows none of its ${settled.length} nodes by their ids`,
      { hint: 'Nothing was changed. Make a plan for this cluster' },
    );
  }
  throw new ClusterError(
    'PLAN_STALE',
    `The cluster is not the one that the plan saw: ${listed(differences)}`,
    {
      address: first.node,
      hint: 'Nothing was changed. Make a new plan; or put this back, and apply it then',
    },
  );
}

const SHOWN = 5;

function listed(differences: readonly Difference[]): string {
  const shown = differences.slice(0, SHOWN).map(({ text }) => text);
  if (differences.length > SHOWN) shown.push(`and ${differences.length - SHOWN} more differences`);
  return shown.join('; ');
}

/** Throws where a plan would fail half-way that could be carried out by what is where. */
export async function requireReady(context: Context, plan: Plan, { view }: Sight): Promise<void> {
  const { dead, newcomers } = traceOf(plan);
  const unreachable = new Map([...view.unreachable].filter(([id]) => !dead.has(id)));
  const what = `apply the plan of ${plan.operation}`;
  const moves = plan.steps.some(({ type }) => type === 'move-slots');
  const mends = plan.steps.some(({ type }) => type === 'take-slots' || type === 'assign-slots');
  if (plan.steps.length === 0) return;
  if (plan.expect) {
    if (moves && !mends) requireServing({ ...view, unreachable }, what);
    else if (plan.before.some(({ id }) => !newcomers.has(id)))
      requireMembers(plan, { ...view, unreachable }, what);
  }
  for (const step of plan.steps) {
    if (step.type !== 'failover' || step.mode !== 'graceful') continue;
    const address: Address = parseAddress(step.replica.address);
    if (await hasCopiedMaster(context, address)) continue;
    const message = `Cannot fail over to ${step.replica.address}: its link to ${step.master.address} is down`;
    throw nodeError('NOT_REACHED', address, message, {
      hint: `Nothing was changed. See "INFO replication" on ${step.replica.address}`,
    });
  }
}

// Whoever gave no answer when the plan was made, and is no part of it, need not give one now.
function requireMembers({ expect }: Plan, view: Sight['view'], what: string): void {
  const members = new Set(expect?.members.map(({ id }) => id));
  const unreachable = new Map([...view.unreachable].filter(([id]) => members.has(id)));
  requireAnswers({ ...view, unreachable }, what);
}
