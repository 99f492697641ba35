import { ReplyError } from '../../resp/index.ts';
import { claimThenLook } from '../apply/look-claimed.ts';
import { wordsOnCondition } from '../findings/condition-words.ts';
import { formatAddress } from '../model/address.ts';
import { goneNodes } from '../model/condition.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { askNewcomer, emptying, isOutside } from '../nodes/newcomer.ts';
import { requireMember } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { dissolving } from '../plan/dissolving.ts';
import { nodeRef } from '../plan/plan.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface ShutdownOptions extends OperationOptions {
  /** Ignore failed nodes: those that do not answer and that the cluster has declared failed. @default false */
  readonly ignoreFailed?: boolean;
}

/**
 * Dissolves a cluster of a single node without keys: the node is reset (hard) and then belongs to no cluster. Does nothing if it
 * is in no cluster, without keys, already.
 * Rejects with ClusterError `NOT_IN_CLUSTER`, `MORE_NODES` or `NODE_NOT_EMPTY`.
 */
export function shutdownCluster(node: ClusterLike, options: ShutdownOptions = {}): Promise<OperationResult> {
  return withContext(node, options, async (context) => {
    const seed = seedOf(node);
    const view = await claimThenLook(context, seed, () => look(context.connections, seed, context.signal));
    const name = formatAddress(view.seed);
    if (await hasEnded(context, view))
      return carryOut(context, view.nodes, { operation: 'shutdown', masters: [], steps: [] });
    requireMember(view);
    const ignored = new Set(options.ignoreFailed ? goneNodes(view) : []);
    const others = view.nodes.filter(({ id }) => id !== view.seedId && !ignored.has(id));
    if (others.length > 0) {
      const living = others.filter(({ id }) => view.reports.has(id));
      const silent = others.find(({ id }) => !view.reports.has(id));
      const names = others.map(({ address }) => formatAddress(address)).join(', ');
      throw nodeError('MORE_NODES', name, `More than 1 nodes in cluster: ${name} knows ${names}`, {
        next: [
          ...(living.length > 0 ? dissolving(view, view.seedId) : []),
          ...(silent && options.ignoreFailed ? (wordsOnCondition(view, silent.id).next ?? []) : []),
          ...(silent && !options.ignoreFailed
            ? [{ do: 'retry' as const, options: { ignoreFailed: true }, when: 'gone-for-good' as const }]
            : []),
        ],
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
        ...emptying(name),
        cause: error,
      });
    }
  });
}

// A cluster of one node leaves no trace once it has ended. A node with keys is not what this leaves.
async function hasEnded(context: Context, { seed, seedId, reports }: ClusterView): Promise<boolean> {
  const report = reports.get(seedId);
  return report !== undefined && isOutside(report) && (await askNewcomer(context, seed)).keys === 0;
}
