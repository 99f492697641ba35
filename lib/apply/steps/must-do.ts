import { type Command, ReplyError } from '../../../resp/index.ts';
import { parseAddress } from '../../model/address.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { type Context, nodeError } from '../context.ts';

/** Sends a node a command that it has to do. `tolerated`: what an error may say that is no error then. */
export async function mustDo(
  context: Context,
  node: NodeRef,
  command: Command,
  what: string,
  tolerated?: string,
): Promise<void> {
  try {
    await context.connections.ask(parseAddress(node.address), command);
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    if (tolerated !== undefined && error.message.includes(tolerated)) return;
    throw nodeError(
      'NODES_DISAGREE',
      node.address,
      `Cannot ask ${node.address} to ${what}: ${error.message}`,
      { cause: error },
    );
  }
}
