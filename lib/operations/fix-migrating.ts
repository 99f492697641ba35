import { waitForAgreement } from '../apply/agree.ts';
import { applyPlan } from '../apply/apply.ts';
import type { Moved } from '../apply/mover/progress.ts';
import { prepare } from '../apply/prepare.ts';
import { lookSettled, requireAnswers } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { formatSlots } from '../model/slot.ts';
import { openSlotsOf } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { nodeRef } from '../plan/plan.ts';
import { requireDecided } from './finish-open-slots.ts';
import { NOTHING_MOVED, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

/**
 * Closes every open slot of a cluster, finishing what its owner has begun. A slot that cannot be closed without guessing is
 * left as it is, and the call rejects with ClusterError `OPEN_SLOT` or `KEY_CONFLICT` after the others are closed.
 */
export function fixMigrating(cluster: ClusterLike, options: OperationOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const view = await lookSettled(context, seedOf(cluster));
    const fix = planFix(view);
    const isDry = context.options.dryRun === true;
    if (fix.steps.length > 0 && !isDry) requireAnswers(view, 'close open slots');
    const plan = await prepare(context, {
      version: 1,
      operation: 'fix',
      masters: mastersOf(view),
      steps: fix.steps,
    });
    const done = (applied: boolean, moved: Moved): OperationResult => ({
      plan,
      applied,
      ...moved,
      elapsedMs: performance.now() - started,
    });
    if (isDry) {
      context.emit({ type: 'plan', plan });
      requireDecided(view, fix);
      return done(false, NOTHING_MOVED);
    }
    const moved = await applyPlan(context, plan);
    if (fix.steps.length > 0) {
      const owners = fix.steps.flatMap((step) => {
        if (step.type === 'move-slots') return [{ id: step.target.id, slots: step.slots }];
        if (step.type === 'take-slots') return [{ id: step.node.id, slots: step.slots }];
        return step.type === 'close-slots' && !step.stayOpen
          ? [{ id: step.owner.id, slots: step.slots }]
          : [];
      });
      const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
      await waitForAgreement(context, { members, owners, stateOk: false }, 'every node to agree');
      const undecided = new Set(fix.undecided.map(({ slot }) => slot));
      const left = [...openSlotsOf(await lookSettled(context, view.seed)).keys()].filter(
        (slot) => !undecided.has(slot),
      );
      if (left.length > 0) {
        throw new ClusterError(
          'OPEN_SLOT',
          `Slots ${formatSlots(left)} are still open after they were closed`,
          {
            openSlots: left,
            hint: 'Another tool may be moving slots at the same time: run the same command again when it is done',
            resumable: true,
          },
        );
      }
    }
    requireDecided(view, fix);
    return done(true, moved);
  });
}
