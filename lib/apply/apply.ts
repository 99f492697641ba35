import type { MoveStep, NodeRef, Plan, Step } from '../plan/plan.ts';
import { Conflicts } from './conflicts.ts';
import type { Context } from './context.ts';
import { introduce } from './introduce.ts';
import { type Arrivals, moveSlots, shareTargets } from './mover/move-slots.ts';
import { Ledger, type Moved } from './mover/progress.ts';
import { inParallel } from './parallel.ts';
import { runDisjoint } from './schedule.ts';
import { assignSlots } from './steps/assign-slots.ts';
import { awaitServing } from './steps/await-serving.ts';
import { closeOpenSlots } from './steps/close-slots.ts';
import { failover } from './steps/failover.ts';
import { forget } from './steps/forget.ts';
import { loadFunctions } from './steps/load-functions.ts';
import { replicateMaster } from './steps/replicate-master.ts';
import { reset } from './steps/reset.ts';
import { takeSlots } from './steps/take-slots.ts';

const DEFAULT_CONCURRENCY = 8;

/**
 * Runs the steps of a plan in order. Moves that follow one another and share no node run side by side, and so do steps that
 * each change one node of their own.
 * Every step is safe to repeat, so a plan that was interrupted can be made anew from the cluster's state and run again.
 */
export async function applyPlan(context: Context, plan: Plan): Promise<Moved> {
  context.emit({ type: 'plan', plan });
  const moves = plan.steps.filter(({ type }) => type === 'move-slots').length;
  const ledger = new Ledger(context.emit, moves, context.options.limits);
  const conflicts = new Conflicts(goesOn(plan));
  const groups = groupByType(plan.steps);
  for (const [index, group] of groups.entries()) {
    context.signal?.throwIfAborted();
    const moves = group.filter(isMove);
    const others = group.filter((step): step is OtherStep => !isMove(step));
    if (groups[index - 1]?.[0]?.type === 'take-slots') await awaitServing(context, group);
    if (moves.length > 0) await moveAll(context, moves, plan.masters, ledger, conflicts);
    const atOnce = others.every(({ type }) => SIDE_BY_SIDE.has(type)) ? PARALLEL_STEPS : 1;
    await inParallel(
      others,
      (step) => {
        context.signal?.throwIfAborted();
        return conflicts.keep(applyStep(context, step, plan.masters));
      },
      atOnce,
    );
  }
  conflicts.throwIfAny();
  return ledger.moved;
}

// A key in conflict holds up its own slot: there may be many others to mend, each on its own.
function goesOn({ operation }: Plan): boolean {
  return operation === 'fix';
}

type OtherStep = Exclude<Step, MoveStep>;

/** Steps that each change one node of their own. */
const SIDE_BY_SIDE: ReadonlySet<Step['type']> = new Set(['assign-slots', 'replicate']);
const PARALLEL_STEPS = 256;

function isMove(step: Step): step is MoveStep {
  return step.type === 'move-slots';
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

async function applyStep(context: Context, step: OtherStep, masters: readonly NodeRef[]): Promise<void> {
  switch (step.type) {
    case 'assign-slots':
      return assignSlots(context, step);
    case 'meet':
      return introduce(context, step);
    case 'load-functions':
      return loadFunctions(context, step);
    case 'failover':
      return failover(context, step);
    case 'replicate':
      return replicateMaster(context, step);
    case 'close-slots':
      return closeOpenSlots(context, step);
    case 'take-slots':
      return takeSlots(context, step, masters);
    case 'forget':
      return forget(context, step);
    case 'reset':
      return reset(context, step.node);
  }
}

// Where a move fails the others stop at their next safe point, so that what is reported is all there is.
async function moveAll(
  context: Context,
  moves: readonly MoveStep[],
  masters: readonly NodeRef[],
  ledger: Ledger,
  conflicts: Conflicts,
): Promise<void> {
  const { moves: sharing, arrivals } = await shareTargets(context, moves);
  const run = (move: MoveStep, stop: AbortSignal): Promise<void> => {
    const signal = context.signal ? AbortSignal.any([context.signal, stop]) : stop;
    const others = masters.filter(({ id }) => id !== move.source.id && id !== move.target.id);
    const atTarget = arrivals.get(move.target.id) as Arrivals;
    return conflicts.keep(moveSlots({ ...context, signal }, move, others, ledger, atTarget));
  };
  await runDisjoint(moves, context.options.concurrency ?? DEFAULT_CONCURRENCY, run, sharing);
}
