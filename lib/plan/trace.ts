import { newcomersOf } from './inverse.ts';
import type { Plan } from './plan.ts';
import { advance, projectionOf } from './projection.ts';

/** An owner of a slot on its way through a plan. */
export interface Stop {
  /** Index of the step after which it owns the slot, -1 for before all of them. */
  readonly step: number;
  readonly owner: string | undefined;
}

/** What a plan, begun and perhaps not ended, may have made of the cluster it was made for. */
export interface Trace {
  /** By slot: its owners, in order. */
  readonly stops: readonly (readonly Stop[])[];
  /** By node id: the masters it may have, null where it may be one itself. */
  readonly masters: ReadonlyMap<string, ReadonlySet<string | null>>;
  /** Ids of nodes that it brings in, and of those that it takes out. */
  readonly newcomers: ReadonlySet<string>;
  readonly leavers: ReadonlySet<string>;
  /** Ids of nodes that may give no answer: those whose failure it deals with. */
  readonly dead: ReadonlySet<string>;
}

/** Follows a plan step by step, without a cluster. */
export function traceOf(plan: Plan): Trace {
  const projection = projectionOf(plan.before);
  const stops = projection.owners.map((owner): Stop[] => [{ step: -1, owner }]);
  const masters = new Map([...projection.masters].map(([id, master]) => [id, new Set([master])]));
  const leavers = new Set<string>();
  const dead = new Set<string>();
  for (const [index, step] of plan.steps.entries()) {
    for (const slot of advance(projection, step))
      stops[slot]?.push({ step: index, owner: projection.owners[slot] });
    for (const [id, master] of projection.masters) masters.get(id)?.add(master);
    if (step.type === 'forget' || step.type === 'reset') leavers.add(step.node.id);
    if (step.type === 'forget' && step.isDead) dead.add(step.node.id);
    if (step.type === 'take-slots') for (const { id } of step.from) dead.add(id);
    if (step.type === 'failover' && step.mode !== 'graceful') dead.add(step.master.id);
  }
  allowFollowing(plan, masters);
  return { stops, masters, newcomers: new Set(newcomersOf(plan).keys()), leavers, dead };
}

// A master that gives its last slot away becomes a replica of whoever took it (cluster-allow-replica-migration), and its replicas too.
function allowFollowing({ before, steps }: Plan, masters: ReadonlyMap<string, Set<string | null>>): void {
  for (const step of steps) {
    if (step.type !== 'move-slots') continue;
    masters.get(step.source.id)?.add(step.target.id);
    for (const { id, masterId } of before)
      if (masterId === step.source.id) masters.get(id)?.add(step.target.id);
  }
}
