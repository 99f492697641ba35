import type { NodeRecord } from '../model/node.ts';
import { expandSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import { nodeError } from '../nodes/context.ts';
import { namedMaster } from '../nodes/named-masters.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf, workingMasters } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import { moveReasons } from '../plan/reasons.ts';
import { draftReshard } from '../plan/reshard.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, withContext } from './cluster.ts';
import { lookForBalance } from './look-for-balance.ts';

export interface ReshardOptions extends OperationOptions {
  /** The source masters, each by node id, a prefix of it, or address; `'all'` for all masters but the target. */
  readonly from: 'all' | readonly string[];
  /** The target master, named in the same way. */
  readonly to: string;
  /** Which slots, or how many: then the sources give in proportion to the slots they have. */
  readonly slots: number | SlotsLike;
}

/**
 * Moves slots from several masters to one. Named slots that the target already has stay, so the same call finishes an
 * interrupted run. With a number of slots, each call moves that many more.
 * Before anything is changed, rejects with ClusterError `SAME_NODE`, `SLOTS_NOT_HELD`, `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE`,
 * `NOT_A_MASTER`, `NODE_UNREACHABLE` or `SLOTS_UNCOVERED`.
 */
export function reshard(cluster: ClusterLike, options: ReshardOptions): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const slots = typeof options.slots === 'number' ? options.slots : expandSlots(options.slots);
    const { view, target, sources } = await lookForBalance(context, cluster, 'reshard', async (found) => {
      const names = options.from === 'all' ? [] : options.from;
      const named = await inParallel([options.to, ...names], (name) => namedMaster(context, found, name));
      const [to, ...from] = named as [NodeRecord, ...NodeRecord[]];
      return { target: to, sources: options.from === 'all' ? undefined : [...new Set(from)] };
    });
    const others = workingMasters(view).filter(({ id }) => id !== target.id);
    const planned = draftReshard({ sources: sources ?? others, target, slots });
    if ('refusal' in planned) {
      const { code, message, hint, next } = planned.refusal;
      throw nodeError(code, target.address, message, { hint: `Nothing was changed. ${hint}`, next });
    }
    const { steps } = planned;
    // With a number of slots it is not known which of them have moved.
    if (typeof slots === 'number') context.account.onceMoved = 'rest';
    const owned = typeof slots === 'number' ? [] : [{ id: target.id, slots: toRanges(slots) }];
    return carryOut(context, view.nodes, {
      operation: 'reshard',
      masters: mastersOf(view),
      steps,
      expect: expectationOf(view, steps, owned),
      reasons: moveReasons(
        steps,
        sources ? 'gives slots, as requested' : 'gives slots, like all others',
        'receives them',
      ),
    });
  });
}
