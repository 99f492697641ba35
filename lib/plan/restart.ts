import type { NodeRecord } from '../model/node.ts';
import { followersOf } from '../model/promotion.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import { mastersAmong } from './drain.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type RunningNode, type Step, type StepOf } from './plan.ts';

export interface RestartRequest {
  /** Nodes whose servers are restarted. */
  readonly nodes: readonly NodeRecord[];
  /** By id of each of them: the run id of its server. */
  readonly runIds: ReadonlyMap<string, string>;
  /** By id of each of them that is a master with slots: the replica that takes its place. */
  readonly successors: ReadonlyMap<string, NodeRecord>;
  /** Restart nodes of different shards together, instead of one after the other. */
  readonly batch?: boolean;
  /** Bring each master back after its restart. */
  readonly home?: boolean;
}

/**
 * Restarts replicas and masters without slots, then the masters, each after a replica has taken its place: no server is stopped while
 * it owns slots, and of each shard only one at a time. Pure.
 */
export function planRestart(view: ClusterView, request: RestartRequest): Draft {
  const { nodes, runIds, successors, batch = false, home = false } = request;
  const masters = mastersAmong(nodes).flatMap((master) => {
    const successor = successors.get(master.id);
    return successor ? [{ master, successor }] : [];
  });
  const isMaster = new Set(mastersAmong(nodes).map(({ id }) => id));
  const restart = (group: readonly NodeRecord[]): StepOf<'restart'> => ({
    type: 'restart',
    nodes: group.map((node): RunningNode => ({ ...nodeRef(node), runId: runIds.get(node.id) ?? '' })),
  });
  const groups = grouped(
    view,
    nodes.filter(({ id }) => !isMaster.has(id)),
    batch,
  );
  const takeovers = masters.map(({ master, successor }): { away: Step; back: Step } => ({
    away: failover(successor, master),
    back: failover(master, successor),
  }));
  const restarts = masters.map(({ master }) => master);
  const inTurn = takeovers.flatMap(({ away, back }, index): Step[] => [
    away,
    restart(restarts.slice(index, index + 1)),
    ...(home ? [back] : []),
  ]);
  const together = [
    ...takeovers.map(({ away }) => away),
    ...(restarts.length > 0 ? [restart(restarts)] : []),
    ...(home ? takeovers.map(({ back }) => back) : []),
  ];
  const replaced = new Set(home ? [] : restarts.map(({ id }) => id));
  return {
    operation: 'restart',
    masters: [
      ...mastersOf(view).filter(({ id }) => !replaced.has(id)),
      ...(home ? [] : masters.map(({ successor }) => nodeRef(successor))),
    ],
    steps: [...groups.map(restart), ...(batch ? together : inTurn)],
    expect: {
      members: view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef),
      owners: masters.map(({ master, successor }) => ({
        id: (home ? master : successor).id,
        slots: master.slots,
      })),
      replicas: masters.flatMap(({ master, successor }) => {
        const [owner, other] = home ? [master, successor] : [successor, master];
        return [other, ...followersOf(view, master.id).filter(({ id }) => id !== successor.id)]
          .filter(({ id }) => view.reports.has(id))
          .map(({ id }) => ({ id, masterId: owner.id }));
      }),
    },
  };
}

function failover(replica: NodeRecord, master: NodeRecord): StepOf<'failover'> {
  return { type: 'failover', replica: nodeRef(replica), master: nodeRef(master), mode: 'graceful' };
}

/** Groups of which each has at most one node of a shard. */
function grouped(view: ClusterView, nodes: readonly NodeRecord[], batch: boolean): NodeRecord[][] {
  if (!batch) return nodes.map((node) => [node]);
  const groups: NodeRecord[][] = [];
  const inShard = new Map<string, number>();
  for (const node of nodes) {
    const shard = shardOf(view, node);
    const at = inShard.get(shard) ?? 0;
    inShard.set(shard, at + 1);
    const group = groups[at];
    if (group) group.push(node);
    else groups.push([node]);
  }
  return groups;
}

/** The id of the master of its shard. */
function shardOf(view: ClusterView, node: NodeRecord): string {
  let top = node;
  for (let hops = 0; hops < view.nodes.length; hops++) {
    const master = top.masterId === null ? undefined : nodeById(view, top.masterId);
    if (!master) break;
    top = master;
  }
  return top.id;
}
