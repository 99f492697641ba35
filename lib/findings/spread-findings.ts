import { formatAddress } from '../model/address.ts';
import type { NodeDetails } from '../model/details.ts';
import type { Advice } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { ReplicaPlaces, shardsIn } from '../model/replica-places.ts';
import { type ClusterView, hostOf, nodeName } from '../model/view.ts';
import { type Finding, type FindingKind, listNames } from './finding.ts';
import { hasVersions, livingReplicas, readyReplicas } from './replica-findings.ts';

/** One way in which nodes fail together. */
interface Domain {
  readonly word: 'host' | 'zone';
  /** Empty if it is unknown. */
  readonly placeOf: (node: NodeRecord) => string;
  readonly masters: FindingKind;
  readonly replicas: FindingKind;
}

/**
 * Masters and replicas that would be lost together: most masters, or several replicas of one master, on one host or in one zone.
 * No finding of these if all nodes are on one host, or if zones are unknown. And masters with more replicas than others.
 */
export function spreadFindings(
  view: ClusterView,
  zones: ReadonlyMap<string, string>,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Finding[] {
  const ready = readyReplicas(view, details);
  const hosts = new Map(view.nodes.map((node) => [node.id, hostOf(view, node)]));
  const domains: readonly Domain[] = [
    {
      word: 'host',
      placeOf: ({ id }) => hosts.get(id) ?? '',
      masters: 'masters-same-host',
      replicas: 'replicas-same-host',
    },
    {
      word: 'zone',
      placeOf: ({ id }) => zones.get(id) ?? '',
      masters: 'masters-same-zone',
      replicas: 'replicas-same-zone',
    },
  ];
  return [
    ...domains.flatMap((domain) => mastersTogether(view, domain, domains, ready)),
    ...domains.flatMap((domain) => replicasTogether(view, domain)),
    ...(hasVersions(details) ? [] : replicasUneven(view, zones, ready)),
  ];
}

/** Masters with slots, that is, with a vote. */
function votersOf(view: ClusterView): NodeRecord[] {
  return view.nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0);
}

/** The places of the nodes that answer. */
function placesOf(view: ClusterView, { placeOf }: Domain): Set<string> {
  const places = new Set(view.nodes.filter(({ id }) => view.reports.has(id)).map(placeOf));
  places.delete('');
  return places;
}

// A replica is elected by most of all masters with slots, those that have failed included (clusterUpdateState, size). Half of them is worth a finding only if another layout would have less than that in each place.
function isTooMany(own: number, all: number, places: number): boolean {
  if (all < 2 || places < 2) return false;
  return 2 * own > all || (2 * own === all && 2 * Math.ceil(all / places) < all);
}

function countByPlace(voters: readonly NodeRecord[], { placeOf }: Domain): Map<string, number> {
  const counts = new Map<string, number>();
  for (const node of voters) counts.set(placeOf(node), (counts.get(placeOf(node)) ?? 0) + 1);
  return counts;
}

function crowded(voters: readonly NodeRecord[], domain: Domain, places: ReadonlySet<string>): string[] {
  return [...countByPlace(voters, domain)]
    .filter(([place, own]) => places.has(place) && isTooMany(own, voters.length, places.size))
    .map(([place]) => place);
}

function mastersTogether(
  view: ClusterView,
  domain: Domain,
  domains: readonly Domain[],
  ready: ReadonlySet<string>,
): Finding[] {
  const { word, placeOf, masters: kind } = domain;
  const voters = votersOf(view);
  const places = placesOf(view, domain);
  return crowded(voters, domain, places).map((place): Finding => {
    const own = voters.filter((node) => placeOf(node) === place);
    const names = own.map(({ id }) => nodeName(view, id));
    return {
      // With two places there is always one without which the other is no majority.
      severity: places.size > 2 ? 'warning' : 'info',
      kind,
      message: `${word === 'host' ? 'Host' : 'Zone'} ${place} has ${own.length} of ${voters.length} masters: if it fails, the others are not a majority, and no replica can take over (${listNames(names)})`,
      nodes: names,
      ...(places.size > 2
        ? spreading(view, place, domain, domains, ready)
        : { hint: `Use three ${word}s or more` }),
    };
  });
}

/** Whether there are failovers to replicas elsewhere after which the place is not crowded, and no other has become so, or more so than it was. */
function spreading(
  view: ClusterView,
  place: string,
  domain: Domain,
  domains: readonly Domain[],
  ready: ReadonlySet<string>,
): Advice {
  const replicas = livingReplicas(view);
  const places = domains.map((one) => placesOf(view, one));
  /** How many masters each crowded place has. */
  const crowdsIn = (voters: readonly NodeRecord[]): Map<string, number> =>
    new Map(
      domains.flatMap((one, index) => {
        const counts = countByPlace(voters, one);
        const names = crowded(voters, one, places[index] ?? new Set());
        return names.map((name): [string, number] => [`${one.word} ${name}`, counts.get(name) ?? 0]);
      }),
    );
  let voters = votersOf(view);
  let crowds = crowdsIn(voters);
  const key = `${domain.word} ${place}`;
  for (const master of voters.filter((node) => domain.placeOf(node) === place)) {
    if (!crowds.has(key)) break;
    for (const replica of replicas.get(master.id) ?? []) {
      if (domain.placeOf(replica) === place || !ready.has(replica.id)) continue;
      const after = voters.map((node) => (node === master ? replica : node));
      const then = crowdsIn(after);
      if ([...then].some(([name, own]) => own > (crowds.get(name) ?? 0))) continue;
      [voters, crowds] = [after, then];
      break;
    }
  }
  if (crowds.has(key)) {
    const { word } = domain;
    return {
      hint: `Give its masters replicas ${word === 'host' ? 'on' : 'in'} other ${word}s, then let these take over`,
    };
  }
  return { next: [{ do: 'spread', cluster: formatAddress(view.seed) }] };
}

/** Replicas of one master that share a place, while another place has no node of theirs. */
function replicasTogether(view: ClusterView, domain: Domain): Finding[] {
  const { word, placeOf, replicas: kind } = domain;
  const places = placesOf(view, domain);
  return [...livingReplicas(view)].flatMap(([masterId, replicas]): Finding[] => {
    const master = view.nodes.find(({ id }) => id === masterId);
    if (!master || replicas.length < 2) return [];
    const taken = new Set([master, ...replicas].map(placeOf));
    // In any other, two replicas would be together again.
    const free = [...places].find((place) => !taken.has(place));
    if (free === undefined) return [];
    const byPlace = new Map<string, string[]>();
    for (const replica of replicas) {
      const place = placeOf(replica);
      // Those beside their master have a finding of their own.
      if (place === '' || place === placeOf(master)) continue;
      const name = nodeName(view, replica.id);
      const names = byPlace.get(place);
      if (names) names.push(name);
      else byPlace.set(place, [name]);
    }
    return [...byPlace]
      .filter(([, names]) => names.length > 1)
      .map(([place, names]): Finding => {
        const name = nodeName(view, masterId);
        return {
          severity: 'info',
          kind,
          message: `${names.length} replicas of ${name} are ${word === 'host' ? 'on host' : 'in zone'} ${place}: ${listNames(names)}`,
          nodes: [...names, name],
          hint: `Give the master a replica ${word === 'host' ? 'on host' : 'in zone'} ${free} instead of one of these`,
          next: [
            { do: 'replicate', node: name },
            { do: 'del-node', cluster: name, node: names.at(-1) ?? '', when: 'after-that' },
          ],
        };
      });
  });
}

/** Masters with at least two replicas more than another, if one of theirs can move there without sharing more than now. */
function replicasUneven(
  view: ClusterView,
  zones: ReadonlyMap<string, string>,
  ready: ReadonlySet<string>,
): Finding[] {
  const shards = shardsIn(view, zones, ready);
  const moves = new ReplicaPlaces(shards).even();
  if (moves.length === 0) return [];
  const places = new Set([...moves.map(({ from }) => from), ...moves.map(({ to }) => to)]);
  const uneven = [...places]
    .flatMap((at) => shards[at] ?? [])
    .map(({ master, replicas }) => ({
      name: nodeName(view, master.id),
      has: replicas.length,
    }));
  return [
    {
      severity: 'info',
      kind: 'replicas-uneven',
      message: `Some masters have at least two replicas more than others: ${listNames(uneven.map(({ name, has }) => `${name} has ${has}`))}`,
      nodes: uneven.map(({ name }) => name),
      next: [{ do: 'spread', cluster: formatAddress(view.seed) }],
    },
  ];
}

/** Masters that own no slots, in a cluster that has some that do. */
export function mastersWithoutSlots(view: ClusterView): Finding[] {
  if (!view.nodes.some(({ role, slots }) => role === 'master' && slots.length > 0)) return [];
  return view.nodes
    .filter(({ id, role, slots }) => role === 'master' && slots.length === 0 && view.reports.has(id))
    .map(({ id }): Finding => {
      const name = nodeName(view, id);
      const cluster = view.nodes.find(({ role, slots }) => role === 'master' && slots.length > 0);
      return {
        severity: 'info',
        kind: 'master-without-slots',
        message: `${name} is a master without slots: it holds no data, and has no vote`,
        nodes: [name],
        next: [
          { do: 'rebalance', cluster: nodeName(view, cluster?.id ?? id), options: { useEmptyMasters: true } },
          { do: 'del-node', cluster: nodeName(view, cluster?.id ?? id), node: name, when: 'not-needed' },
        ],
      };
    });
}
