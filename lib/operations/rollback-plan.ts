import { requireNoOtherTask } from '../apply/atomic-tasks.ts';
import type { Context } from '../apply/context.ts';
import { nodeError } from '../apply/context.ts';
import { askNewcomer } from '../apply/newcomer.ts';
import { inParallel } from '../apply/parallel.ts';
import { lookForPlan } from '../apply/sight.ts';
import { parseAddress } from '../model/address.ts';
import { nodeById, nodeName } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { type Difference, nodesNow, type Sight, standingOf } from '../plan/standing.ts';
import { traceOf } from '../plan/trace.ts';
import { carryOutChecked, requireReady, requireSame } from './apply-plan.ts';
import { checkPlan, inversePlan } from './parse-plan.ts';
import type { OperationResult } from './result.ts';
import { type ClusterLike, seedOf } from './run.ts';

/**
 * Takes back what was done of a plan, all of it or a part: slots go back where they were, roles too, and nodes that it brought
 * in leave. The same call finishes a rollback that was interrupted.
 * Rejects with ClusterError `PLAN_STALE` as `applyPlan` does, with `NOT_REVERSIBLE` for what cannot be taken back, and with
 * `NODE_NOT_EMPTY` where keys would be lost, before anything is changed.
 */
export async function rollbackPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: OperationOptions = {},
): Promise<OperationResult> {
  const checked = checkPlan(plan);
  return carryOutChecked(cluster, options, async (context) => {
    const sight = await lookForPlan(context, checked, seedOf(cluster), true);
    const { differences, done } = standingOf(checked, sight);
    requireSame(
      checked,
      sight,
      differences.filter((one) => !isTakenBack(one, checked, sight)),
    );
    const inverse = inversePlan({ ...checked, steps: done });
    const left = inverse.steps.filter((step) => step.type !== 'reset' || !sight.strangers.has(step.node.id));
    const { expect: _, ...rest } = inverse;
    const ready: Plan = {
      ...rest,
      before: nodesNow(checked, sight),
      steps: left,
      ...expectationAfter(checked, inverse),
    };
    requireMasters(ready, sight);
    await requireNothingOnItsWay(context, checked, ready);
    await requireNoKeysLost(context, ready, sight);
    await requireReady(context, ready, sight);
    return { plan: ready, original: checked, sight };
  });
}

// Nodes that the plan brings in are out after, or were never in.
function expectationAfter(plan: Plan, { expect }: Plan): Pick<Plan, 'expect'> {
  const { newcomers } = traceOf(plan);
  const members = expect?.members.filter(({ id }) => !newcomers.has(id)) ?? [];
  return expect && members.length > 0 ? { expect: { ...expect, members } } : {};
}

// A rollback that was interrupted has reset nodes that the plan brought in.
function isTakenBack({ node, field }: Difference, plan: Plan, { strangers, members }: Sight): boolean {
  if (field !== 'id') return false;
  const id = plan.before.find(({ address }) => address === node)?.id ?? '';
  return strangers.get(id)?.isFresh === true && !members.has(id) && traceOf(plan).newcomers.has(id);
}

// A master that gave its last slot away has become a replica where the servers are configured so.
function requireMasters({ steps }: Plan, { view }: Sight): void {
  for (const step of steps) {
    if (step.type !== 'move-slots') continue;
    const target = nodeById(view, step.target.id);
    if (target?.role !== 'replica') continue;
    const { address } = step.target;
    const message =
      `Cannot take back what was done to ${address}: it gave its last slot away and became a replica of ` +
      `${nodeName(view, target.masterId ?? '')}, and no replica can become a master without slots under its node id`;
    throw nodeError('NOT_REVERSIBLE', address, message, {
      hint: `Nothing was changed. Take it out with redis-trib del_node, add it with redis-trib join_no_load, and move slots to it with redis-trib reshard`,
    });
  }
}

// An atomic migration that an interrupted run began goes on by itself: its slots would arrive after all.
async function requireNothingOnItsWay(context: Context, plan: Plan, { steps }: Plan): Promise<void> {
  if (context.options.dryRun || !plan.steps.some(({ type }) => type === 'move-slots')) return;
  const moves = steps.filter((step) => step.type === 'move-slots');
  await requireNoOtherTask(context, plan, moves, (error) => {
    if (!context.options.force) throw error;
    context.emit({ type: 'warning', message: error.message });
  });
}

// The nodes of a cluster that is to be none any more.
async function requireNoKeysLost(context: Context, { steps }: Plan, { view }: Sight): Promise<void> {
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
      `Cannot end the cluster: ${address} still contains keys (${keys})`,
      {
        hint: 'Nothing was changed. Save what is needed, then empty it with FLUSHALL',
      },
    );
  });
}
