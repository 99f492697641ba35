import { parseAddress, sameAddress } from '../../model/address.ts';
import { isFailed, type NodeRecord } from '../../model/node.ts';
import { NodeLines } from '../../model/node-lines.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';
import { inParallel } from '../parallel.ts';
import { mustDo } from './must-do.ts';

/** CLUSTER RESET HARD: the node forgets everything and takes a new id, so that it can join again at once. */
export async function reset(context: Context, node: NodeRef): Promise<void> {
  const started = performance.now();
  const { records, myself } = await askNode(context.connections, parseAddress(node.address));
  const others = records.filter((one) => one.id !== myself.id && !isFailed(one));
  do {
    if (performance.now() - started > agreeTimeout(context))
      throw nodeError(
        'NOT_REACHED',
        node.address,
        `${node.address} is introduced again whenever it is reset`,
      );
    await mustDo(context, node, ['CLUSTER', 'RESET', 'HARD'], 'reset it');
  } while (await isIntroduced(context, myself, others));
  context.emit({ type: 'node-reset', node: node.address });
}

/**
 * Ends introductions of a node that was reset to those it knew, under whatever id, and says whether there were any. Valkey 8.1 and
 * newer send MEET to nodes that have no link to them, so also to those that were made to forget them
 * (clusterNodeCronHandleReconnect): what is on its way then would bring the node in again under its new id.
 */
async function isIntroduced(
  { connections }: Context,
  { address, id: formerId }: NodeRecord,
  others: readonly NodeRecord[],
): Promise<boolean> {
  const lines = new NodeLines();
  const found = await inParallel(others, async (other) => {
    try {
      const { records, inHandshake = [] } = await askNode(connections, other.address, undefined, lines);
      // One that owns slots is what was at this address before.
      const strays = [...records, ...inHandshake].filter(
        (one) => one.id !== formerId && sameAddress(one.address, address) && one.slots.length === 0,
      );
      await connections.askAll(
        other.address,
        strays.map(({ id }) => ['CLUSTER', 'FORGET', id]),
      );
      return strays.length > 0;
    } catch {
      // Whoever gives no answer cannot be told to forget the node's former id either.
      return false;
    }
  });
  return found.includes(true);
}
