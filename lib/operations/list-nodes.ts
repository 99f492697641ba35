import { askNode } from '../apply/look.ts';
import { compareAddresses } from '../model/address.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './run.ts';

export interface ListOptions extends ConnectionOptions {
  /** Stands in where a node does not know its own host. @default the host of the address that is asked */
  readonly defaultHost?: string;
  /** Leaves out nodes for which it returns false. @default every node is listed */
  readonly filter?: (node: ClusterNode) => boolean;
  readonly signal?: AbortSignal;
}

/** The nodes of a cluster as one of them sees it. */
export interface NodeList {
  /** Ordered by address. */
  readonly nodes: ClusterNode[];
  /** The node that was asked, whether or not the filter leaves it in `nodes`. */
  readonly myself: ClusterNode;
}

/** Lists the nodes that one node knows, itself included, those in handshake left out. */
export function listNodes(cluster: ClusterLike, options: ListOptions = {}): Promise<NodeList> {
  return withReading(cluster, options, async ({ connections }) => {
    const seed = seedOf(cluster);
    const { records, myself } = await askNode(connections, seed);
    const { defaultHost = seed.host, filter = () => true } = options;
    const all = records.map((record) => new ClusterNode(record, defaultHost));
    const own = all.find(({ nodeId }) => nodeId === myself.id) ?? new ClusterNode(myself, defaultHost);
    return { nodes: all.filter(filter).sort(compareAddresses), myself: own };
  });
}

/** Lists the masters that one node knows. Otherwise like `listNodes`. */
export function listMasters(cluster: ClusterLike, options: ListOptions = {}): Promise<NodeList> {
  const { filter = () => true } = options;
  return listNodes(cluster, { ...options, filter: (node) => node.master && filter(node) });
}
