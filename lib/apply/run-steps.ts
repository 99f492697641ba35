import { isAbort } from '../errors.ts';
import { expandSlots, toRanges } from '../model/slot.ts';
import { moveSlots, shareTargets, type TargetLocks } from '../move/move-slots.ts';
import { Ledger, type Moved } from '../move/progress.ts';
import { redirectImports } from '../move/redirect-imports.ts';
import { awaitServing } from '../nodes/await-serving.ts';
import { type Context, stoppedBy } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { MoveStep, NodeRef, Plan, Step } from '../plan/plan.ts';
import { Conflicts } from './conflicts.ts';
import { introduce } from './introduce.ts';
import type { PreparedPlan } from './prepare.ts';
import { runDisjoint } from './schedule.ts';
import { assignSlots } from './steps/assign-slots.ts';
import { closeOpenSlots } from './steps/close-slots.ts';
import { promoteReplica } from './steps/failover.ts';
import { forget } from './steps/forget.ts';
import { loadFunctions } from './steps/load-functions.ts';
import { meetAgain } from './steps/meet-again.ts';
import { replicateMaster } from './steps/replicate-master.ts';
import { reset } from './steps/reset.ts';
import { takeSlots } from './steps/take-slots.ts';

/**
 * Runs the steps of a plan in order. Consecutive moves run in parallel if they share no node, and so do steps that each change
 * one node. Every step is safe to repeat, so after an interruption a new plan can be made from the cluster's state and run.
 */
export async function runSteps(context: Context, prepared: PreparedPlan): Promise<Moved> {
  const { plan } = prepared;
  context.emit({ type: 'plan', plan });
  const moves = plan.steps.filter(isMove);
  const ledger = new Ledger(context.emit, moves, context.settings.limits);
  const conflicts = new Conflicts(mendsSlots(plan));
  context.account.begin(plan, () => ledger.moved);
  try {
    if (mendsSlots(plan) && plan.steps.length > 0) await redirectImports(context, plan);
    await applySteps(context, prepared, ledger, conflicts);
  } catch (error) {
    // The caller that aborted knows why, and the next run finds keys that differ again.
    throw isAbort(error, context.signal) ? error : conflicts.with(error);
  }
  conflicts.throwIfAny();
  return ledger.moved;
}

async function applySteps(
  context: Context,
  prepared: PreparedPlan,
  ledger: Ledger,
  conflicts: Conflicts,
): Promise<void> {
  const { plan } = prepared;
  const groups = groupByType(plan.steps);
  /** Ids of masters with a replica that hangs. */
  const hung = new Set<string>();
  /** Who forgets whom, by id. */
  const forgotten = new Map(
    plan.steps.flatMap((step) => (step.type === 'forget' ? [[step.node.id, step.by] as const] : [])),
  );
  for (const [index, group] of groups.entries()) {
    context.signal?.throwIfAborted();
    const moves = group.filter(isMove);
    const others = group.filter((step): step is OtherStep => !isMove(step));
    // After slots were taken that had no owner, it takes some more seconds.
    if (groups[index - 1]?.some(givesAnOwner))
      await awaitServing(context, takersOf(group), context.settings.agreeTimeout);
    if (moves.length > 0) await moveAll(context, moves, prepared, ledger, conflicts);
    const atOnce = others.every(isSideBySide) ? PARALLEL_STEPS : 1;
    await inParallel(
      others,
      async (step) => {
        context.signal?.throwIfAborted();
        context.account.begun.add(step);
        const rest = withoutSlots(step, conflicts.openSlots);
        if (rest) await conflicts.keep(applyStep(context, rest, plan, hung, forgotten));
        context.account.done.add(step);
      },
      atOnce,
    );
  }
}

// A key in conflict keeps only its own slot open: there may be many other slots to repair, each independent.
function mendsSlots({ operation }: Plan): boolean {
  return operation === 'fix';
}

type OtherStep = Exclude<Step, MoveStep>;

/** Steps that each change one node. */
const SIDE_BY_SIDE: ReadonlySet<Step['type']> = new Set(['assign-slots', 'replicate']);
const PARALLEL_STEPS = 256;

// Wait for the replica that stays: it may be the one that the step before has brought.
function isSideBySide(step: OtherStep): boolean {
  return SIDE_BY_SIDE.has(step.type) && !(step.type === 'replicate' && step.kept);
}

function isMove(step: Step): step is MoveStep {
  return step.type === 'move-slots';
}

// Of a slot that a move has left open, a third node would be told that the target owns it: up to Redis 6.2 it believes that for good.
function withoutSlots(step: OtherStep, open: ReadonlySet<number>): OtherStep | undefined {
  if (step.type !== 'close-slots' || open.size === 0) return step;
  const slots = toRanges(expandSlots(step.slots).filter((slot) => !open.has(slot)));
  return slots.length === 0 ? undefined : { ...step, slots };
}

/** After it, a node that was in cluster_state:fail for want of an owner may serve. */
function givesAnOwner(step: Step): boolean {
  return step.type === 'take-slots' || (step.type === 'close-slots' && step.stayOpen === true);
}

function takersOf(steps: readonly Step[]): NodeRef[] {
  const takers = steps.flatMap((step) =>
    step.type === 'move-slots'
      ? [step.target]
      : step.type === 'close-slots' && !step.stayOpen
        ? [step.owner]
        : [],
  );
  return [...new Map(takers.map((node) => [node.id, node])).values()];
}

function groupByType(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (last?.[0]?.type === step.type) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

async function applyStep(
  context: Context,
  step: OtherStep,
  plan: Plan,
  hung: Set<string>,
  forgotten: ReadonlyMap<string, readonly NodeRef[]>,
): Promise<void> {
  const { masters } = plan;
  switch (step.type) {
    case 'assign-slots':
      return assignSlots(context, step);
    case 'meet':
      return introduce(context, step);
    case 'meet-again':
      return meetAgain(context, step);
    case 'load-functions':
      return loadFunctions(context, step);
    case 'failover':
      return promoteReplica(context, step, masters);
    case 'replicate':
      return replicateMaster(context, step);
    case 'close-slots':
      return closeOpenSlots(context, step);
    case 'take-slots':
      return takeSlots(context, step, masters, hung);
    case 'forget':
      return forget(context, step);
    case 'restart': {
      // Loaded only by operations that restart servers.
      const { restartServers } = await import('./steps/restart.ts');
      return restartServers(context, step, plan);
    }
    case 'reset':
      return reset(context, step.node, forgotten.get(step.node.id));
  }
}

// If a move fails, the others stop at their next safe point, so that the report is complete.
async function moveAll(
  context: Context,
  moves: readonly MoveStep[],
  { plan: { masters }, methods }: PreparedPlan,
  ledger: Ledger,
  conflicts: Conflicts,
): Promise<void> {
  const { moves: sharing, locks } = shareTargets(moves, methods);
  const run = (move: MoveStep, stop: AbortSignal): Promise<void> => {
    const others = masters.filter(({ id }) => id !== move.source.id && id !== move.target.id);
    const atTarget = locks.get(move.target.id) as TargetLocks;
    const moving = moveSlots(stoppedBy(context, stop), move, methods.of(move), others, ledger, atTarget);
    return conflicts.keep(moving);
  };
  await runDisjoint(moves, context.settings.concurrency, run, sharing);
}
