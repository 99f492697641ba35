import { lookClaimed } from '../apply/look-claimed.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { goneNodes } from '../model/condition.ts';
import { nodeName } from '../model/view.ts';
import { requireAnswers, requireMember } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { planPrune, prunable } from '../plan/prune.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

/**
 * Makes every node forget those that are dead, as all nodes say, and own no slots. A `warning` event names each node that is gone but
 * stays, because it owns slots, or a living node is its replica.
 * Before anything is changed, rejects with ClusterError `NODE_UNREACHABLE` if a node that may be alive does not answer (see `force`):
 * it would bring them back. The same call finishes an interrupted run.
 */
export function prune(cluster: ClusterLike, options: OperationOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const view = await lookClaimed(context, seedOf(cluster));
    requireMember(view);
    const pruned = new Set(prunable(view).map(({ id }) => id));
    for (const id of goneNodes(view)) {
      if (pruned.has(id)) continue;
      const node = nodeName(view, id);
      const message = `${node} ${wordsOnCondition(view, id).says}, but stays: it owns slots or takes part in a move, is the master of a node that stays, or some node does not consider it failed`;
      context.emit({ type: 'warning', node, message });
    }
    if (pruned.size > 0 && !context.settings.force)
      requireAnswers(view, 'make all nodes forget the dead ones');
    return carryOut(context, view.nodes, planPrune(view));
  });
}
