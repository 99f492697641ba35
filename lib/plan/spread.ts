import { listNames } from '../findings/finding.ts';
import { outOfSync } from '../findings/out-of-sync.ts';
import type { NodeDetails } from '../model/details.ts';
import type { Advice, Next } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { type PlacedNode, ReplicaPlaces, type Shard, shardsIn } from '../model/replica-places.ts';
import { type ClusterView, nodeById, nodeName } from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, type NodeRef, nodeRef, type Step } from './plan.ts';
import { chooseMasters } from './spread-masters.ts';
import { spreadSteps } from './spread-steps.ts';

export interface SpreadRequest {
  /** By node id. */
  readonly zones: ReadonlyMap<string, string>;
  /** Ids of replicas that may take over and have all that their masters have: only these do, or follow another master. */
  readonly ready: ReadonlySet<string>;
  /** Bring every master to this zone, and leave the replicas where they are. */
  readonly toZone?: string | undefined;
  /** How many replicas that are ready every master keeps. @default 1 */
  readonly keep?: number;
  /** Leave the replicas where they are. @default false */
  readonly keepReplicas?: boolean;
}

/**
 * Spreads masters over hosts and zones by failovers, and takes replicas away from the hosts and zones of their masters and from masters
 * that have too many. Pure. What it makes of a cluster it leaves as it is.
 */
export function planSpread(view: ClusterView, request: SpreadRequest): Draft {
  const before = shardsIn(view, request.zones, request.ready);
  const { steps, after } = spreadSteps(before, goalOf(before, request), request.keep);
  const replaced = new Set(steps.flatMap((step) => (step.type === 'failover' ? [step.master.id] : [])));
  const refOf = ({ id }: PlacedNode): NodeRef => nodeRef(nodeById(view, id) as NodeRecord);
  return {
    operation: 'spread',
    masters: [
      ...mastersOf(view).filter(({ id }) => !replaced.has(id)),
      ...after.flatMap(({ master }, index) =>
        master.id === before[index]?.master.id ? [] : [refOf(master)],
      ),
    ],
    steps: steps.map((step): Step => {
      const [replica, master] = [refOf(step.replica), refOf(step.master)];
      return step.type === 'failover'
        ? { type: 'failover', replica, master, mode: 'graceful' }
        : { type: 'replicate', replica, master, kept: refOf(step.kept) };
    }),
    expect: expectationFor(view, before, after),
    ...(request.zones.size > 0 ? { zones: [...request.zones].map(([id, zone]) => ({ id, zone })) } : {}),
  };
}

/** Masters are chosen first, then the places of replicas; and again, since a replica that has another master may take over from that. */
function goalOf(before: readonly Shard[], request: SpreadRequest): readonly Shard[] {
  const { toZone, keepReplicas = toZone !== undefined } = request;
  const mayLead = (node: PlacedNode, { master }: Shard): boolean => {
    if (toZone === undefined) return node === master || node.isReady;
    // One that is there stays: it costs nothing.
    return master.zone === toZone ? node === master : node.isReady && node.zone === toZone;
  };
  let shards = before;
  for (;;) {
    const chosen = chooseMasters(shards, mayLead);
    const led = shards.map((shard, index) => withMaster(shard, chosen[index] ?? shard.master));
    const placed = keepReplicas ? led : new ReplicaPlaces(led).improve();
    // Only a replica that has moved is a new choice.
    if (placed.every((shard, index) => isSame(shard, led[index]))) return led;
    shards = placed;
  }
}

// A former master is ready once it has copied the new one. No replica leaves before that.
function withMaster(shard: Shard, master: PlacedNode): Shard {
  if (master === shard.master) return shard;
  const former = { ...shard.master, isReady: true };
  return { master, replicas: [...shard.replicas.filter((one) => one !== master), former] };
}

function isSame(one: Shard, other: Shard | undefined): boolean {
  const ids = new Set(other?.replicas.map(({ id }) => id));
  return (
    one.master.id === other?.master.id &&
    one.replicas.length === ids.size &&
    one.replicas.every(({ id }) => ids.has(id))
  );
}

function expectationFor(
  view: ClusterView,
  before: readonly Shard[],
  after: readonly Shard[],
): NonNullable<Draft['expect']> {
  const followed = new Map(
    before.flatMap(({ master, replicas }) => replicas.map(({ id }) => [id, master.id] as const)),
  );
  const changed = after.filter(({ master }, index) => master.id !== before[index]?.master.id);
  const owners = changed.map(({ master }) => {
    const former = before[after.findIndex((shard) => shard.master === master)]?.master.id ?? '';
    return { id: master.id, slots: nodeById(view, former)?.slots ?? [] };
  });
  const replicas = after
    .flatMap(({ master, replicas: own }) => own.map(({ id }) => ({ id, masterId: master.id })))
    .filter(({ id, masterId }) => followed.get(id) !== masterId && view.reports.has(id));
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  return { members, owners, replicas };
}

/** How many masters a host or a zone has, before and after a plan. */
export interface MastersAt {
  readonly place: 'host' | 'zone';
  readonly name: string;
  readonly before: number;
  readonly after: number;
}

/** The masters of each host and each known zone that has any before or after these steps of a plan for this view. */
export function mastersByPlace(
  view: ClusterView,
  request: SpreadRequest,
  steps: readonly Step[],
): MastersAt[] {
  const shards = shardsIn(view, request.zones, request.ready);
  const placed = new Map(
    shards.flatMap(({ master, replicas }) => [master, ...replicas].map((one) => [one.id, one])),
  );
  const replaced = new Map(
    steps.flatMap((step) => (step.type === 'failover' ? [[step.master.id, step.replica.id]] : [])),
  );
  const found = new Map<string, { place: 'host' | 'zone'; name: string; before: number; after: number }>();
  const add = (node: PlacedNode | undefined, when: 'before' | 'after'): void => {
    for (const place of ['host', 'zone'] as const) {
      const name = node?.[place] ?? '';
      if (name === '') continue;
      const known = found.get(`${place} ${name}`) ?? { place, name, before: 0, after: 0 };
      known[when] += 1;
      found.set(`${place} ${name}`, known);
    }
  };
  for (const { master } of shards) {
    add(master, 'before');
    add(placed.get(replaced.get(master.id) ?? master.id), 'after');
  }
  return [...found.values()].sort((a, b) =>
    a.place === b.place ? compareText(a.name, b.name) : a.place === 'host' ? -1 : 1,
  );
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

/** A replica that lacks something that its master has. */
export interface LateReplica {
  readonly id: string;
  /** A sentence. */
  readonly text: string;
  readonly isCopying: boolean;
}

/** Replicas that answer, as do their masters, and those among them that are not in sync. */
export function followingReplicas(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
): { readonly living: readonly NodeRecord[]; readonly late: readonly LateReplica[] } {
  const living = view.nodes.filter(
    ({ id, role, masterId }) =>
      role === 'replica' && view.reports.has(id) && view.reports.has(masterId ?? ''),
  );
  const late = living.flatMap((one): LateReplica[] => {
    const own = details.get(one.id);
    const isCopying = !(own instanceof Error) && own?.link?.status === 'copying';
    const lack = outOfSync(view, details, one);
    return lack === undefined ? [] : [{ id: one.id, text: `${nodeName(view, one.id)} ${lack}`, isCopying }];
  });
  return { living, late };
}

/** Why masters cannot be brought to the zone that is asked for, naming every one; undefined if they can. */
export function zoneRefusal(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  { zones, ready, toZone }: SpreadRequest,
): (Advice & { readonly address: string; readonly message: string }) | undefined {
  const left = shardsIn(view, zones, ready)
    .map(({ master, replicas }) => ({ master, there: replicas.filter(({ zone }) => zone === toZone) }))
    .filter(({ master, there }) => master.zone !== toZone && !there.some(({ isReady }) => isReady));
  const [first] = left;
  if (toZone === undefined || !first) return undefined;
  const nameOf = ({ id }: PlacedNode): string => nodeName(view, id);
  const lackOf = (replica: PlacedNode): string => {
    const node = view.reports.has(replica.id) ? nodeById(view, replica.id) : undefined;
    return `${nameOf(replica)} ${node ? (outOfSync(view, details, node) ?? 'is not ready') : 'does not answer'}`;
  };
  const says = left.map(({ master, there }) =>
    there.length === 0
      ? `${nameOf(master)} has no replica there`
      : `of ${nameOf(master)}, ${listNames(there.map(lackOf))}`,
  );
  const alone = left.filter(({ there }) => there.length === 0);
  return {
    address: nameOf(first.master),
    message: `Cannot bring all masters to zone ${toZone}: ${says.join('; ')}`,
    hint: 'Nothing was changed. Each master needs a replica there that is in sync',
    next: [
      ...alone.map(({ master }): Next => ({ do: 'replicate', node: nameOf(master) })),
      { do: 'retry', when: alone.length > 0 ? 'after-that' : 'settled' },
    ],
  };
}
