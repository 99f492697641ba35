import type { PlacedNode, Shard } from '../model/replica-places.ts';

/** A replica that replaces its master, or one that leaves its master for another while `kept` stays. */
export type SpreadStep =
  | { readonly type: 'failover'; readonly replica: PlacedNode; readonly master: PlacedNode }
  | {
      readonly type: 'replicate';
      readonly replica: PlacedNode;
      readonly master: PlacedNode;
      readonly kept: PlacedNode;
    };

interface Changing {
  master: PlacedNode;
  /** By id. */
  readonly replicas: Map<string, PlacedNode>;
}

/**
 * The steps from some shards to others of the same nodes, and the shards that they lead to. A node that leaves a master leaves it so many
 * other replicas that are ready, at least one, so moves that close a circle begin where there are two. Each shard fails over once and each node moves once, so
 * that what they are says which steps are done. What would take more is left out.
 */
export function spreadSteps(
  before: readonly Shard[],
  goal: readonly Shard[],
  keep = 1,
): { readonly steps: readonly SpreadStep[]; readonly after: readonly Shard[] } {
  const shards = before.map(
    ({ master, replicas }): Changing => ({ master, replicas: new Map(replicas.map((one) => [one.id, one])) }),
  );
  const goalFor = new Map(
    goal.flatMap(({ master, replicas }, index) =>
      [master, ...replicas].map(({ id }) => [id, index] as const),
    ),
  );
  const steps: SpreadStep[] = [];
  for (;;) {
    const step = failoverIn(shards, goal) ?? moveIn(shards, goalFor, keep, steps.at(-1));
    if (!step) break;
    steps.push(step);
    const from = shards.find(({ replicas }) => replicas.has(step.replica.id));
    if (!from) break;
    from.replicas.delete(step.replica.id);
    if (step.type === 'failover') {
      from.replicas.set(step.master.id, { ...step.master, isReady: true });
      from.master = step.replica;
    } else {
      const to = shards.find(({ master }) => master.id === step.master.id);
      to?.replicas.set(step.replica.id, { ...step.replica, isReady: true });
    }
  }
  return {
    steps,
    after: shards.map(({ master, replicas }) => ({ master, replicas: [...replicas.values()] })),
  };
}

// First one that takes a master from where most are to where fewest are: no place becomes fuller in between than it must.
function failoverIn(shards: readonly Changing[], goal: readonly Shard[]): SpreadStep | undefined {
  const [hosts, zones] = [new Map<string, number>(), new Map<string, number>()];
  for (const { master } of shards) {
    hosts.set(master.host, (hosts.get(master.host) ?? 0) + 1);
    zones.set(master.zone, (zones.get(master.zone) ?? 0) + 1);
  }
  let best: { readonly gain: number; readonly step: SpreadStep } | undefined;
  for (const [index, { master, replicas }] of shards.entries()) {
    const wanted = goal[index]?.master.id ?? '';
    const replica = replicas.get(wanted);
    if (master.id === wanted || !replica) continue;
    const ofHosts = (hosts.get(master.host) ?? 0) - (hosts.get(replica.host) ?? 0);
    const ofZones = (zones.get(master.zone) ?? 0) - (zones.get(replica.zone) ?? 0);
    const gain = ofHosts + ofZones / (2 * shards.length + 1);
    if (!best || gain > best.gain) best = { gain, step: { type: 'failover', replica, master } };
  }
  return best?.step;
}

// Best one of a circle, from the master that has just been given one: other moves may have to wait until the circle is closed.
function moveIn(
  shards: readonly Changing[],
  goalFor: ReadonlyMap<string, number>,
  keep: number,
  last: SpreadStep | undefined,
): SpreadStep | undefined {
  const pending = shards.map(({ master, replicas }, index) =>
    [master.id, ...replicas.keys()].map((id) => goalFor.get(id) ?? index).filter((to) => to !== index),
  );
  let best: { readonly rank: number; readonly step: SpreadStep } | undefined;
  for (const [from, { master, replicas }] of shards.entries()) {
    const isGifted = last?.type === 'replicate' && last.master.id === master.id;
    for (const replica of replicas.values()) {
      const to = goalFor.get(replica.id) ?? from;
      const target = shards[to];
      if (to === from || !target || best?.rank === 3) continue;
      const others = [...replicas.values()].filter((one) => one !== replica && one.isReady);
      const [kept] = others;
      if (!kept || others.length < keep) continue;
      const rank = (leadsTo(pending, to, from) ? 2 : 0) + (isGifted ? 1 : 0);
      if (!best || rank > best.rank)
        best = { rank, step: { type: 'replicate', replica, master: target.master, kept } };
    }
  }
  return best?.step;
}

/** True if moves that are left lead from one shard to another. */
function leadsTo(pending: readonly (readonly number[])[], from: number, to: number): boolean {
  const seen = new Set([from]);
  for (const at of seen) {
    if (at === to) return true;
    for (const next of pending[at] ?? []) seen.add(next);
  }
  return false;
}
