import { ConnectionError } from '../../../resp/index.ts';
import { type Address, parseAddress, sameAddress } from '../../model/address.ts';
import { isFailed, type NodeRecord } from '../../model/node.ts';
import { NodeLines } from '../../model/node-lines.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { mustDo } from '../../nodes/must-do.ts';
import { onceLoaded } from '../../nodes/once-loaded.ts';
import { inParallel } from '../../nodes/parallel.ts';
import type { NodeRef } from '../../plan/plan.ts';

/**
 * CLUSTER RESET HARD: the node forgets everything and takes a new id, so that it can join again at once. `forgottenBy` are those that
 * have forgotten it before.
 */
export async function reset(
  context: Context,
  node: NodeRef,
  forgottenBy?: readonly NodeRef[],
): Promise<void> {
  try {
    await onceLoaded(context, node.address, () => resetUntilAlone(context, node, forgottenBy ?? []));
  } catch (error) {
    context.signal?.throwIfAborted();
    if (error instanceof ConnectionError && forgottenBy) throw onlyResetLeft(node, error);
    throw error;
  }
}

// Others do not know its id any more, only its address leads to it.
function onlyResetLeft({ address }: NodeRef, cause: ConnectionError): Error {
  return nodeError('NODE_UNREACHABLE', address, `Cannot reset ${address}: ${cause.message}`, {
    cause,
    hint: 'All other nodes have forgotten it: only its reset is left, without which it takes itself for a member',
    next: [{ do: 'quit', node: address, when: 'answers' }],
  });
}

async function resetUntilAlone(
  context: Context,
  node: NodeRef,
  forgottenBy: readonly NodeRef[],
): Promise<void> {
  const started = performance.now();
  const { records, myself } = await askNode(context.connections, parseAddress(node.address));
  // Those that forgot it answer us, also if the node that leaves holds them for failed.
  const others = new Map(forgottenBy.map(({ id, address }) => [id, parseAddress(address)]));
  for (const one of records) if (one.id !== myself.id && !isFailed(one)) others.set(one.id, one.address);
  for (;;) {
    await mustDo(context, node, ['CLUSTER', 'RESET', 'HARD'], `reset ${node.address}`);
    if (!(await isIntroduced(context, myself, [...others.values()]))) break;
    if (performance.now() - started > context.settings.agreeTimeout)
      throw nodeError(
        'NOT_REACHED',
        node.address,
        `${node.address} is introduced again each time it is reset`,
      );
  }
  context.emit({ type: 'node-reset', node: node.address });
}

/**
 * Ends introductions of a node that was reset by those that knew it, under any id, and returns whether there were any. Valkey 8.1
 * and newer send MEET to nodes without a link to them, including those that were made to forget them
 * (clusterNodeCronHandleReconnect). A MEET in flight at that moment would make the node a member again under its new id.
 */
async function isIntroduced(
  { connections }: Context,
  { address, id: formerId }: NodeRecord,
  others: readonly Address[],
): Promise<boolean> {
  const lines = new NodeLines();
  const found = await inParallel(others, async (other) => {
    try {
      const { records, inHandshake = [] } = await askNode(connections, other, undefined, lines);
      // One that owns slots is the node that was at this address before.
      const strays = [...records, ...inHandshake].filter(
        (one) => one.id !== formerId && sameAddress(one.address, address) && one.slots.length === 0,
      );
      await connections.askAll(
        other,
        strays.map(({ id }) => ['CLUSTER', 'FORGET', id]),
      );
      return strays.length > 0;
    } catch {
      // A node that does not answer cannot be told to forget the former id either.
      return false;
    }
  });
  return found.includes(true);
}
