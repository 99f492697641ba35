import { ReplyError } from '../../resp/index.ts';
import { nodeError } from '../apply/context.ts';
import { look } from '../apply/look.ts';
import { formatAddress } from '../model/address.ts';
import { failedNodes } from '../model/findings.ts';
import { nodeById } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { nodeRef } from '../plan/plan.ts';
import { requireMember } from './join-cluster.ts';
import { carryOut, type OperationResult } from './result.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface ShutdownOptions extends OperationOptions {
  /** Leave nodes out of account that give no answer and that the cluster holds for failed. @default false */
  readonly ignoreFailed?: boolean;
}

/**
 * Ends a cluster that is down to one node without keys: the node is reset hard and belongs to no cluster after.
 * Rejects with ClusterError `NOT_IN_CLUSTER`, `MORE_NODES` or `NODE_NOT_EMPTY`.
 */
export function shutdownCluster(node: ClusterLike, options: ShutdownOptions = {}): Promise<OperationResult> {
  return withContext(node, options, async (context) => {
    const view = await look(context.connections, seedOf(node), context.signal);
    const name = formatAddress(view.seed);
    requireMember(view);
    const ignored = new Set(options.ignoreFailed ? failedNodes(view) : []);
    const others = view.nodes.filter(({ id }) => id !== view.seedId && !ignored.has(id));
    if (others.length > 0) {
      const names = others.map(({ address }) => formatAddress(address)).join(', ');
      throw nodeError('MORE_NODES', name, `More than 1 nodes in cluster: ${name} knows ${names}`, {
        hint: 'Take them out with: redis-trib quit; nodes that have failed can be left out of account with --ignore-failed',
      });
    }
    const record = nodeById(view, view.seedId);
    const steps = record ? [{ type: 'reset' as const, node: nodeRef(record) }] : [];
    try {
      return await carryOut(context, view.nodes, { operation: 'shutdown', masters: [], steps });
    } catch (error) {
      const refused = error instanceof Error && error.cause instanceof ReplyError ? error.cause : undefined;
      if (!refused?.message.includes('containing keys')) throw error;
      throw nodeError('NODE_NOT_EMPTY', name, `Redis still contains keys: ${name} is not shut down`, {
        hint: 'Save what is needed, then empty it with FLUSHALL',
        cause: error,
      });
    }
  });
}
