import type { Context } from '../apply/context.ts';
import { lookSettled, requireAnswers } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type FixPlan, planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { type Draft, nodeRef, type Step } from '../plan/plan.ts';
import { requireDecided } from './finish-open-slots.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

/**
 * Closes every open slot of a cluster, finishing what its owner has begun. A slot that cannot be closed without guessing is
 * left as it is, and the call rejects with ClusterError `OPEN_SLOT` or `KEY_CONFLICT` after the others are closed.
 */
export function fixMigrating(cluster: ClusterLike, options: OperationOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const view = await lookSettled(context, seedOf(cluster));
    const fix = planFix(view);
    if (fix.steps.length > 0 && !options.dryRun) requireAnswers(view, 'close open slots');
    const result = await carryOut(context, view.nodes, draftOf(view, fix));
    if (result.applied && fix.steps.length > 0) await requireClosed(context, view, fix);
    requireDecided(view, fix);
    return result;
  });
}

function draftOf(view: ClusterView, { steps }: FixPlan): Draft {
  const draft = { operation: 'fix', masters: mastersOf(view), steps };
  if (steps.length === 0) return draft;
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  return { ...draft, expect: { members, owners: steps.flatMap(ownerAfter), stateOk: false } };
}

function ownerAfter(step: Step): { id: string; slots: Extract<Step, { type: 'close-slots' }>['slots'] }[] {
  if (step.type === 'move-slots') return [{ id: step.target.id, slots: step.slots }];
  if (step.type === 'take-slots') return [{ id: step.node.id, slots: step.slots }];
  return step.type === 'close-slots' && !step.stayOpen ? [{ id: step.owner.id, slots: step.slots }] : [];
}

async function requireClosed(context: Context, view: ClusterView, { undecided }: FixPlan): Promise<void> {
  const expected = new Set(undecided.map(({ slot }) => slot));
  const open = openSlotsOf(await lookSettled(context, view.seed)).keys();
  const left = [...open].filter((slot) => !expected.has(slot));
  if (left.length === 0) return;
  throw new ClusterError('OPEN_SLOT', `Slots ${formatSlots(left)} are still open after they were closed`, {
    openSlots: left,
    hint: 'Another tool may be moving slots at the same time: run the same command again when it is done',
    resumable: true,
  });
}
