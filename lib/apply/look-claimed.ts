import { type Address, formatAddress } from '../model/address.ts';
import { isFailed, isSuspected, type NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { lookSettled } from '../nodes/look-settled.ts';
import { besideMember } from '../nodes/newcomer.ts';
import { requireNoTwins } from '../nodes/twins.ts';
import { mastersOf } from '../plan/moves.ts';
import { claim } from './claim.ts';

const LARGEST_PORT = 65_535;

/**
 * Claims the cluster, then looks at it with `lookSettled`, and makes sure that no two servers answer with one node id. Every operation that changes something begins with this or with
 * `claimThenLook`: it then plans from what the operator before it has left. A dry run only looks.
 */
export function lookClaimed(context: Context, seed: Address, ignore?: string): Promise<ClusterView> {
  return claimThenLook(context, seed, () => lookSettled(context, seed, ignore));
}

/** The same with another way to look; `also` are nodes that are not members yet. Looks again if it finds masters that the first node did not know. */
export async function claimThenLook<Seen extends ClusterView | { readonly view: ClusterView }>(
  context: Context,
  seed: Address,
  look: () => Promise<Seen>,
  also: readonly Address[] = [],
): Promise<Seen> {
  await claimCluster(context, seed, also);
  for (;;) {
    const seen = await look();
    const view: ClusterView = 'view' in seen ? seen.view : seen;
    context.account.view = view;
    if (context.settings.dryRun || !(await claim(context, mastersOf(view)))) {
      await requireNoTwins(context, view, also);
      return seen;
    }
  }
}

/**
 * Claims the masters that one node knows, and nodes that are not members yet: a newcomer may be joining another cluster.
 * Rejects if the first node, or one of `also`, cannot be used.
 */
export async function claimCluster(
  context: Context,
  seed: Address,
  also: readonly Address[] = [],
): Promise<void> {
  if (context.settings.dryRun) return;
  const { connections, signal } = context;
  const [report] = await Promise.all([
    askNode(connections, seed, signal),
    ...also.map((address) =>
      besideMember(context, seed, address, () => connections.ask(address, ['PING'], { early: true, signal })),
    ),
  ]);
  const { myself, records } = report;
  const masters = records
    .filter((record) => record.id !== myself.id && isClaimable(record))
    .map(({ address }) => address);
  const own = myself.role === 'master' ? [seed] : [];
  await claim(
    context,
    [...own, ...masters, ...also].map((address) => ({ address: formatAddress(address) })),
  );
}

// A master that the node holds for failed would be waited for in vain. It is claimed after the look if it answers that.
function isClaimable(record: NodeRecord): boolean {
  const { role, address, flags } = record;
  if (role !== 'master' || flags.includes('noaddr') || address.host === '') return false;
  // A port that a hostile or broken node reports may be any number.
  if (!(address.port >= 1 && address.port <= LARGEST_PORT)) return false;
  return !isFailed(record) && !isSuspected(record);
}
