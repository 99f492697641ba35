import { invalidArgument } from '../model/cluster-error.ts';
import { createShares } from '../model/slot.ts';
import { DEFAULTS } from '../settings.ts';
import { alternating, type Group, nearness, type Place, placeAt, together } from './places.ts';
import type { Draft, NodeRef, StepOf } from './plan.ts';

/** The layout wanted of a new cluster. */
export interface CreateRequest {
  /** Replicas of each master. */
  readonly replicas: number;
  /** By address: a failure domain, such as a rack or an availability zone. */
  readonly zones: ReadonlyMap<string, string>;
  /** Most slots in one ADDSLOTS. */
  readonly maxSlots: number;
  /** How replicas are assigned: to one master after the other, or in redis-cli's order. @default 'in-turn' */
  readonly order?: 'in-turn' | 'redis-cli';
  /** How many masters. @default as many as can have all their replicas */
  readonly masters?: number;
  /** By place among the shares: the id of a node that has slots of that share already. */
  readonly holders?: ReadonlyMap<number, string>;
}

/** A plan, and warnings about replicas that could not be placed apart from their master. */
export interface CreatePlan {
  readonly draft: Draft;
  readonly warnings: readonly string[];
}

/**
 * Lays out a new cluster. Masters are spread over zones and hosts, else taken in the order given. Replicas are placed away from
 * their master and from each other; a zone counts more than a host. Nodes left over become further replicas. The same nodes give
 * the same plan, and a good layout is left as it is. Throws ClusterError `INVALID_ARGUMENT` if there are too few nodes.
 */
export function planCreate(nodes: readonly NodeRef[], request: CreateRequest): CreatePlan {
  const { replicas, zones, maxSlots, order = DEFAULTS.create.order, holders = new Map() } = request;
  if (!Number.isInteger(replicas) || replicas < 0)
    throw invalidArgument(`Not a number of replicas: ${replicas}`);
  const { masters = Math.floor(nodes.length / (replicas + 1)) } = request;
  if (masters < 1) {
    throw invalidArgument(
      `Too few nodes: ${nodes.length}, a master and ${replicas} replica${replicas === 1 ? '' : 's'} are ${replicas + 1}`,
    );
  }
  const places = alternating(nodes.map((ref) => placeAt(ref, zones)));
  const chosen = mastersIn(places, masters, holders);
  const groups = chosen.map((master): Group => ({ master, replicas: [] }));
  const pool = places.filter((place) => !chosen.includes(place));
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
  return { draft, warnings: together(groups) };
}

/** The master of each share: the node that holds slots of it, else the next that holds none. */
function mastersIn(
  places: readonly Place[],
  masters: number,
  holders: ReadonlyMap<number, string>,
): readonly Place[] {
  const holding = new Set(holders.values());
  const others = places.filter(({ ref }) => !holding.has(ref.id)).values();
  return Array.from({ length: masters }, (_, index) => {
    const id = holders.get(index);
    return id === undefined ? others.next().value : places.find(({ ref }) => ref.id === id);
  }).filter((place) => place !== undefined);
}

function assign(groups: readonly Group[], pool: readonly Place[]): void {
  const left = [...pool];
  while (left.length > 0) {
    // One replica per master and round: no master gets a second replica before all have one.
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

// Rotates the list by one, then gives each master all its replicas before the next master: the first node on another host.
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

// Swaps replicas between groups as long as a swap places them better.
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
