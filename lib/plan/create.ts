import { parseAddress } from '../model/address.ts';
import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { Draft, NodeRef, StepOf } from './plan.ts';

/** What a new cluster is to be like. */
export interface CreateRequest {
  /** Replicas of each master. */
  readonly replicas: number;
  /** By address: a label of what fails together, such as a rack or an availability zone. */
  readonly zones: ReadonlyMap<string, string>;
  /** Most slots in one ADDSLOTS. */
  readonly maxSlots: number;
  /** Which replica goes to which master first: in turn, or in the order of redis-cli. @default 'in-turn' */
  readonly order?: 'in-turn' | 'redis-cli';
}

/** A plan, and where nodes that hold the same data stand together because there is no better place. */
export interface CreatePlan {
  readonly draft: Draft;
  readonly warnings: readonly string[];
}

interface Place {
  readonly ref: NodeRef;
  readonly host: string;
  readonly zone: string | undefined;
}

interface Group {
  readonly master: Place;
  readonly replicas: Place[];
}

/**
 * Lays out a new cluster: masters spread over zones and hosts, else in the order given; replicas away from their master and
 * from each other, a zone counting more than a host; nodes that are left over become further replicas. The same nodes give the
 * same plan, and nothing is changed about a layout that is good. Throws a RangeError where there are too few nodes.
 */
export function planCreate(nodes: readonly NodeRef[], request: CreateRequest): CreatePlan {
  const { replicas, zones, maxSlots, order = 'in-turn' } = request;
  if (!Number.isInteger(replicas) || replicas < 0)
    throw new RangeError(`Not a number of replicas: ${replicas}`);
  const masters = Math.floor(nodes.length / (replicas + 1));
  if (masters < 1) {
    throw new RangeError(
      `Too few nodes: ${nodes.length}, where a master and ${replicas} replica${replicas === 1 ? '' : 's'} are ${replicas + 1}`,
    );
  }
  const places = spread(
    nodes.map((ref) => ({ ref, host: parseAddress(ref.address).host, zone: zones.get(ref.address) })),
  );
  const groups = places.slice(0, masters).map((master): Group => ({ master, replicas: [] }));
  const pool = places.slice(masters);
  if (order === 'redis-cli') assignLikeRedisCli(groups, pool, replicas);
  else assign(groups, pool);
  improve(groups);
  const shares = createShares(masters);
  const assigned = groups.map(
    ({ master }, index): StepOf<'assign-slots'> => ({
      type: 'assign-slots',
      node: master.ref,
      slots: shares.slice(index, index + 1),
      configEpoch: index + 1,
      maxSlots,
    }),
  );
  const attached = groups.flatMap(({ master, replicas: own }) =>
    own.map(({ ref }): StepOf<'replicate'> => ({ type: 'replicate', replica: ref, master: master.ref })),
  );
  const meet = { type: 'meet' as const, nodes, to: [], serving: attached.length === 0 };
  const draft: Draft = {
    operation: 'create',
    masters: groups.map(({ master }) => master.ref),
    steps: [...assigned, ...(nodes.length > 1 ? [meet] : []), ...attached],
    expect: {
      members: nodes,
      owners: assigned.map(({ node, slots }) => ({ id: node.id, slots })),
      replicas: attached.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
    },
  };
  return { draft, warnings: groups.flatMap(together) };
}

/** Slots of each of so many masters, cut where redis-cli cuts them. */
export function createShares(masters: number): SlotRange[] {
  const share = SLOT_COUNT / masters;
  return Array.from({ length: masters }, (_, index) => {
    const last = index === masters - 1 ? SLOT_COUNT - 1 : Math.round((index + 1) * share - 1);
    return [Math.round(index * share), last];
  });
}

// One of each zone in turn, and within a zone one of each host: whoever takes the first takes them from all of them.
function spread(places: readonly Place[]): Place[] {
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

function assign(groups: readonly Group[], pool: readonly Place[]): void {
  const left = [...pool];
  while (left.length > 0) {
    // A round for every master: none gets a second replica before all have one.
    for (const group of groups) {
      let best = 0;
      for (let index = 1; index < left.length && nearness(group, left[best]) > 0; index++) {
        if (nearness(group, left[index]) < nearness(group, left[best])) best = index;
      }
      const [taken] = left.splice(best, 1);
      if (taken) group.replicas.push(taken);
    }
  }
}

// The list turned by one, and each master served in full before the next, by the first that is on another host.
// Source: clusterManagerCommandCreate.
function assignLikeRedisCli(groups: readonly Group[], pool: readonly Place[], replicas: number): void {
  const left = [...pool.slice(1), ...pool.slice(0, 1)];
  const take = ({ master, replicas: own }: Group): void => {
    const elsewhere = left.findIndex(({ host }) => host !== master.host);
    own.push(...left.splice(Math.max(0, elsewhere), 1));
  };
  for (const group of groups) for (let count = 0; count < replicas; count++) take(group);
  while (left.length > 0) for (const group of groups) take(group);
}

// Changes replicas between groups as long as that keeps more of the same data apart.
function improve(groups: readonly Group[]): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const group of groups) {
      for (let index = 0; index < group.replicas.length; index++) {
        if (nearness(group, group.replicas[index]) > 0) changed = swapAway(groups, group, index) || changed;
      }
    }
  }
}

function swapAway(groups: readonly Group[], group: Group, index: number): boolean {
  let best: { readonly other: Group; readonly at: number; readonly gain: number } | undefined;
  for (const other of groups) {
    if (other === group) continue;
    for (let at = 0; at < other.replicas.length; at++) {
      const before = cost(group) + cost(other);
      swap(group, index, other, at);
      const gain = before - cost(group) - cost(other);
      swap(group, index, other, at);
      if (gain > (best?.gain ?? 0)) best = { other, at, gain };
    }
  }
  if (!best) return false;
  swap(group, index, best.other, best.at);
  return true;
}

function swap(a: Group, atA: number, b: Group, atB: number): void {
  const [one, two] = [a.replicas[atA], b.replicas[atB]];
  if (!one || !two) return;
  a.replicas[atA] = two;
  b.replicas[atB] = one;
}

function cost(group: Group): number {
  return group.replicas.reduce((sum, replica) => sum + nearness(group, replica), 0);
}

/** What fails with this replica: its master weighs more than another replica, a zone more than a host. 0 is good. */
function nearness({ master, replicas }: Group, place: Place | undefined): number {
  if (!place) return Number.POSITIVE_INFINITY;
  const others = replicas.filter((replica) => replica !== place);
  return 1000 * shared(master, place) + others.reduce((sum, replica) => sum + shared(replica, place), 0);
}

function shared(a: Place, b: Place): number {
  const sameZone = a.zone !== undefined && a.zone === b.zone;
  return (sameZone ? 10 : 0) + (a.host === b.host ? 1 : 0);
}

function together({ master, replicas }: Group): string[] {
  return replicas.flatMap((replica) => {
    const [a, b] = [replica.ref.address, master.ref.address];
    if (replica.zone !== undefined && replica.zone === master.zone)
      return [`${a} is in the same zone as its master ${b}: ${replica.zone}`];
    return replica.host === master.host ? [`${a} is on the same host as its master ${b}`] : [];
  });
}
