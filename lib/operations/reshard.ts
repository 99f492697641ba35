import { type Context, nodeError } from '../apply/context.ts';
import { namedMaster } from '../apply/named-masters.ts';
import { inParallel } from '../apply/parallel.ts';
import { lookSettled, requireServing } from '../apply/settle.ts';
import { failedNodes } from '../model/findings.ts';
import type { NodeRecord } from '../model/node.ts';
import { expandSlots, type SlotsLike, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { expectationOf, workingMasters } from '../plan/from-view.ts';
import { mastersOf } from '../plan/moves.ts';
import { moveReasons } from '../plan/reasons.ts';
import { planReshard } from '../plan/reshard.ts';
import { finishOpenSlots } from './finish-open-slots.ts';
import { requireMember } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface ReshardOptions extends OperationOptions {
  /** Masters that give slots, each by node id, the beginning of it, or address; `'all'` for all but the one that receives. */
  readonly from: 'all' | readonly string[];
  /** The master that receives them, named in the same way. */
  readonly to: string;
  /** How many slots, shared among the sources by how many they have, or which. */
  readonly slots: number | SlotsLike;
}

/**
 * Moves slots of several masters to one. Named slots that it has already stay, so that the same call finishes what was
 * interrupted; a number of slots is moved anew by each call.
 * Rejects with ClusterError `SAME_NODE`, `SLOTS_NOT_HELD`, `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE`, `NOT_A_MASTER`,
 * `NODE_UNREACHABLE` or `SLOTS_UNCOVERED` before anything is changed.
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
    const planned = planReshard({ sources: sources ?? others, target, slots });
    if ('refusal' in planned) {
      const { code, message, hint } = planned.refusal;
      throw nodeError(code, target.address, message, { hint: `Nothing was changed. ${hint}` });
    }
    const { steps } = planned;
    const owned = typeof slots === 'number' ? [] : [{ id: target.id, slots: toRanges(slots) }];
    return carryOut(context, view.nodes, {
      operation: 'reshard',
      masters: mastersOf(view),
      steps,
      expect: expectationOf(view, steps, owned),
      reasons: moveReasons(
        steps,
        sources ? 'is named to give slots' : 'gives as all others do',
        'is named to receive them',
      ),
    });
  });
}

/**
 * Looks at a cluster in which slots are to be moved between masters, finds who is named, refuses where it cannot work, and
 * finishes what an interrupted move has left. Names are found twice: the nodes may have other slots after.
 */
export async function lookForBalance<Named>(
  context: Context,
  cluster: ClusterLike,
  operation: string,
  find: (view: ClusterView) => Promise<Named>,
): Promise<Named & { readonly view: ClusterView }> {
  const view = await lookSettled(context, seedOf(cluster));
  requireMember(view);
  const named = await find(view);
  requireServing(view, operation);
  for (const id of failedNodes(view)) {
    const node = nodeName(view, id);
    context.emit({ type: 'warning', node, message: `${node} has failed: it is left out` });
  }
  const settled = await finishOpenSlots(context, view);
  return { ...(settled === view ? named : await find(settled)), view: settled };
}
