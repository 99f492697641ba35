import { type Command, ReplyError } from '../../resp/index.ts';
import { type ClusterError, missingRight } from '../errors.ts';
import { parseAddress } from '../model/address.ts';
import type { Advice, Next } from '../model/next.ts';
import type { NodeRef } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { emptying } from './newcomer.ts';

/**
 * Sends a node a command that must succeed. Rejects with ClusterError `COMMAND_REFUSED` if the node refuses. `what` completes
 * "Cannot …". `tolerated` is part of a refusal that means that nothing is left to do.
 */
export async function mustDo(
  context: Context,
  { address }: NodeRef,
  command: Command,
  what: string,
  tolerated?: string,
): Promise<void> {
  try {
    await context.connections.ask(parseAddress(address), command);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    if (tolerated !== undefined && error.message.includes(tolerated)) return;
    throw commandRefused(context, address, what, error);
  }
}

/** The error for a node that refuses a command. Earlier steps stay done, and the same call finds them done. */
export function commandRefused(
  { options }: Context,
  address: string,
  what: string,
  cause: ReplyError,
): ClusterError {
  const { hint, next = [] } = adviceOn(address, cause, options.username ?? 'default');
  const again: Next = { do: 'retry', when: 'repaired' };
  return nodeError('COMMAND_REFUSED', address, `Cannot ${what}: ${cause.message}`, {
    ...{ cause, hint, next: [...next, again] },
    resumable: 'same-call',
  });
}

// Recognised by the sentences of clusterCommand and of ACL.
function adviceOn(node: string, error: ReplyError, ourselves: string): Advice {
  const { message } = error;
  const right = missingRight(error);
  if (right) {
    const user = right.user ?? ourselves;
    const hint = `The ACL user "${user}" may not run this command there`;
    return { hint, next: [{ do: 'command', node, command: ['ACL', 'SETUSER', user, `+${right.command}`] }] };
  }
  if (error.code === 'NOPERM' && /\bkeys?\b/.test(message)) {
    const hint = `The ACL user "${ourselves}" may not access every key there`;
    return { hint, next: [{ do: 'command', node, command: ['ACL', 'SETUSER', ourselves, '~*'] }] };
  }
  if (error.code === 'NOPERM') return { hint: 'The ACL user may not run this command there' };
  if (message.includes("Can't forget my master")) {
    const hint = 'It is a replica of the node that leaves. Make it a replica of another master first';
    return { hint, next: [{ do: 'command', node, command: ['CLUSTER', 'REPLICATE', 'NODE_ID'] }] };
  }
  if (/containing keys|must be empty/.test(message)) return emptying(node);
  if (message.includes('only replicate a master'))
    return { hint: 'The node to replicate is now a replica itself' };
  if (message.startsWith('ERR unknown command'))
    return { hint: 'The command is renamed or disabled on the server, or the server is too old for it' };
  return {};
}
