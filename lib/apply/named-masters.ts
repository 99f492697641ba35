import { messageOf } from '../errors.ts';
import { type Address, formatAddress, parseAddress } from '../model/address.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeByAddress, nodeById, nodeName } from '../model/view.ts';
import { type Context, nodeError } from './context.ts';
import { askNode } from './look.ts';

/**
 * The master that is meant by a node id, the beginning of one that no other has, or an address.
 * Rejects with ClusterError `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE`, `NOT_A_MASTER` or `NODE_UNREACHABLE`, each by that name.
 */
export async function namedMaster(context: Context, view: ClusterView, name: string): Promise<NodeRecord> {
  const node = await namedNode(context, view, name);
  if (node.role === 'replica') {
    const master = nodeName(view, node.masterId ?? '');
    throw nodeError('NOT_A_MASTER', node.address, `Cannot use node "${name}": it is a replica of ${master}`, {
      hint: `Write its master instead: ${master}. A master that has given its last slot away may have become a replica`,
    });
  }
  if (!view.reports.has(node.id) || isFailed(node)) {
    const reason = view.unreachable.get(node.id);
    const why = reason ? `it gives no answer: ${messageOf(reason)}` : 'it has failed';
    throw nodeError('NODE_UNREACHABLE', node.address, `Cannot use node "${name}": ${why}`, {
      hint: 'Nothing was changed. Bring it back, or leave it out',
    });
  }
  return node;
}

/**
 * The node that is meant by a node id, the beginning of one that no other has, or an address.
 * Rejects with ClusterError `NOT_SAME_CLUSTER` or `AMBIGUOUS_NODE`.
 */
export async function namedNode(context: Context, view: ClusterView, name: string): Promise<NodeRecord> {
  const byId = view.nodes.filter(({ id }) => name !== '' && id.startsWith(name.toLowerCase()));
  const [first, second] = byId;
  if (first && !second) return first;
  if (first) {
    const all = byId.map(({ id, address }) => `${id} (${formatAddress(address)})`).join(', ');
    throw nodeError('AMBIGUOUS_NODE', view.seed, `Not one node: "${name}" begins the ids of ${all}`, {
      hint: 'Write more of the id, or the address',
    });
  }
  const address = addressIn(name);
  const known = address && (nodeByAddress(view, address) ?? (await nodeThere(context, view, address)));
  if (known) return known;
  const masters = view.nodes.filter(({ role }) => role === 'master').slice(0, 8);
  throw nodeError(
    'NOT_SAME_CLUSTER',
    name,
    `No such node: no node of the cluster of ${formatAddress(view.seed)} has the id or address "${name}"`,
    { hint: `Write one of its masters: ${masters.map(({ address }) => formatAddress(address)).join(', ')}` },
  );
}

function addressIn(name: string): Address | undefined {
  try {
    return parseAddress(name);
  } catch {
    return undefined;
  }
}

// A node may answer at more addresses than the others know it by.
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
