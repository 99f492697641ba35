import { applyPlan } from '../apply/apply.ts';
import type { Context } from '../apply/context.ts';
import { prepare } from '../apply/prepare.ts';
import { lookSettled } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf } from '../model/view.ts';
import { type FixPlan, planFix, type Undecided } from '../plan/fix.ts';
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

/** Throws where a slot cannot be mended without guessing: says of each which, why, and what to do. */
export function requireDecided(view: ClusterView, { undecided }: FixPlan): void {
  const [first] = undecided;
  if (!first) return;
  const byReason = new Map<string, Undecided[]>();
  for (const item of undecided) {
    const alike = byReason.get(item.reason);
    if (alike) alike.push(item);
    else byReason.set(item.reason, [item]);
  }
  const said = [...byReason].slice(0, SHOWN_REASONS).map(([reason, items]) => {
    const [what, stays] = items.length === 1 ? ['Slot', 'stays'] : ['Slots', 'stay'];
    return `${what} ${formatSlots(items.map(({ slot }) => slot))} ${stays} as ${items.length === 1 ? 'it is' : 'they are'}: ${reason}`;
  });
  const more = byReason.size - said.length;
  if (more > 0) said.push(`and ${more} more reasons`);
  const open = openSlotsOf(view);
  throw new ClusterError(first.code ?? 'OPEN_SLOT', said.join('; '), {
    openSlots: undecided.map(({ slot }) => slot).filter((slot) => open.has(slot)),
    hint:
      first.hint ?? `Bring the node named back, then run: redis-trib fix ${view.seed.host}:${view.seed.port}`,
  });
}

const SHOWN_REASONS = 5;
