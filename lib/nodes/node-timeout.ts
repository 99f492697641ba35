import { parseAddress } from '../model/address.ts';
import { shorten } from '../model/lists.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';

export const NODE_TIMEOUT = 'cluster-node-timeout';
/** Two seconds, and a millisecond by which it is known to be left behind: nobody else sets this value. */
export const SHORT_MS = 2001;
const SHOWN = 5;

/** The node timeouts of members. Those that do not say are left out. */
export async function askNodeTimeouts(
  { connections }: Context,
  members: readonly NodeRef[],
): Promise<Map<NodeRef, number>> {
  const found = await inParallel(members, async (node): Promise<[NodeRef, number][]> => {
    const [reply] = await connections.askAll(parseAddress(node.address), [['CONFIG', 'GET', NODE_TIMEOUT]]);
    const ms = Array.isArray(reply) ? Number(reply[1]) : Number.NaN;
    return Number.isInteger(ms) ? [[node, ms]] : [];
  });
  return new Map(found.flat());
}

/** What is wrong with node timeouts: a run that was killed left its own behind, or they differ. */
export function unevenTimeouts(timeouts: ReadonlyMap<NodeRef, number>): string | undefined {
  const byValue = new Map<number, string[]>();
  for (const [{ address }, ms] of timeouts) byValue.set(ms, [...(byValue.get(ms) ?? []), address]);
  const left = byValue.get(SHORT_MS);
  if (left) {
    const nodes = shorten(left, SHOWN, 'node').join(', ');
    return `${NODE_TIMEOUT} is still ${SHORT_MS} on ${nodes}: a run that was killed set it. Set it to what it was`;
  }
  if (byValue.size < 2) return undefined;
  const texts = [...byValue]
    .sort(([a], [b]) => a - b)
    .map(([ms, nodes]) => `${ms} on ${shorten(nodes, SHOWN, 'node').join(', ')}`);
  return `${NODE_TIMEOUT} differs between members: ${texts.join('; ')}`;
}
