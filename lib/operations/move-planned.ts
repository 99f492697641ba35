import { ClusterError } from '../errors.ts';
import { formatSlots, toRanges } from '../model/slot.ts';
import { nodeById, slotOwners } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import { type MoveStep, nodeRef } from '../plan/plan.ts';
import { lookForBalance } from './reshard.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, withContext } from './run.ts';

/** Slots that somebody has chosen to go from one master to another, by node id. */
export interface ChosenMove {
  readonly sourceId: string;
  readonly targetId: string;
  readonly slots: readonly number[];
}

/**
 * Moves slots that were chosen before, in one plan. Rejects with ClusterError `SLOTS_NOT_HELD` where a source has them no
 * more, and like `reshard`, before anything is changed.
 */
export function movePlanned(
  cluster: ClusterLike,
  name: string,
  moves: readonly ChosenMove[],
  options: OperationOptions = {},
): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const { view } = await lookForBalance(context, cluster, name, async () => ({}));
    const owners = slotOwners(view);
    const steps = moves.map(({ sourceId, targetId, slots }): MoveStep => {
      const [source, target] = [nodeById(view, sourceId), nodeById(view, targetId)];
      const gone = slots.filter((slot) => owners[slot] !== sourceId);
      if (!source || target?.role !== 'master' || gone.length > 0) {
        const what = formatSlots(gone.length > 0 ? gone : slots);
        throw new ClusterError(
          'SLOTS_NOT_HELD',
          `Cannot ${name}: the cluster has changed, slots ${what} are not where they were`,
          {
            hint: 'Nothing was changed. Run the same command again',
          },
        );
      }
      return { type: 'move-slots', source: nodeRef(source), target: nodeRef(target), slots: toRanges(slots) };
    });
    return carryOut(context, view.nodes, {
      operation: name,
      masters: mastersOf(view),
      steps,
      expect: expectationOf(view, steps),
    });
  });
}
