import { newcomersOf } from './inverse.ts';
import type { Plan } from './plan.ts';
import { advance, projectionOf } from './projection.ts';

/** One owner of a slot in the course of a plan. */
export interface Stop {
  /** How many steps are done when it owns the slot: 0 before all of them. */
  readonly after: number;
  readonly owner: string | undefined;
}

/** The states that a cluster may be in while a plan is applied, or after it was interrupted. */
export interface Trace {
  /** By slot: its owners, in order. */
  readonly stops: readonly (readonly Stop[])[];
  /** By node id: the masters it may have; null if it may be a master itself. */
  readonly masters: ReadonlyMap<string, ReadonlySet<string | null>>;
  /** Ids of nodes that the plan adds, and of nodes that it removes. */
  readonly newcomers: ReadonlySet<string>;
  readonly leavers: ReadonlySet<string>;
  /** Ids of nodes that need not answer: the plan deals with their failure, or restarts them. */
  readonly dead: ReadonlySet<string>;
}

/** Follows a plan step by step, without a cluster. */
export function traceOf(plan: Plan): Trace {
  const projection = projectionOf(plan.before);
  const stops = projection.owners.map((owner): Stop[] => [{ after: 0, owner }]);
  const masters = new Map([...projection.masters].map(([id, master]) => [id, new Set([master])]));
  const leavers = new Set<string>();
  const dead = new Set<string>();
  for (const [index, step] of plan.steps.entries()) {
    for (const slot of advance(projection, step))
      stops[slot]?.push({ after: index + 1, owner: projection.owners[slot] });
    for (const [id, master] of projection.masters) masters.get(id)?.add(master);
    if (step.type === 'forget' || step.type === 'reset') leavers.add(step.node.id);
    if (step.type === 'forget' && step.isDead) dead.add(step.node.id);
    if (step.type === 'restart') for (const { id } of step.nodes) dead.add(id);
    if (step.type === 'take-slots') for (const { id } of step.from) dead.add(id);
    if (step.type === 'failover' && step.mode !== 'graceful') dead.add(step.master.id);
  }
  allowFollowing(plan, masters);
  return { stops, masters, newcomers: new Set(newcomersOf(plan).keys()), leavers, dead };
}

// A master that gives its last slot away becomes a replica of the new owner (cluster-allow-replica-migration), and so do its
// replicas. A node that follows a replica since a failover that it missed may find its master at any time, or is told (`followUp()`).
function allowFollowing({ before, steps }: Plan, masters: ReadonlyMap<string, Set<string | null>>): void {
  for (const step of steps) {
    if (step.type !== 'move-slots') continue;
    masters.get(step.source.id)?.add(step.target.id);
    for (const { id, masterId } of before)
      if (masterId === step.source.id) masters.get(id)?.add(step.target.id);
  }
  const roles = new Map(before.map(({ id, role }) => [id, role]));
  for (const { id, masterId } of before) {
    if (masterId === undefined || roles.get(masterId) !== 'replica') continue;
    for (const followed of masters.get(masterId) ?? [])
      if (followed !== null && followed !== id) masters.get(id)?.add(followed);
  }
}
