import { formatAddress } from './address.ts';
import { formatBytes } from './bytes.ts';
import type { NodeDetails } from './details.ts';
import { type Finding, listNames, namesOf } from './finding.ts';
import { isFailed, type NodeRecord } from './node.ts';
import type { ClusterView } from './view.ts';

/** Behind by as much, and silent for as long, a replica would lose data if it took over. */
const LAG_BYTES = 1024 * 1024;
const LAG_SECONDS = 3;
/** Behind by as much it is late, however often it says so. */
const LAG_BYTES_ALONE = 64 * 1024 * 1024;

type Details = ReadonlyMap<string, NodeDetails | Error>;

/** Replicas that live, by the id of their master. */
function livingReplicas(view: ClusterView): Map<string, NodeRecord[]> {
  const byMaster = new Map<string, NodeRecord[]>();
  for (const node of view.nodes) {
    if (node.role !== 'replica' || node.masterId === null || !view.reports.has(node.id)) continue;
    const replicas = byMaster.get(node.masterId);
    if (replicas) replicas.push(node);
    else byMaster.set(node.masterId, [node]);
  }
  return byMaster;
}

/** Masters with slots that nobody can stand in for, where others have a replica: a cluster may do without any. */
export function mastersAlone(view: ClusterView): Finding[] {
  const replicas = livingReplicas(view);
  if (replicas.size === 0) return [];
  const nameOf = namesOf(view);
  return view.nodes
    .filter(({ id, role, slots }) => role === 'master' && slots.length > 0 && view.reports.has(id))
    .filter(({ id }) => !replicas.has(id))
    .map(({ id }) => ({
      severity: 'warning',
      kind: 'master-without-replica',
      message: `${nameOf(id)} has no living replica, other masters have`,
      nodes: [nameOf(id)],
      hint: `Give it one: redis-trib replicate ${nameOf(id)} REPLICA`,
    }));
}

/** Replicas that do not follow their master: no link, still copying, or late. */
export function replicationFindings(view: ClusterView, details: Details): Finding[] {
  const nameOf = namesOf(view);
  return view.nodes.flatMap((replica): Finding[] => {
    const { id, role, masterId } = replica;
    // Of a master that is gone itself that is told already.
    if (role !== 'replica' || masterId === null || !view.reports.has(masterId)) return [];
    const [own, master] = [details.get(id), details.get(masterId)];
    const nodes = [nameOf(id), nameOf(masterId)];
    const link = own instanceof Error ? undefined : own?.link;
    if (link?.status === 'down') {
      const since =
        link.downSeconds === undefined
          ? `has had no link to its master ${nodes[1]} yet`
          : `has had no link to its master ${nodes[1]} for ${link.downSeconds} s`;
      const message = `${nodes[0]} ${since}`;
      const hint = `Look into the log of ${nodes[0]}: masterauth and masteruser have to fit the master, and its port has to be reached`;
      return [{ severity: 'warning', kind: 'replica-link-down', message, nodes, hint }];
    }
    if (link?.status === 'copying') {
      const message = `${nodes[0]} is still copying its master ${nodes[1]}`;
      const hint = 'Wait: it cannot stand in for its master before it is done';
      return [{ severity: 'info', kind: 'replica-copying', message, nodes, hint }];
    }
    if (master === undefined || master instanceof Error) return [];
    const entry =
      master.replicas.find(
        ({ host, port }) => host === replica.address.host && port === replica.address.port,
      ) ?? master.replicas.find(({ port }) => port === replica.address.port);
    if (!entry) return [];
    const bytes = master.offset - entry.offset;
    const isLate = (bytes > LAG_BYTES && entry.lagSeconds >= LAG_SECONDS) || bytes > LAG_BYTES_ALONE;
    if (!isLate) return [];
    const message = `${nodes[0]} is ${formatBytes(bytes)} behind its master ${nodes[1]}, which last heard of it ${entry.lagSeconds} s ago`;
    const hint = 'If it does not catch up: look at its CPU and network, and at client-output-buffer-limit';
    return [{ severity: 'warning', kind: 'replica-lagging', message, nodes, hint }];
  });
}

/** Slots that a replica holds for open, and its master does not. Valkey 8.0 and later tell replicas, and not always of the end. */
export function replicaMarks(view: ClusterView): Finding[] {
  return [...view.reports.values()].flatMap(({ myself, address }): Finding[] => {
    if (myself.role !== 'replica' || myself.openSlots.length === 0) return [];
    const master = view.reports.get(myself.masterId ?? '')?.myself;
    if (!master) return [];
    const open = new Set(master.openSlots.map(({ slot }) => slot));
    const stale = myself.openSlots.map(({ slot }) => slot).filter((slot) => !open.has(slot));
    if (stale.length === 0) return [];
    const name = formatAddress(address);
    return [
      {
        severity: 'info',
        kind: 'replica-mark',
        message: `Replica ${name} holds ${stale.length === 1 ? 'a slot' : 'slots'} for open that its master does not: ${listNames(stale.map(String))}`,
        nodes: [name],
        slots: stale.map((slot) => [slot, slot] as const),
        hint: 'It does no harm, and goes when the replica is started again',
      },
    ];
  });
}

/**
 * Replicas that would be lost together with their master: on its host, or in its zone. A warning where no other replica of
 * that master stands apart. Nothing is said where all nodes are on one host, or nothing is known of zones.
 */
export function placementFindings(view: ClusterView, zones: ReadonlyMap<string, string>): Finding[] {
  const hosts = new Set(view.nodes.map(({ address }) => address.host));
  const byHost = hosts.size > 1 ? placed(view, 'same-host', 'host', ({ address }) => address.host) : [];
  const zoneOf = ({ id }: NodeRecord): string => zones.get(id) ?? '';
  return [...byHost, ...placed(view, 'same-zone', 'zone', zoneOf)];
}

function placed(
  view: ClusterView,
  kind: 'same-host' | 'same-zone',
  word: string,
  placeOf: (node: NodeRecord) => string,
): Finding[] {
  const nameOf = namesOf(view);
  const replicas = livingReplicas(view);
  return view.nodes.flatMap((master) => {
    const place = placeOf(master);
    if (master.role !== 'master' || place === '' || isFailed(master)) return [];
    const own = replicas.get(master.id) ?? [];
    const together = own.filter((replica) => placeOf(replica) === place);
    const isSafe = own.some((replica) => placeOf(replica) !== '' && placeOf(replica) !== place);
    return together.map(
      (replica): Finding => ({
        severity: isSafe ? 'info' : 'warning',
        kind,
        message: `${nameOf(replica.id)} is ${word === 'host' ? 'on' : 'in'} the same ${word} as its master ${nameOf(master.id)}: ${place}`,
        nodes: [nameOf(replica.id), nameOf(master.id)],
        hint: `Give the master a replica in another ${word}: redis-trib replicate ${nameOf(master.id)} REPLICA`,
      }),
    );
  });
}
