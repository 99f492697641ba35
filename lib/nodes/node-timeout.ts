import { type Address, parseAddress } from '../model/address.ts';
import { shorten } from '../model/lists.ts';
import { SHORT_NODE_TIMEOUT_MS } from '../model/setup.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';

export const NODE_TIMEOUT = 'cluster-node-timeout';
const SHOWN = 5;

/** The node timeout of one node, or why it does not say. Rejects if the node cannot be reached. */
export async function askNodeTimeout(
  { connections }: Pick<Context, 'connections'>,
  address: Address,
): Promise<number | Error> {
  const [reply] = await connections.askAll(address, [['CONFIG', 'GET', NODE_TIMEOUT]]);
  if (reply instanceof Error) return reply;
  const ms = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
  return Number.isInteger(ms) ? ms : new Error(`it does not report its ${NODE_TIMEOUT}`);
}

/** The node timeouts of members. Those that do not say are left out. */
export async function askNodeTimeouts(
  context: Context,
  members: readonly NodeRef[],
): Promise<Map<NodeRef, number>> {
  const found = await inParallel(members, async (node): Promise<[NodeRef, number][]> => {
    const ms = await askNodeTimeout(context, parseAddress(node.address));
    return ms instanceof Error ? [] : [[node, ms]];
  });
  return new Map(found.flat());
}

/** What is wrong with node timeouts: a run that was killed left its own behind, or they differ. */
export function unevenTimeouts(timeouts: ReadonlyMap<NodeRef, number>): string | undefined {
  const byValue = new Map<number, string[]>();
  for (const [{ address }, ms] of timeouts) byValue.set(ms, [...(byValue.get(ms) ?? []), address]);
  const left = byValue.get(SHORT_NODE_TIMEOUT_MS);
  if (left) {
    const nodes = shorten(left, SHOWN, 'node').join(', ');
    return `${NODE_TIMEOUT} is still ${SHORT_NODE_TIMEOUT_MS} on ${nodes}: a run that was killed set it. Set it to what it was`;
  }
  if (byValue.size < 2) return undefined;
  const texts = [...byValue]
    .sort(([a], [b]) => a - b)
    .map(([ms, nodes]) => `${ms} on ${shorten(nodes, SHOWN, 'node').join(', ')}`);
  return `${NODE_TIMEOUT} differs between members: ${texts.join('; ')}`;
}
