import { isLinked, type NodeDetails } from '../model/details.ts';
import type { Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { lacksReplicas, MIN_REPLICAS } from '../model/refused-writes.ts';
import { type ClusterView, nodeById, nodeName, replicasOf } from '../model/view.ts';

/** What nodes report about their replication, and the settings of those that must have replicas. */
export interface Replication {
  readonly view: ClusterView;
  /** By id. */
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
  /** By id; only of nodes with `min-replicas-to-write`. */
  readonly settings: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** A master that would refuse every write, and why. */
export interface RefusedWrites {
  readonly master: string;
  readonly message: string;
  readonly next: readonly Next[];
}

/**
 * Tells of a master with slots whether it would refuse every write if some nodes stopped. If it is one of these, `successor` takes its place,
 * and the other replicas follow that. Undefined if it would not, or if none of its own nodes stops.
 */
export function refusedOnceStopped(
  { view, details, settings }: Replication,
  ids: ReadonlySet<string>,
  owner: string,
  successor: string | undefined,
): RefusedWrites | undefined {
  if (settings.size === 0) return undefined;
  const linked = replicasOf(view, owner).filter(({ id }) => isLinked(details.get(id)));
  const left = linked.filter(({ id }) => !ids.has(id) && id !== successor).length;
  if (ids.has(owner))
    return successor === undefined ? undefined : refused({ view, details, settings }, successor, left);
  const own = details.get(owner);
  if (left === linked.length || own === undefined || own instanceof Error) return undefined;
  const good = (own.goodReplicas ?? 0) - (linked.length - left);
  return refused({ view, details, settings }, owner, Math.max(0, good));
}

/**
 * The same for a node that is restarted, once all replicas of its shard that answer are in sync. A master is restarted as a replica of
 * its successor.
 */
export function refusedAtRestart(
  seen: Replication,
  { id, role, masterId }: NodeRecord,
  successor: string | undefined,
): RefusedWrites | undefined {
  const owner = role === 'replica' ? (masterId ?? '') : id;
  const master = role === 'replica' ? owner : successor;
  if (master === undefined || !nodeById(seen.view, owner)?.slots.length) return undefined;
  const answering = replicasOf(seen.view, owner).filter((one) => seen.view.reports.has(one.id));
  return refused(seen, master, Math.max(0, answering.length - 1));
}

function refused(
  { view, details, settings }: Replication,
  id: string,
  goodReplicas: number,
): RefusedWrites | undefined {
  const own = details.get(id);
  if (own === undefined || own instanceof Error || own.goodReplicas === undefined) return undefined;
  const lack = lacksReplicas({ goodReplicas }, settings.get(id), 'would have');
  if (lack === undefined) return undefined;
  const master = nodeName(view, id);
  return {
    master,
    message: `${master} would refuse every write: ${lack}`,
    next: [
      { do: 'replicate', node: master },
      { do: 'configure', node: master, settings: [MIN_REPLICAS] },
    ],
  };
}
