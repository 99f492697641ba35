import { claimCluster } from '../apply/look-claimed.ts';
import { ClusterError, notApproved } from '../errors.ts';
import { takeovers, wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import { lostNodes } from '../model/condition.ts';
import { shorten } from '../model/lists.ts';
import { expandSlots, nameSlots } from '../model/slot.ts';
import { nodeById, nodeName, slotOwners } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { nodeError } from '../nodes/context.ts';
import { lookForPlan } from '../nodes/look-for-plan.ts';
import { LINK_MS, lacksMasterLink } from '../nodes/replication.ts';
import { requireAnswers, requireServing } from '../nodes/requirements.ts';
import { requireSilentMaster } from '../nodes/silent-master.ts';
import { DONE, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { OperationOptions } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { type Difference, ownOpenSlots } from '../plan/plan-differences.ts';
import { nodesNow, type PlanView } from '../plan/plan-view.ts';
import { type Standing, standingOf } from '../plan/standing.ts';
import { traceOf } from '../plan/trace.ts';
import { unservedSlots } from '../plan/unserved.ts';
import { applyAndVerify, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { checkPlan } from './parse-plan.ts';

/**
 * Applies a saved plan to the cluster it was made for. A plan that was begun, by anyone, is finished: slots already moved
 * count as done. Keys in the slots, memory and other operators are checked again. The plan in the result has the steps that
 * were left.
 * Before anything is changed, rejects with ClusterError `PLAN_INVALID`, `NOT_SAME_CLUSTER`, or `PLAN_STALE` if the cluster
 * differs both from the state before the plan and from what the plan makes of it.
 */
export async function applyPlan(
  cluster: ClusterLike,
  plan: Plan,
  options: OperationOptions = {},
): Promise<OperationResult> {
  const checked = checkPlan(plan);
  return carryOutChecked(cluster, options, async (context) => {
    const seen = await lookForPlan(context, checked, seedOf(cluster), true);
    const standing = standingOf(checked, seen);
    requireSame(checked, seen, standing.differences);
    const left: Plan = { ...checked, before: nodesNow(checked, seen), steps: standing.left };
    await requireReady(context, left, seen);
    return { plan: left, original: checked, seen };
  });
}

/** A plan that may be applied now. */
export interface Ready {
  readonly plan: Plan;
  /** The plan that it is part of, or undoes. Open slots of that plan's moves are its own. */
  readonly original: Plan;
  readonly seen: PlanView;
}

/**
 * Works out the steps left, finishes moves that were begun, and applies the rest. The steps are worked out again after
 * approval, since a person may take a while to answer.
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
    await claimCluster(own, seedOf(cluster));
    let ready = await find(own);
    const { view } = ready.seen;
    if (!own.settings.dryRun && ownOpenSlots(ready.original, view).size > 0) {
      if (!(await approve(ready.plan)))
        throw notApproved(`The plan of ${ready.plan.operation} was not approved`);
      await finishOpenSlots(own, view);
      ready = await find(own);
    }
    return applyAndVerify(own, ready.plan);
  });
}

/** Throws if the plan was made for another cluster, or the cluster has changed since. */
export function requireSame(
  plan: Plan,
  { view, members }: PlanView,
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
      { hint: 'Nothing was changed', next: [{ do: 'plan' }] },
    );
  }
  throw new ClusterError(
    'PLAN_STALE',
    `The cluster is not the one that the plan saw: ${listed(differences)}`,
    {
      address: first.node,
      hint: 'Nothing was changed. If these are put back, the plan can be carried out',
      next: [{ do: 'plan' }],
    },
  );
}

const SHOWN = 5;

function listed(differences: readonly Difference[]): string {
  const texts = differences.map(({ text }) => text);
  return shorten(texts, SHOWN, 'difference').join('; ');
}

/** Throws if the plan fits the state of the cluster but would fail half-way. */
export async function requireReady(context: Context, plan: Plan, { view }: PlanView): Promise<void> {
  const { dead, newcomers } = traceOf(plan);
  const { agreeTimeout, dryRun, force } = context.settings;
  const unreachable = new Map([...view.unreachable].filter(([id]) => !dead.has(id)));
  const what = `apply the plan of ${plan.operation}`;
  const moves = plan.steps.some(({ type }) => type === 'move-slots');
  const mends = plan.steps.some(({ type }) => type === 'take-slots' || type === 'assign-slots');
  if (plan.steps.length === 0) return;
  requireLost(plan, view, force);
  if (plan.expect) {
    if (moves && !mends) requireServing({ ...view, unreachable }, what);
    else if (plan.before.some(({ id }) => !newcomers.has(id)))
      requireMembers(plan, { ...view, unreachable }, what);
  }
  const changed = new Set(
    plan.steps.flatMap((step) =>
      step.type === 'restart'
        ? step.nodes.map(({ id }) => id)
        : step.type === 'replicate'
          ? [step.replica.id]
          : [],
    ),
  );
  for (const step of plan.steps) {
    // Both end when the server has the data of its master.
    if (step.type !== 'failover' || changed.has(step.replica.id)) continue;
    const address: Address = parseAddress(step.replica.address);
    if (step.mode !== 'graceful') {
      const master = nodeById(view, step.master.id);
      if (master) await requireSilentMaster(context, view, address, master);
      continue;
    }
    const message = `Cannot fail over to ${step.replica.address}: its link to ${step.master.address} is down`;
    const isDown = (): ClusterError =>
      nodeError('NOT_REACHED', address, message, {
        hint: `Nothing was changed. See "INFO replication" on ${step.replica.address}`,
      });
    const wait: Wait = {
      what: `${step.replica.address} to find ${step.master.address}`,
      // The run that was cut short may have restarted it just now.
      timeoutMs: dryRun ? 0 : plan.operation === 'restart' ? agreeTimeout : Math.min(LINK_MS, agreeTimeout),
      pauseMs: LINK_PAUSE_MS,
      signal: context.signal,
      emit: context.emit,
    };
    await waitUntil(wait, async () =>
      (await lacksMasterLink(context, address)) ? { missing: [message], giveUp: isDown } : DONE,
    );
  }
}

const LINK_PAUSE_MS = 100;

/** Throws if something may have the keys of slots that the plan gives away: a node may have come back since it was made. */
function requireLost({ operation, steps }: Plan, view: PlanView['view'], force: boolean): void {
  const given = new Set(
    steps.flatMap((step) => (step.type === 'take-slots' && !step.isBegun ? expandSlots(step.slots) : [])),
  );
  if (given.size === 0) return;
  const unserved = unservedSlots(view, new Set(lostNodes(view, force))).filter(({ slot }) => given.has(slot));
  const kept = unserved.find(({ keeper }) => keeper !== undefined);
  const what = `Cannot apply the plan of ${operation}`;
  if (kept?.keeper !== undefined) {
    const name = nodeName(view, kept.keeper);
    const { says, hint, next } = wordsOnCondition(view, kept.keeper);
    const isReplica = kept.owner !== undefined && kept.owner !== kept.keeper;
    const message = isReplica
      ? `${what}: ${name}, a replica of ${nodeName(view, kept.owner ?? '')}, ${says}, and may hold the keys that it gives up`
      : `${what}: ${name}, whose slots it gives away, ${says}`;
    throw nodeError(isReplica ? 'HAS_REPLICAS' : 'NODE_UNREACHABLE', name, message, {
      hint: ['Nothing was changed', ...(hint ? [hint] : [])].join('. '),
      next:
        isReplica && view.reports.has(kept.keeper) ? takeovers(view, kept.keeper, kept.owner ?? '') : next,
    });
  }
  for (const { slot } of unserved) given.delete(slot);
  const [served] = given;
  if (served === undefined) return;
  const owner = slotOwners(view)[served] ?? '';
  throw nodeError(
    'PLAN_STALE',
    nodeName(view, owner),
    `${what}: ${nodeName(view, owner)} serves ${nameSlots(given)}, which it gives away`,
    {
      hint: 'Nothing was changed',
      next: [{ do: 'plan' }],
    },
  );
}

// A node that did not answer when the plan was made, and is not part of it, need not answer now.
function requireMembers({ expect }: Plan, view: PlanView['view'], what: string): void {
  const members = new Set(expect?.members.map(({ id }) => id));
  const unreachable = new Map([...view.unreachable].filter(([id]) => members.has(id)));
  requireAnswers({ ...view, unreachable }, what);
}
