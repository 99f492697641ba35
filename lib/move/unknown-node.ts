import { ReplyError } from '../../resp/index.ts';
import type { ClusterError, ClusterErrorDetails } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { NodeRef } from '../plan/plan.ts';
import { isUnknownNode } from './set-slot.ts';

/** A node that takes longer over this question is not waited for: whether it knows the other is not known then. */
const QUESTION_TIMEOUT_MS = 1000;

/**
 * Rejects with ClusterError `NODES_DISAGREE` if one of these members does not know a node. It would send clients to the wrong
 * node for every slot that the other gets, whatever the others say. A member that does not answer, or refuses the question, is
 * passed over. Rule 32 (docs/moving-slots.md).
 */
export async function requireKnownTo(
  context: Context,
  node: NodeRef,
  members: readonly NodeRef[],
  openSlots: readonly number[] = [],
): Promise<void> {
  const without = await membersWithout(context, node, members);
  if (without.length > 0) throw unknownNode(node, without, { openSlots });
}

/** Those of these members that say that they do not know a node. */
export async function membersWithout(
  { connections }: Context,
  { id }: NodeRef,
  members: readonly NodeRef[],
): Promise<NodeRef[]> {
  const answers = await inParallel(members, async (member) => {
    // It changes nothing, and looks the node up as SETSLOT does (clusterLookupNode).
    const question = ['CLUSTER', 'COUNT-FAILURE-REPORTS', id];
    return connections.askSoon(parseAddress(member.address), question, QUESTION_TIMEOUT_MS).then(
      () => [],
      (error: unknown) => (error instanceof ReplyError && isUnknownNode(error) ? [member] : []),
    );
  });
  return answers.flat();
}

/** The error for a node that some members do not know. */
export function unknownNode(
  { id, address }: NodeRef,
  without: readonly NodeRef[],
  details: ClusterErrorDetails = {},
): ClusterError {
  const names = without.map((one) => one.address);
  const [first = ''] = names;
  const { host, port } = parseAddress(address);
  return nodeError(
    'NODES_DISAGREE',
    first,
    `Cannot move slots to or from ${address}: ${names.join(', ')} ${names.length === 1 ? 'does' : 'do'} not know node ${id}`,
    {
      hint: `${first} was told to forget that node, or was never introduced to it`,
      resumable: 'same-call',
      next: [
        ...names.map((node) => ({
          do: 'command' as const,
          node,
          command: ['CLUSTER', 'MEET', host, `${port}`],
        })),
        { do: 'retry', when: 'after-that' },
      ],
      ...details,
    },
  );
}
