import { invalidArgument } from '../errors.ts';
import type { AddressLike } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { nodeById } from '../model/view.ts';
import type { NewcomerOptions } from '../options.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { warnOfMissingReset, warnOfUntold } from './removable.ts';
import { lookToReplace } from './replacing.ts';

/** A node that leaves, and the server that takes its place. */
export interface NodeReplacement {
  /** Node id, a prefix of one, or address. */
  readonly node: string;
  /** An empty server. */
  readonly by: AddressLike;
}

export interface ReplaceOptions extends NewcomerOptions {
  /** Copy several nodes of a host at the same time. @default one after the other */
  readonly batch?: boolean;
}

/** What was replaced or, after a dry run, would be. */
export interface ReplaceResult extends OperationResult {
  /** Nodes that have left. */
  readonly replaced: number;
  readonly failovers: number;
  /**
   * Milliseconds that slots had no master at most: the longest time from the request for a failover to the look at which the new
   * master, the former one and others agreed. What clients noticed is less.
   */
  readonly withoutMasterMs: number;
}

/**
 * Replaces nodes one for one by empty servers, also by those of another engine that read their snapshots. Each newcomer copies the node, or
 * the master of the replica that it replaces, and takes its place: a master hands over by a failover that loses no write, and its replicas
 * follow the newcomer. Then the node is forgotten by all and reset. Of a host, one node is copied at a time (see `batch`).
 * Before anything is changed, rejects with ClusterError `TARGET_TOO_OLD` for a server that cannot read the snapshot of what it would copy,
 * `NODE_NOT_EMPTY` or `ALREADY_IN_CLUSTER` for one that is not empty, `CREDENTIALS_DIFFER`, `NO_MEMORY`, `NO_REPLICA` if a replica that
 * stays could not follow it; `NODE_NOT_EMPTY` for a dead node that still owns slots, `NODE_UNREACHABLE` for one that may be alive,
 * `NOT_SAME_CLUSTER` for a node outside the cluster, `SLOTS_UNCOVERED` or `AMBIGUOUS_NODE`.
 * If a node of a pair cannot be reached later on, rejects with `NODE_UNREACHABLE`, too: the message names both, the hint what is done and left.
 * The same call finishes an interrupted run, and does nothing for nodes that have been replaced already.
 */
export function replaceNodes(
  cluster: ClusterLike,
  replacements: readonly NodeReplacement[],
  options: ReplaceOptions = {},
): Promise<ReplaceResult> {
  const { functions = 'refuse', batch = false } = options;
  return withContext(cluster, options, async (context) => {
    if (functions !== 'refuse' && functions !== 'replace')
      throw invalidArgument(`Not what happens to functions: "${functions}" (expected refuse or replace)`);
    // Loaded only by this operation.
    const [{ readPairs }, { planReplace }] = await Promise.all([
      import('./replace-pairs.ts'),
      import('../plan/replace.ts'),
    ]);
    const pairs = readPairs(replacements);
    const replace = async (): Promise<{ readonly result: OperationResult; readonly count: number }> => {
      const { view, replacements: left } = await lookToReplace(context, seedOf(cluster), pairs, functions);
      const outside = left
        .flatMap(({ node, by }): NodeRecord[] => [node, by])
        .filter(({ id }) => !nodeById(view, id));
      const draft =
        left.length > 0 ? planReplace(view, left, batch) : { operation: 'replace', masters: [], steps: [] };
      const result = await carryOut(context, [...view.nodes, ...outside], draft);
      if (result.applied)
        for (const { node, by, master, isForgotten } of left) {
          if (isForgotten) continue;
          warnOfMissingReset(context, view, node);
          warnOfUntold(context, view, node, master && master.id !== node.id ? master : by);
        }
      return { result, count: left.length };
    };
    const { result, count } = await replace().catch(async (error: unknown) => {
      // Loaded only by operations that end early.
      const { replaceFailed } = await import('./replace-failed.ts');
      throw replaceFailed(context, pairs, error);
    });
    const { failovers, withoutMasterMs } = context.account;
    return { ...result, replaced: result.applied ? count : 0, failovers, withoutMasterMs };
  });
}
