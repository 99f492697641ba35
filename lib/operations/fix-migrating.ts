import type { Context } from '../apply/context.ts';
import { findKeyEvidence } from '../apply/key-evidence.ts';
import { lookToFix, requireAnswers } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { failedNodes } from '../model/findings.ts';
import { expandSlots, formatSlots } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type FixPlan, planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { type Draft, nodeRef, type Step, type StepOf } from '../plan/plan.ts';
import { requireDecided } from './finish-open-slots.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface FixOptions extends OperationOptions {
  /**
   * Gives the slots of failed masters to others: the keys that only these had are lost. One that has a living replica is still
   * left alone. With `force` it counts masters as failed that give no answer, though the cluster does not hold them for failed.
   * @default false
   */
  readonly withUnreachableMasters?: boolean;
}

/**
 * Mends the slots of a cluster: finishes the moves that were begun and closes what else is open, gives slots that nobody
 * serves to a master, and keys that lie on a node which does not own their slot to the owner.
 * What cannot be mended without guessing is left as it is, and the call rejects with ClusterError `OPEN_SLOT`, `SLOTS_UNCOVERED` or
 * `KEY_CONFLICT` after the rest is done.
 */
export function fixMigrating(cluster: ClusterLike, options: FixOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const view = await lookToFix(context, seedOf(cluster));
    const fix = await planFor(context, view, options);
    if (fix.steps.length > 0 && !options.dryRun && !options.force) requireAnswers(view, 'mend slots');
    const result = await carryOut(context, view.nodes, draftOf(view, fix));
    if (result.applied && fix.steps.length > 0) await requireMended(context, view, fix, options);
    requireDecided(view, fix);
    return result;
  });
}

async function planFor(context: Context, view: ClusterView, options: FixOptions): Promise<FixPlan> {
  const { withUnreachableMasters = false, force = false } = options;
  const lost = withUnreachableMasters ? (force ? [...view.unreachable.keys()] : failedNodes(view)) : [];
  return planFix(view, await findKeyEvidence(context, view, new Set(lost)));
}

function draftOf(view: ClusterView, { steps, undecided }: FixPlan): Draft {
  const draft = { operation: 'fix', masters: mastersOf(view), steps };
  if (steps.length === 0) return draft;
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  const stateOk = undecided.length === 0 && steps.some(({ type }) => type === 'take-slots');
  return { ...draft, expect: { members, owners: steps.flatMap(ownerAfter), stateOk } };
}

function ownerAfter(step: Step): { id: string; slots: StepOf<'close-slots'>['slots'] }[] {
  if (step.type === 'move-slots') return [{ id: step.target.id, slots: step.slots }];
  if (step.type === 'take-slots') return [{ id: step.node.id, slots: step.slots }];
  return step.type === 'close-slots' && !step.stayOpen ? [{ id: step.owner.id, slots: step.slots }] : [];
}

/** Looks again, and throws where there is still something to mend that was to be mended. */
async function requireMended(
  context: Context,
  before: ClusterView,
  { undecided }: FixPlan,
  options: FixOptions,
): Promise<void> {
  const after = await planFor(context, await lookToFix(context, before.seed), options);
  const known = new Set(undecided.map(({ slot }) => slot));
  const slots = after.steps.flatMap((step) => ('slots' in step ? expandSlots(step.slots) : []));
  const left = [...slots, ...after.undecided.map(({ slot }) => slot)].filter((slot) => !known.has(slot));
  if (left.length === 0) return;
  throw new ClusterError('OPEN_SLOT', `Slots ${formatSlots(left)} are still not as they should be`, {
    openSlots: left,
    hint: 'Another tool may be moving slots at the same time: run the same command again when it is done',
    resumable: true,
  });
}
