import type { Address } from '../model/address.ts';
import { formatAddress } from '../model/address.ts';
import type { ClusterView, NodeReport } from '../model/view.ts';
import { type Context, nodeError } from './context.ts';
import { askNode } from './look.ts';
import { databases, parseInfo } from './node-info.ts';

/** A node that is to become a member, and how many keys it holds. */
export interface Newcomer {
  readonly report: NodeReport;
  readonly keys: number;
}

/** Asks a node that is to become a member. Rejects with ClusterError `NOT_CLUSTER_ENABLED` for a standalone server. */
export async function askNewcomer(context: Context, address: Address): Promise<Newcomer> {
  const report = await askNode(context.connections, address, context.signal);
  const keyspace = String(
    await context.connections.ask(address, ['INFO', 'keyspace'], { signal: context.signal }),
  );
  return { report, keys: countKeyspace(keyspace) };
}

/** Keys in all databases, from the reply of INFO keyspace. */
export function countKeyspace(info: string): number {
  return databases(parseInfo(info)).reduce((sum, { keys }) => sum + keys, 0);
}

/** True if the node knows nobody and owns nothing. */
export function isFresh({ report }: Newcomer): boolean {
  return report.records.length === 1 && report.info.state !== 'ok' && report.info.slotsAssigned === 0;
}

/** True if the node and the cluster know of one another: it is a member, or its introduction was interrupted. */
export function isAcquainted({ report }: Newcomer, view: ClusterView): boolean {
  const ids = new Set(view.nodes.map(({ id }) => id));
  return report.records.some(({ id }) => ids.has(id));
}

/** The error for a node that has a cluster already. */
export function alreadyInCluster({ report }: Newcomer, hint?: string): Error {
  const name = formatAddress(report.address);
  return nodeError('ALREADY_IN_CLUSTER', name, `Node ${name} is already in a cluster`, {
    hint: hint ?? 'Take it out first with: redis-trib quit, or redis-trib shutdown if it is alone',
  });
}

/** Throws unless the node knows nobody and owns nothing. */
export function requireFresh(newcomer: Newcomer): void {
  if (!isFresh(newcomer)) throw alreadyInCluster(newcomer);
}

/** Throws if the node holds keys: they would belong to other nodes' slots, out of reach or in the way. */
export function requireNoKeys({ report, keys }: Newcomer): void {
  if (keys === 0) return;
  const name = formatAddress(report.address);
  throw nodeError('NODE_NOT_EMPTY', name, `Node ${name} is not empty: it still contains keys (${keys})`, {
    hint:
      report.myself.openSlots.length > 0
        ? `It has slots open that an interrupted run left: finish them with: redis-trib fix ${name}`
        : 'Save what is needed, then empty it with FLUSHALL',
  });
}
