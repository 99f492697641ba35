import type { Reply } from '../../resp/index.ts';
import type { ShardLists } from '../findings/setup-findings.ts';
import type { NodeSetup } from '../model/setup.ts';
import type { ClusterView } from '../model/view.ts';
import type { Connections } from './connections.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';

/** Lines in all replies together: a reply has one for each node. In a larger cluster, fewer members are asked. */
const LINES = 1000;

/**
 * Asks members for the shards, if servers have shard ids: those of others are known from what they gossip, and may be wrong. Members
 * that refuse are left out.
 */
export async function askShards(
  connections: Connections,
  { reports, nodes }: ClusterView,
  setups: ReadonlyMap<string, NodeSetup>,
): Promise<ShardLists> {
  const asked = [...reports]
    .filter(([id]) => setups.get(id)?.shardId !== undefined)
    .slice(0, Math.max(1, Math.floor(LINES / nodes.length)));
  const lists = await inParallel(asked, async ([id, { address }]): Promise<[string, string[][]][]> => {
    const [reply] = await connections.askAll(address, [['CLUSTER', 'SHARDS']]).catch(() => []);
    return Array.isArray(reply) ? [[id, reply.map(idsIn)]] : [];
  });
  return new Map(lists.flat());
}

// slots, [0, 5460], nodes, [[id, ID, port, 7000, …], …]
function idsIn(shard: Reply): string[] {
  const nodes = fieldOf(shard, 'nodes');
  return Array.isArray(nodes) ? nodes.map((node) => String(fieldOf(node, 'id'))) : [];
}

function fieldOf(reply: Reply | undefined, name: string): Reply | undefined {
  if (!Array.isArray(reply)) return undefined;
  const at = reply.findIndex((word, index) => index % 2 === 0 && String(word) === name);
  return at < 0 ? undefined : reply[at + 1];
}

/** Ids of the nodes that are in one shard with this node, as the first members say that know shards; none if servers have no shard ids. */
export async function askShardMates(
  { connections, signal }: Context,
  { reports }: ClusterView,
  id: string,
): Promise<readonly string[]> {
  for (const { address } of [...reports.values()].slice(0, 3)) {
    const [reply] = await connections.askAll(address, [['CLUSTER', 'SHARDS']]).catch(() => []);
    signal?.throwIfAborted();
    const shards = Array.isArray(reply) ? reply.map(idsIn) : [];
    const mates = shards.find((ids) => ids.includes(id) && ids.length > 1);
    if (mates) return mates.filter((one) => one !== id);
  }
  return [];
}
