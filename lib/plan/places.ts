import { parseAddress } from '../model/address.ts';
import type { NodeRef } from './plan.ts';

/** Where a node is. */
export interface Place {
  readonly ref: NodeRef;
  readonly host: string;
  readonly zone: string | undefined;
}

/** A master and its replicas, as they are planned. */
export interface Group {
  readonly master: Place;
  readonly replicas: Place[];
}

/** Where a node is, by its address and the zones that are known by address. */
export function placeAt(ref: NodeRef, zones: ReadonlyMap<string, string>): Place {
  return { ref, host: parseAddress(ref.address).host, zone: zones.get(ref.address) };
}

/** Alternates between zones, and within a zone between hosts, so that any prefix of the list is spread out. */
export function alternating(places: readonly Place[]): Place[] {
  const byZone = groupBy(places, ({ zone }) => zone ?? '');
  return inTurn(byZone.map((ofZone) => inTurn(groupBy(ofZone, ({ host }) => host))));
}

function groupBy(places: readonly Place[], of: (place: Place) => string): Place[][] {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    const group = groups.get(of(place));
    if (group) group.push(place);
    else groups.set(of(place), [place]);
  }
  return [...groups.values()];
}

function inTurn(groups: readonly (readonly Place[])[]): Place[] {
  const longest = Math.max(0, ...groups.map(({ length }) => length));
  return Array.from({ length: longest }, (_, index) =>
    groups.flatMap((group) => group.slice(index, index + 1)),
  ).flat();
}

/** Cost of placing this replica here: sharing a zone or host with the master costs more than with a replica. 0 is ideal. */
export function nearness({ master, replicas }: Group, place: Place | undefined): number {
  if (!place) return Number.POSITIVE_INFINITY;
  const others = replicas.filter((replica) => replica !== place);
  return (
    1000 * nearnessOf(master, place) + others.reduce((sum, replica) => sum + nearnessOf(replica, place), 0)
  );
}

/** What two nodes have in common: a zone counts more than a host. */
export function nearnessOf(a: Place, b: Place): number {
  const sameZone = a.zone !== undefined && a.zone === b.zone;
  return (sameZone ? 10 : 0) + (a.host === b.host ? 1 : 0);
}

/** This many warnings say enough. */
const NAMED = 4;

/** Warnings about replicas that are not apart from their masters: the first are named. */
export function together(groups: readonly Group[]): string[] {
  const all = groups.flatMap(togetherIn);
  if (all.length <= NAMED) return all;
  const more = all.length - NAMED + 1;
  return [
    ...all.slice(0, NAMED - 1),
    `${more} more replicas are on the host, or in the zone, of their master`,
  ];
}

function togetherIn({ master, replicas }: Group): string[] {
  return replicas.flatMap((replica) => {
    const [a, b] = [replica.ref.address, master.ref.address];
    if (replica.zone !== undefined && replica.zone === master.zone)
      return [`${a} is in the same zone as its master ${b}: ${replica.zone}`];
    return replica.host === master.host ? [`${a} is on the same host as its master ${b}`] : [];
  });
}
