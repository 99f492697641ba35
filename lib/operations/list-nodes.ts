import { compareAddresses } from '../model/address.ts';
import { ClusterNode } from '../model/cluster-node.ts';
import { askNode } from '../nodes/look.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

export interface ListOptions extends ConnectionOptions {
  /** Host for a node that does not know its own. @default the host of the address asked */
  readonly defaultHost?: string;
  /** Only list nodes for which this returns true. @default all nodes */
  readonly filter?: (node: ClusterNode) => boolean;
  readonly signal?: AbortSignal;
}

/** The nodes of a cluster as one of them reports them. */
export interface NodeList {
  /** Ordered by address. */
  readonly nodes: ClusterNode[];
  /** The node that was asked, even if the filter excludes it from `nodes`. */
  readonly myself: ClusterNode;
}

/** Lists the nodes that one node knows, including itself but not nodes in handshake. */
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

/** Like `listNodes`, but lists only masters. */
export function listMasters(cluster: ClusterLike, options: ListOptions = {}): Promise<NodeList> {
  const { filter = () => true } = options;
  return listNodes(cluster, { ...options, filter: (node) => node.master && filter(node) });
}
