import { lookClaimed } from '../apply/look-claimed.ts';
import { goneNodes } from '../model/condition.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { requireMember, requireServing } from '../nodes/requirements.ts';
import { type ClusterLike, seedOf } from './cluster.ts';
import { finishOpenSlots } from './finish-open-slots.ts';

/**
 * Prepares moving slots between masters: looks at the cluster, resolves the names of nodes, rejects if moving cannot work,
 * and finishes interrupted moves. Names are resolved again afterwards, since the nodes may then have other slots.
 */
export async function lookForBalance<Named>(
  context: Context,
  cluster: ClusterLike,
  operation: string,
  find: (view: ClusterView) => Promise<Named>,
): Promise<Named & { readonly view: ClusterView }> {
  const view = await lookClaimed(context, seedOf(cluster));
  requireMember(view);
  const named = await find(view);
  requireServing(view, operation);
  for (const id of goneNodes(view)) {
    const node = nodeName(view, id);
    context.emit({ type: 'warning', node, message: `${node} has failed: it is left out` });
  }
  const settled = await finishOpenSlots(context, view);
  return { ...(settled === view ? named : await find(settled)), view: settled };
}
