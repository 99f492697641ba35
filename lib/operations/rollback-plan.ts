import { requireNoOtherTask } from '../apply/atomic-tasks.ts';
import { parseAddress } from '../model/address.ts';
import { countSlots } from '../model/node.ts';
import { nodeById, nodeName } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { nodeError } from '../nodes/context.ts';
import { lookForPlan } from '../nodes/look-for-plan.ts';
import { askNewcomer, emptying } from '../nodes/newcomer.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { Difference } from '../plan/plan-differences.ts';
import { nodesNow, type PlanView } from '../plan/plan-view.ts';
import { standingOf } from '../plan/standing.ts';
import { traceOf } from '../plan/trace.ts';
import { carryOutChecked, requireReady, requireSame } from './apply-plan.ts';
import type { OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf } from './cluster.ts';
import { checkPlan, inversePlan } from './parse-plan.ts';

/**
 * Undoes the part of a plan that was done: restores slots and roles, and removes the nodes that it added. The same call
 * finishes an interrupted rollback.
 * Before anything is changed, rejects with ClusterError `PLAN_STALE` as `applyPlan` does, `NOT_REVERSIBLE` for a step that
 * cannot be undone, or `NODE_NOT_EMPTY` if keys would be lost.
 */
export async function rollbackPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: OperationOptions = {},
): Promise<OperationResult> {
  const checked = checkPlan(plan);
  return carryOutChecked(cluster, options, async (context) => {
    const seen = await lookForPlan(context, checked, seedOf(cluster), true);
    const { differences, done } = standingOf(checked, seen);
    requireSame(
      checked,
      seen,
      differences.filter((one) => !isTakenBack(one, checked, seen)),
    );
    const inverse = inversePlan({ ...checked, steps: done });
    const left = inverse.steps.filter((step) => step.type !== 'reset' || !seen.otherIds.has(step.node.id));
    const { expect: _, ...rest } = inverse;
    const ready: Plan = {
      ...rest,
      before: nodesNow(checked, seen),
      steps: left,
      ...expectationAfter(checked, inverse),
    };
    requireMasters(ready, seen);
    await requireNothingOnItsWay(context, checked, ready);
    await requireNoKeysLost(context, ready, seen);
    await requireReady(context, ready, seen);
    return { plan: ready, original: checked, seen };
  });
}

// Nodes that the plan adds are not members afterwards, or never were.
function expectationAfter(plan: Plan, { expect }: Plan): Pick<Plan, 'expect'> {
  const { newcomers } = traceOf(plan);
  const members = expect?.members.filter(({ id }) => !newcomers.has(id)) ?? [];
  return expect && members.length > 0 ? { expect: { ...expect, members } } : {};
}

// An interrupted rollback has reset nodes that the plan added.
function isTakenBack({ node, field }: Difference, plan: Plan, { otherIds, members }: PlanView): boolean {
  if (field !== 'id') return false;
  const id = plan.before.find(({ address }) => address === node)?.id ?? '';
  return otherIds.get(id)?.isFresh === true && !members.has(id) && traceOf(plan).newcomers.has(id);
}

// A master that gave its last slot away became a replica, if cluster-allow-replica-migration is on.
function requireMasters({ steps }: Plan, { view }: PlanView): void {
  for (const step of steps) {
    if (step.type !== 'move-slots') continue;
    const target = nodeById(view, step.target.id);
    if (target?.role !== 'replica') continue;
    const [cluster, { address }] = [step.source.address, step.target];
    const message =
      `Cannot undo what was done to ${address}: it gave its last slot away and became a replica of ` +
      `${nodeName(view, target.masterId ?? '')}, and no replica can become a master without slots under its node id`;
    throw nodeError('NOT_REVERSIBLE', address, message, {
      hint: 'Nothing was changed',
      next: [
        { do: 'del-node', cluster, node: address },
        { do: 'join-no-load', cluster, node: address, when: 'after-that' },
        { do: 'reshard', cluster, target: address, slots: countSlots(step), when: 'after-that' },
      ],
    });
  }
}

// An atomic migration begun by an interrupted run continues on its own: its slots would still arrive.
async function requireNothingOnItsWay(context: Context, plan: Plan, { steps }: Plan): Promise<void> {
  if (context.settings.dryRun || !plan.steps.some(({ type }) => type === 'move-slots')) return;
  const moves = steps.filter((step) => step.type === 'move-slots');
  await requireNoOtherTask(context, plan, moves, (error) => {
    if (!context.settings.force) throw error;
    context.emit({ type: 'warning', message: error.message });
  });
}

// The nodes of a cluster that the rollback dissolves.
async function requireNoKeysLost(context: Context, { steps }: Plan, { view }: PlanView): Promise<void> {
  const forgotten = new Set(steps.flatMap((step) => (step.type === 'forget' ? [step.node.id] : [])));
  const ending = steps.flatMap((step) =>
    step.type === 'reset' && !forgotten.has(step.node.id) && nodeById(view, step.node.id)?.role === 'master'
      ? [step.node]
      : [],
  );
  await inParallel(ending, async ({ address }) => {
    const { keys } = await askNewcomer(context, parseAddress(address));
    if (keys === 0) return;
    throw nodeError(
      'NODE_NOT_EMPTY',
      address,
      `Cannot dissolve the cluster: ${address} still contains keys (${keys})`,
      {
        ...emptying(address),
      },
    );
  });
}
