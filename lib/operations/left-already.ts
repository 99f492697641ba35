import { ConnectionError } from '../../resp/index.ts';
import { isBannedBy } from '../apply/new-id.ts';
import { type Address, formatAddress, sameAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { askNode } from '../nodes/look.ts';
import { addressIn } from '../nodes/named-masters.ts';
import { hasLeft } from '../nodes/newcomer.ts';
import { inParallel } from '../nodes/parallel.ts';
import { askServer } from '../nodes/server.ts';

const FULL_ID = /^[0-9a-f]{40}$/i;

/**
 * True if there is evidence that an earlier run took the node out: it is alone now, and was in a cluster before (`hasLeft`), or a
 * master still bans its id, as for a minute after it forgot it. Without such evidence, the name may be mistyped. Older servers cannot give any of an id, and none
 * can of an address where nothing answers: a warning says so, if no member can be meant.
 */
export async function hasLeftAlready(context: Context, view: ClusterView, name: string): Promise<boolean> {
  const { connections, settings, signal } = context;
  const nodes = knownNodes(view);
  if (FULL_ID.test(name)) {
    const id = name.toLowerCase();
    if (nodes.some((node) => node.id === id)) return false;
    if (await isGoneWithoutTrace(context, view, id)) return true;
    return !settings.dryRun && isBannedBy(context, [...view.reports.values()], id);
  }
  const address = addressIn(name);
  if (!address) return false;
  const seed = view.reports.get(view.seedId);
  if (sameAddress(view.seed, address)) return seed !== undefined && hasLeft(seed);
  if (nodes.some((node) => sameAddress(node.address, address))) return false;
  const answer = await askNode(connections, address, signal).catch((error: Error) => error);
  signal?.throwIfAborted();
  if (answer instanceof ConnectionError) return isNobodyThere(context, view, address);
  return !(answer instanceof Error) && hasLeft(answer);
}

/** True if every member answers, and so none of them can be meant by an address where nothing does. */
function isNobodyThere(context: Context, view: ClusterView, address: Address): boolean {
  if (!isWhole(view)) return false;
  const name = formatAddress(address);
  const message = `No member is at ${name}, and nothing answers there: it has left, or was never in the cluster of ${formatAddress(view.seed)}`;
  context.emit({ type: 'warning', node: name, message });
  return true;
}

/** True if all members answer and serve. */
function isWhole({ reports, nodes }: ClusterView): boolean {
  return reports.size === nodes.length && [...reports.values()].every(({ info }) => info.state === 'ok');
}

/**
 * True if all members answer and are servers that keep no trace of a node that left (before Redis 7.2): an id that none of them knows is
 * gone then, by any tool. Nothing proves that it was ever a member of this cluster, so a warning says so.
 */
async function isGoneWithoutTrace(context: Context, view: ClusterView, id: string): Promise<boolean> {
  if (!isWhole(view)) return false;
  const servers = await inParallel([...view.reports.values()], ({ address }) =>
    askServer(context.connections, address),
  );
  if (servers.some(({ version, capabilities }) => version === '?' || capabilities.tellsForgotten))
    return false;
  const message = `No member knows node ${id}: it has left, or was never in the cluster of ${formatAddress(view.seed)}. Servers before Redis 7.2 keep no trace of a node that left`;
  context.emit({ type: 'warning', node: formatAddress(view.seed), message });
  return true;
}

function knownNodes(view: ClusterView): NodeRecord[] {
  return [...view.reports.values()].flatMap(({ records, inHandshake = [] }) => [...records, ...inHandshake]);
}
