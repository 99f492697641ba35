import { wordsOnCondition } from '../findings/condition-words.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeByAddress, nodeById, nodeName } from '../model/view.ts';
import { type Context, nodeError } from './context.ts';
import { askNode } from './look.ts';
import { notAMaster } from './requirements.ts';

/**
 * The master named by a node id, a unique prefix of one, or an address. Rejects with ClusterError `NOT_SAME_CLUSTER`,
 * `AMBIGUOUS_NODE`, `NOT_A_MASTER` or `NODE_UNREACHABLE`, each with that name.
 */
export async function namedMaster(context: Context, view: ClusterView, name: string): Promise<NodeRecord> {
  const node = await namedNode(context, view, name);
  if (node.role === 'replica') {
    const master = nodeName(view, node.masterId ?? '');
    const hint = `Name its master instead: ${master}. A master that gave its last slot away may have become a replica`;
    throw notAMaster(node.address, `Cannot use node "${name}"`, hint, master);
  }
  if (!view.reports.has(node.id)) {
    const { says, hint = 'Leave it out, or bring it back', next } = wordsOnCondition(view, node.id);
    throw nodeError('NODE_UNREACHABLE', node.address, `Cannot use node "${name}": it ${says}`, {
      hint: `Nothing was changed. ${hint}`,
      next,
    });
  }
  return node;
}

/**
 * The node named by a node id, a unique prefix of one, or an address. Rejects with ClusterError `NOT_SAME_CLUSTER` or
 * `AMBIGUOUS_NODE`.
 */
export async function namedNode(context: Context, view: ClusterView, name: string): Promise<NodeRecord> {
  const byId = view.nodes.filter(({ id }) => name !== '' && id.startsWith(name.toLowerCase()));
  const [first, second] = byId;
  if (first && !second) return first;
  if (first) {
    const all = byId.map(({ id, address }) => `${id} (${formatAddress(address)})`).join(', ');
    throw nodeError('AMBIGUOUS_NODE', view.seed, `Not one node: "${name}" begins the ids of ${all}`, {
      hint: 'Give more of the id, or the address',
    });
  }
  const address = addressIn(name);
  const known = address && (nodeByAddress(view, address) ?? (await nodeThere(context, view, address)));
  if (known) return known;
  const shown = view.nodes.toSorted((a, b) => a.role.localeCompare(b.role)).slice(0, 8);
  throw nodeError(
    'NOT_SAME_CLUSTER',
    name,
    `No such node: no node of the cluster of ${formatAddress(view.seed)} has the id or address "${name}"`,
    { hint: `Name one of its nodes: ${shown.map(({ address }) => formatAddress(address)).join(', ')}` },
  );
}

/** The nodes of a host, by its address or announced name, or the one node named as for `namedNode`. Rejects as that does. */
export async function nodesNamed(context: Context, view: ClusterView, target: string): Promise<NodeRecord[]> {
  const onHost = view.nodes.filter(
    ({ address, hostname }) => address.host === target || (hostname !== null && hostname === target),
  );
  return onHost.length > 0 ? onHost : [await namedNode(context, view, target)];
}

/** The address that a name is, or undefined for an id. */
export function addressIn(name: string): Address | undefined {
  try {
    return parseAddress(name);
  } catch {
    return undefined;
  }
}

// A node may answer at more addresses than the others list for it.
async function nodeThere(
  { connections }: Context,
  view: ClusterView,
  address: Address,
): Promise<NodeRecord | undefined> {
  try {
    return nodeById(view, (await askNode(connections, address)).myself.id);
  } catch {
    return undefined;
  }
}
