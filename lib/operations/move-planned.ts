import { ClusterError } from '../errors.ts';
import { holdersOf } from '../model/holders.ts';
import { formatSlots, toRanges } from '../model/slot.ts';
import { nodeById, slotOwners } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import { type MoveStep, nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import { lookForBalance } from './look-for-balance.ts';

/** Slots chosen to move from one master to another, given by node id. */
export interface ChosenMove {
  readonly sourceId: string;
  readonly targetId: string;
  readonly slots: readonly number[];
}

/**
 * Moves slots chosen earlier, in one plan. Before anything is changed, rejects with ClusterError `SLOTS_NOT_HELD` if a
 * source no longer has its slots, and otherwise as `reshard` does.
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
            hint: ['Nothing was changed', ...holdersOf(view, gone, owners)].join('. '),
            next: [{ do: 'retry' }],
          },
        );
      }
      return { type: 'move-slots', source: nodeRef(source), target: nodeRef(target), slots: toRanges(slots) };
    });
    // The next choice is another one.
    if (name === 'reshard') context.account.onceMoved = 'rest';
    return carryOut(context, view.nodes, {
      operation: name,
      masters: mastersOf(view),
      steps,
      expect: expectationOf(view, steps),
    });
  });
}
