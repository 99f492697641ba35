import type { MoveStep, NodeRef, Plan, Step } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { introduce } from './introduce.ts';
import { type Moved, moveSlots } from './mover/move-slots.ts';
import { assignSlots, closeOpenSlots, forget, replicateMaster, reset, takeSlots } from './steps.ts';

/**
 * Runs the steps of a plan in order; moves that follow one another and share no source run side by side.
 * Every step is safe to repeat, so a plan that was interrupted can be made anew from the cluster's state and run again.
 */
export async function applyPlan(context: Context, plan: Plan): Promise<Moved> {
  context.emit({ type: 'plan', plan });
  const total = { slots: 0, keys: 0 };
  for (const group of groupMoves(plan.steps)) {
    context.signal?.throwIfAborted();
    if (!Array.isArray(group)) {
      await applyStep(context, group as Step, plan.masters);
      continue;
    }
    for (const moved of await moveAll(context, group, plan.masters)) {
      total.slots += moved.slots;
      total.keys += moved.keys;
    }
  }
  return total;
}

function groupMoves(steps: readonly Step[]): (Step | MoveStep[])[] {
  const groups: (Step | MoveStep[])[] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (step.type !== 'move-slots') groups.push(step);
    else if (Array.isArray(last)) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

async function applyStep(context: Context, step: Step, masters: readonly NodeRef[]): Promise<void> {
  switch (step.type) {
    case 'assign-slots':
      return assignSlots(context, step);
    case 'meet':
      return introduce(context, step);
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
    case 'move-slots':
      await moveSlots(context, step, masters);
  }
}

// A source moves to one target at a time, sources run side by side. Where one fails the others stop at their next
// window, so that what is reported is all there is.
async function moveAll(
  context: Context,
  moves: readonly MoveStep[],
  masters: readonly NodeRef[],
): Promise<Moved[]> {
  const failed = new AbortController();
  const signal = context.signal ? AbortSignal.any([context.signal, failed.signal]) : failed.signal;
  const bySource = groupBySource(moves);
  const results = await Promise.allSettled(
    [...bySource.values()].map(async (queue) => {
      const moved: Moved[] = [];
      try {
        for (const move of queue) {
          const ends = new Set([move.source.id, move.target.id]);
          moved.push(
            await moveSlots(
              { ...context, signal },
              move,
              masters.filter(({ id }) => !ends.has(id)),
            ),
          );
        }
      } catch (error) {
        failed.abort(error);
        throw error;
      }
      return moved;
    }),
  );
  // The first failure is the cause; the others only stopped because of it, or were aborted with it.
  if (failed.signal.aborted) throw failed.signal.reason;
  return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
}

function groupBySource(moves: readonly MoveStep[]): Map<string, MoveStep[]> {
  const groups = new Map<string, MoveStep[]>();
  for (const move of moves) groups.set(move.source.id, [...(groups.get(move.source.id) ?? []), move]);
  return groups;
}
