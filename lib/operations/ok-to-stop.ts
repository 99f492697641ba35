import {
  type StoppingNode,
  type StopReason,
  stopJudge,
  stopTogether,
  type Voters,
} from '../findings/stop-verdict.ts';
import { lookWithReplication } from '../nodes/inspect.ts';
import { nodesNamed } from '../nodes/named-masters.ts';
import { requireMember } from '../nodes/requirements.ts';
import type { ConnectionOptions } from '../options.ts';
import { type ClusterLike, seedOf, withReading } from './cluster.ts';

/** Whether some nodes may stop together now. */
export interface OkToStopResult {
  readonly ok: boolean;
  /** What becomes of the part of each of the nodes. */
  readonly nodes: readonly StoppingNode[];
  readonly voters: Voters;
  /** Why not; empty if they may. */
  readonly reasons: readonly StopReason[];
  /** Which of the nodes and hosts, as they were named, may stop together, if not all. Those that may not stop at all are in no group. */
  readonly together: readonly (readonly string[])[];
}

export interface OkToStopOptions extends ConnectionOptions {
  readonly signal?: AbortSignal;
}

/**
 * Judges whether nodes may stop together now, for a while or for good: every slot keeps its master or has a replica that is in sync
 * and would be elected, a majority of the masters stays, and each master keeps the replicas that it must have to take writes
 * (`min-replicas-to-write`). Nodes are named by id, a prefix of it, address, or all of a host by its
 * name. Changes nothing. Rejects with ClusterError `NOT_SAME_CLUSTER`, `AMBIGUOUS_NODE` or `NOT_IN_CLUSTER`, or if the first node
 * does not answer.
 */
export function okToStop(
  cluster: ClusterLike,
  targets: readonly string[],
  options: OkToStopOptions = {},
): Promise<OkToStopResult> {
  return withReading(cluster, options, async (context) => {
    const { view, details, settings } = await lookWithReplication(
      context.connections,
      seedOf(cluster),
      context.signal,
    );
    requireMember(view);
    const groups: Set<string>[] = [];
    for (const target of targets)
      groups.push(new Set((await nodesNamed(context, view, target)).map(({ id }) => id)));
    const judge = stopJudge(view, details, settings);
    const verdict = judge(new Set(groups.flatMap((ids) => [...ids])));
    const together = verdict.ok
      ? [targets]
      : stopTogether(judge, groups).map((all) => all.map((at) => targets[at] ?? ''));
    return { ...verdict, together };
  });
}
