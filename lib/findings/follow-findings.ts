import { formatAddress } from '../model/address.ts';
import { conditionOf } from '../model/condition.ts';
import { hasOtherData, isMisdirected, type NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { topMaster } from '../model/promotion.ts';
import type { NodeSetup } from '../model/setup.ts';
import { type ClusterView, nodeById, recordSeenBy } from '../model/view.ts';
import { rejoining } from './condition-words.ts';
import { type Finding, namesOf } from './finding.ts';

/** Replicas that follow a node that is a replica itself, by its own report: no election counts them, and none reaches its end. */
export function replicaChains(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  return view.nodes.flatMap(({ id, role, masterId }): Finding[] => {
    if (role !== 'replica' || masterId === null || !view.reports.has(id)) return [];
    const top = topMaster(view, masterId);
    if (top?.id === masterId || nodeById(view, masterId) === undefined) return [];
    const nodes = [nameOf(id), nameOf(masterId), ...(top ? [nameOf(top.id)] : [])];
    return [
      {
        severity: 'warning',
        kind: 'replica-of-replica',
        message: `${nodes[0]} is a replica of ${nodes[1]}, which is itself a replica${top ? ` of ${nodes[2]}` : ''}`,
        nodes,
        hint: 'It cannot replace the master. After a failover this ends by itself within seconds',
        next: [
          { do: 'replicate', ...(top ? { node: nameOf(top.id) } : {}), target: nameOf(id), when: 'stays' },
        ],
      },
    ];
  });
}

/**
 * A replica that asks for its master at an address that the master has left, by its own report: without a link, or with one to another server, whose
 * data it copies.
 */
export function misdirected(
  view: ClusterView,
  replica: NodeRecord,
  own: NodeDetails | undefined,
  master: NodeDetails | undefined,
): Finding | undefined {
  const { asks, status } = own?.link ?? {};
  const record = recordSeenBy(view, replica.id, replica.masterId ?? '');
  if (!asks || !record || !isMisdirected(own?.link, record.address, hasOtherData(own, master)))
    return undefined;
  const nameOf = namesOf(view);
  const [name, masterName] = [nameOf(replica.id), nameOf(record.id)];
  const [there, here] = [formatAddress(asks), formatAddress(record.address)];
  return {
    severity: status === 'up' ? 'error' : 'warning',
    kind: 'replica-misdirected',
    message:
      status === 'up'
        ? `${name} copies the server at ${there}, which is not its master ${masterName}`
        : `${name} asks for its master at ${there}, but that is at ${here}`,
    nodes: [name, masterName],
    // If others do not find one of them either, rejoin tells all.
    next: [
      conditionOf(view, record.id).kind === 'moved' || conditionOf(view, replica.id).kind === 'moved'
        ? rejoining(view, [name, masterName])
        : { do: 'replicate', node: masterName, target: name },
    ],
  };
}

/** Masters without slots in the shard of one that has some: they were its replicas, or it was theirs. */
export function sharedShards(
  view: ClusterView,
  setups: ReadonlyMap<string, NodeSetup>,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Finding[] {
  const nameOf = namesOf(view);
  const masters = view.nodes.filter(({ id, role }) => role === 'master' && view.reports.has(id));
  return masters.flatMap((empty): Finding[] => {
    const shard = setups.get(empty.id)?.shardId;
    if (empty.slots.length > 0 || shard === undefined) return [];
    const owner = masters.find(({ id, slots }) => slots.length > 0 && setups.get(id)?.shardId === shard);
    if (!owner) return [];
    const own = details.get(empty.id);
    const keys = own === undefined || own instanceof Error ? 0 : own.keys;
    const nodes = [nameOf(empty.id), nameOf(owner.id)];
    return [
      {
        severity: 'warning',
        kind: 'shard-shared',
        message: `${nodes[0]} is a master without slots in the shard of ${nodes[1]}`,
        nodes,
        ...(keys > 0
          ? { hint: `It holds ${keys} keys: see what becomes of them before it is made a replica` }
          : { next: [{ do: 'replicate', node: nodes[1] ?? '', target: nodes[0] ?? '' }] }),
      },
    ];
  });
}
