import { formatAddress, sameAddress } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import { entryOf, looksMute, type NodeDetails } from '../model/details.ts';
import type { Advice, Next } from '../model/next.ts';
import { isFailed, type NodeRecord } from '../model/node.ts';
import { ReplicaPlaces, shardsIn } from '../model/replica-places.ts';
import { nameSlots, toRanges } from '../model/slot.ts';
import { type ClusterView, hostOf, replicaMarks } from '../model/view.ts';
import { type Finding, namesOf } from './finding.ts';
import { misdirected } from './follow-findings.ts';
import { MUTE_WORDS, muteAdvice, outOfSync } from './out-of-sync.ts';

/** A replica this far behind that has been silent this long would lose data if it took over. */
const LAG_BYTES = 1024 * 1024;
const LAG_SECONDS = 3;
/** A replica this far behind is late even if it is not silent. */
const LAG_BYTES_ALONE = 64 * 1024 * 1024;

type Details = ReadonlyMap<string, NodeDetails | Error>;

/** Replicas that answer, by the id of their master. */
export function livingReplicas(view: ClusterView): Map<string, NodeRecord[]> {
  const byMaster = new Map<string, NodeRecord[]>();
  for (const node of view.nodes) {
    if (node.role !== 'replica' || node.masterId === null || !view.reports.has(node.id)) continue;
    const replicas = byMaster.get(node.masterId);
    if (replicas) replicas.push(node);
    else byMaster.set(node.masterId, [node]);
  }
  return byMaster;
}

/** Masters with slots but without a replica, if other masters have one. A cluster without any replicas is deliberate. */
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
      message: `${nameOf(id)} has no living replica, but other masters have one`,
      nodes: [nameOf(id)],
      next: [{ do: 'replicate', node: nameOf(id) }],
    }));
}

/**
 * Replicas that are not in step with their master: no link, still copying, or late. `mute` are those that were listened to, and told
 * their master nothing.
 */
export function replicationFindings(
  view: ClusterView,
  details: Details,
  mute: ReadonlySet<string> = new Set(),
): Finding[] {
  const nameOf = namesOf(view);
  return view.nodes.flatMap((replica): Finding[] => {
    const { id, role, masterId } = replica;
    // A master that does not answer has its own finding.
    if (role !== 'replica' || masterId === null || !view.reports.has(masterId)) return [];
    const [own, master] = [details.get(id), details.get(masterId)];
    const nodes = [nameOf(id), nameOf(masterId)];
    const link = own instanceof Error ? undefined : own?.link;
    const known = master instanceof Error ? undefined : master;
    const astray = misdirected(view, replica, own instanceof Error ? undefined : own, known);
    if (astray) return [astray];
    const isListed = known?.replicas.some(
      ({ host, port, isOnline }) => isOnline === false && sameAddress({ host, port }, replica.address),
    );
    if (link?.status === 'down' && !isListed) {
      const since =
        link.downSeconds === undefined
          ? `has had no link to its master ${nodes[1]} yet`
          : `has had no link to its master ${nodes[1]} for ${link.downSeconds} s`;
      const message = `${nodes[0]} ${since}`;
      const hint = `Check the log of ${nodes[0]}: its masterauth and masteruser must fit the master, and it must reach the master's port`;
      const next: readonly Next[] = [
        { do: 'replicate', node: nodes[1] ?? '', target: nodes[0] ?? '', when: 'stays' },
      ];
      return [{ severity: 'warning', kind: 'replica-link-down', message, nodes, hint, next }];
    }
    if (link?.status === 'copying' || isListed) {
      const message = `${nodes[0]} is still copying its master ${nodes[1]}`;
      const hint = 'Wait: it cannot replace its master before that is complete';
      return [{ severity: 'info', kind: 'replica-copying', message, nodes, hint }];
    }
    if (link?.isBarred) {
      const message = `${nodes[0]} cannot take over from its master ${nodes[1]}: a run that was cut short keeps it from that until it has copied it`;
      const next: readonly Next[] = [{ do: 'replicate', node: nodes[1] ?? '', target: nodes[0] ?? '' }];
      return [{ severity: 'warning', kind: 'replica-barred', message, nodes, next }];
    }
    if (master === undefined || master instanceof Error) return [];
    const entry = entryOf(master.replicas, replica.address);
    const [node = '', masterName = ''] = nodes;
    if (looksMute(replica.address, own, master)) {
      const says = mute.has(id)
        ? {
            message: `${node} ${MUTE_WORDS}: it cannot replace ${masterName}`,
            ...muteAdvice({ replica: node, master: masterName }),
          }
        : {
            message: `${node} has not told its master ${masterName} yet what it has received`,
            ...listenAgain(view),
          };
      return [{ severity: 'warning', kind: 'replica-lagging', nodes, ...says }];
    }
    if (!entry) return [];
    const bytes = master.offset - entry.offset;
    const isLate = (bytes > LAG_BYTES && entry.lagSeconds >= LAG_SECONDS) || bytes > LAG_BYTES_ALONE;
    if (!isLate) return [];
    const message = `${nodes[0]} is ${formatBytes(bytes)} behind its master ${nodes[1]}, which last heard from it ${entry.lagSeconds} s ago`;
    const hint = 'If it does not catch up, check its CPU and network, and client-output-buffer-limit';
    return [{ severity: 'warning', kind: 'replica-lagging', message, nodes, hint }];
  });
}

/** Advice that rests on one look may only be to look again. */
function listenAgain({ seed }: ClusterView): Advice {
  return {
    hint: 'Its link may be new, or it was frozen until now: wait some seconds',
    next: [{ do: 'check', cluster: formatAddress(seed) }],
  };
}

/**
 * Slots open on a replica but not on its master. A replica keeps them when it is promoted, and then takes a slot from its owner, whose
 * keys are deleted.
 */
export function replicaMarkFindings(view: ClusterView): Finding[] {
  const nameOf = namesOf(view);
  return replicaMarks(view).map(({ replica, master, slots }) => {
    const name = formatAddress(replica.address);
    const marks = nameSlots(slots);
    const why = master ? `which its master ${nameOf(master.id)} does not` : 'and its master does not answer';
    const cure: readonly Next[] = [{ do: 'fix', cluster: formatAddress(view.seed), when: 'not-moving' }];
    return {
      severity: 'error',
      kind: 'replica-mark',
      message: `Replica ${name} has ${marks} open, ${why}: if it is promoted, the move goes on from there`,
      nodes: [name],
      slots: toRanges(slots),
      next: master ? cure : [{ do: 'start-node', node: nameOf(replica.myself.masterId ?? '') }],
    };
  });
}

/**
 * Replicas that would be lost together with their master, on the same host or in the same zone. A warning if the master has
 * no replica elsewhere. No finding if all nodes are on one host, or if zones are unknown.
 */
export function placementFindings(
  view: ClusterView,
  zones: ReadonlyMap<string, string>,
  details: Details,
): Finding[] {
  const canPart = partingIn(view, zones, details);
  const hosts = new Map(view.nodes.map((node) => [node.id, hostOf(view, node)]));
  // A node whose address is lost is on no other host.
  const isSpread = new Set([...hosts.values()].filter((host) => host !== '')).size > 1;
  const byHost = isSpread ? placed(view, canPart, 'same-host', 'host', ({ id }) => hosts.get(id) ?? '') : [];
  const zoneOf = ({ id }: NodeRecord): string => zones.get(id) ?? '';
  return [...byHost, ...placed(view, canPart, 'same-zone', 'zone', zoneOf)];
}

/** True of a replica that another of a second master can take the place of. */
function partingIn(
  view: ClusterView,
  zones: ReadonlyMap<string, string>,
  details: Details,
): (replica: NodeRecord) => boolean {
  if (hasVersions(details)) return () => false;
  const shards = shardsIn(view, zones, readyReplicas(view, details));
  const places = new ReplicaPlaces(shards);
  return ({ id, masterId }) => {
    const at = shards.findIndex(({ master }) => master.id === masterId);
    return places.canPart(id, at);
  };
}

/** True of nodes of several versions: a replica might be unable to copy another master. */
export function hasVersions(details: Details): boolean {
  const versions = [...details.values()].flatMap((own) => (own instanceof Error ? [] : [own.version]));
  return new Set(versions).size > 1;
}

/** Ids of replicas that may take over and have all that their masters have, as far as nodes were asked. */
export function readyReplicas(view: ClusterView, details: Details): Set<string> {
  const ready = [...livingReplicas(view).values()]
    .flat()
    .filter(({ flags }) => !flags.includes('nofailover'))
    .filter((one) => !details.has(one.id) || outOfSync(view, details, one) === undefined);
  return new Set(ready.map(({ id }) => id));
}

function placed(
  view: ClusterView,
  canPart: (replica: NodeRecord) => boolean,
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
        ...(canPart(replica)
          ? { next: [{ do: 'spread', cluster: formatAddress(view.seed) }] }
          : isSafe
            ? {}
            : {
                hint: `Give the master a replica ${word === 'host' ? 'on' : 'in'} another ${word}`,
                next: [{ do: 'replicate', node: nameOf(master.id) }],
              }),
      }),
    );
  });
}
