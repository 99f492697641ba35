import { parseAddress } from '../../model/address.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { mustDo } from '../../nodes/must-do.ts';
import { countKeyspace } from '../../nodes/newcomer.ts';
import { onceLoaded } from '../../nodes/once-loaded.ts';
import { inParallel } from '../../nodes/parallel.ts';
import type { NodeRef, StepOf } from '../../plan/plan.ts';
import { requireOtherCopy } from '../last-copy.ts';

/**
 * Makes every one of `by` forget a node, all at once. A node that forgets an id refuses it for a minute; after that, gossip from
 * a node that still knows it would bring it back.
 */
export async function forget(context: Context, { node, by, isDead }: StepOf<'forget'>): Promise<void> {
  if (!isDead) await onceLoaded(context, node.address, () => requireEmpty(context, node, by));
  await inParallel(by, async (other) => {
    await mustDo(
      context,
      other,
      ['CLUSTER', 'FORGET', node.id],
      `make ${other.address} forget ${node.address}`,
      'Unknown node',
    );
    context.emit({ type: 'node-forget', node: node.address, by: other.address });
  });
}

/** Throws if a node that leaves still owns slots or holds keys that no other serves: its reset would fail, or lose them. */
async function requireEmpty(context: Context, node: NodeRef, [other]: readonly NodeRef[]): Promise<void> {
  const address = parseAddress(node.address);
  const { myself } = await askNode(context.connections, address);
  if (myself.role !== 'master') return requireOtherCopy(context, node, other && parseAddress(other.address));
  const keys = countKeyspace(String(await context.connections.ask(address, ['INFO', 'keyspace'])));
  if (myself.slots.length === 0 && keys === 0) return;
  const what =
    myself.slots.length > 0 ? 'still owns slots' : `still contains keys (${keys}) of slots it does not own`;
  throw nodeError('NODE_NOT_EMPTY', node.address, `Node ${node.address} ${what}`, { resumable: 'same-call' });
}
