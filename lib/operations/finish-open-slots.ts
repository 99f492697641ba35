import { prepare } from '../apply/prepare.ts';
import { runSteps } from '../apply/run-steps.ts';
import { ClusterError } from '../errors.ts';
import { shorten } from '../model/lists.ts';
import { formatSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf, replicaMarks } from '../model/view.ts';
import { askUnveiled } from '../move/set-slot.ts';
import type { Context } from '../nodes/context.ts';
import { findMarkEvidence } from '../nodes/key-evidence.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { type FixPlan, planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { toPlan } from '../plan/plan.ts';
import type { Undecided } from '../plan/undecided.ts';
import { requireApproval } from './carry-out.ts';

/**
 * Finishes moves that an earlier run left open, and looks again. The open slots in the cluster are the journal.
 * `ignore` is the id of a node that the others may or may not know, or the ids of several.
 * Before a replica is promoted, `replicas` also closes what replicas alone have open (`replicaMarks`): a move would go on from there.
 * `heirs` are masters that are said to have taken the places of dead targets, by the ids of these.
 * A dry run finishes nothing: the plan is then made as if the moves were finished.
 */
export async function finishOpenSlots(
  context: Context,
  view: ClusterView,
  ignore?: string | ReadonlySet<string>,
  {
    replicas = false,
    heirs = new Map(),
  }: { readonly replicas?: boolean; readonly heirs?: ReadonlyMap<string, string> } = {},
): Promise<ClusterView> {
  const kept = replicas ? replicaMarks(view).flatMap(({ slots }) => slots) : [];
  const open = [...new Set([...openSlotsOf(view).keys(), ...kept])].sort((a, b) => a - b);
  if (open.length === 0) return view;
  const found = await findMarkEvidence(context, view, askUnveiled);
  const marks = { ...found, heirs: new Map([...(found.heirs ?? []), ...heirs]) };
  const fix = planFix(view, undefined, { marks, closesReplicaMarks: replicas });
  requireDecided(view, fix);
  if (context.settings.dryRun || fix.steps.length === 0) return view;
  context.emit({
    type: 'warning',
    message: `Finishing open slots first: ${formatSlots(open)}`,
  });
  const plan = toPlan({ operation: 'fix', masters: mastersOf(view), steps: fix.steps }, view.nodes);
  const prepared = await prepare(context, plan);
  await requireApproval(context, prepared.plan);
  context.account.finished = await runSteps(context, prepared);
  return lookSettled(context, view.seed, ignore);
}

/** Throws if a slot cannot be repaired without guessing. The error says which slots, why, and what to do. */
export function requireDecided(view: ClusterView, { undecided }: FixPlan): void {
  const [first] = undecided;
  if (!first) return;
  const byReason = new Map<string, Undecided[]>();
  for (const item of undecided) {
    const alike = byReason.get(item.reason);
    if (alike) alike.push(item);
    else byReason.set(item.reason, [item]);
  }
  const reasons = [...byReason].map(([reason, items]) => {
    const [what, stays] = items.length === 1 ? ['Slot', 'stays'] : ['Slots', 'stay'];
    return `${what} ${formatSlots(items.map(({ slot }) => slot))} ${stays} as ${items.length === 1 ? 'it is' : 'they are'}: ${reason}`;
  });
  const open = openSlotsOf(view);
  throw new ClusterError(first.code ?? 'OPEN_SLOT', shorten(reasons, SHOWN_REASONS, 'reason').join('; '), {
    openSlots: undecided.map(({ slot }) => slot).filter((slot) => open.has(slot)),
    hint: first.hint,
    next: first.next,
  });
}

const SHOWN_REASONS = 5;
