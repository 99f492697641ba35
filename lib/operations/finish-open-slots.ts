import { applyPlan } from '../apply/apply.ts';
import type { Context } from '../apply/context.ts';
import { prepare } from '../apply/prepare.ts';
import { lookSettled } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf } from '../model/view.ts';
import { type FixPlan, planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { toPlan } from '../plan/plan.ts';
import { requireApproval } from './result.ts';

/**
 * Finishes the moves that an earlier attempt left open, and looks again. The cluster's own state is the journal.
 * `ignore` is the id of a node that the others may or may not know.
 * A dry run finishes nothing: the plan is then made as if they were finished by themselves.
 */
export async function finishOpenSlots(
  context: Context,
  view: ClusterView,
  ignore?: string,
): Promise<ClusterView> {
  if (openSlotsOf(view).size === 0) return view;
  const fix = planFix(view);
  requireDecided(view, fix);
  if (context.options.dryRun) return view;
  context.emit({
    type: 'warning',
    message: `Finishing open slots first: ${formatSlots(openSlotsOf(view).keys())}`,
  });
  const plan = toPlan({ operation: 'fix', masters: mastersOf(view), steps: fix.steps }, view.nodes);
  const prepared = await prepare(context, plan);
  await requireApproval(context, prepared);
  await applyPlan(context, prepared);
  return lookSettled(context, view.seed, ignore);
}

/** Throws where an open slot cannot be closed without guessing. */
export function requireDecided(view: ClusterView, { undecided }: FixPlan): void {
  const [first] = undecided;
  if (!first) return;
  const more = undecided.length > 1 ? ` (and ${undecided.length - 1} more)` : '';
  throw new ClusterError('OPEN_SLOT', `Slot ${first.slot} stays open: ${first.reason}${more}`, {
    openSlots: undecided.map(({ slot }) => slot),
    hint: `Bring the node named back, then run: redis-trib fix ${view.seed.host}:${view.seed.port}`,
  });
}
