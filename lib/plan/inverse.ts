import { formatRanges } from '../model/slot.ts';
import type { NodeRef, Plan, Step, StepOf } from './plan.ts';
import { advance, nodesAfter, type Projection, projectionOf } from './projection.ts';

/** Something that a plan did and that cannot be taken back. */
export class Irreversible extends Error {
  /** `host:port` of the node it was done to. */
  readonly address: string;
  readonly hint: string;

  constructor({ address }: NodeRef, why: string, hint?: string) {
    super(`Cannot take back what was done to ${address}: ${why}`);
    this.address = address;
    this.hint = hint ? `Nothing was changed. ${hint}` : 'Nothing was changed';
  }
}

/**
 * The plan that takes back what a plan does: slots and roles are as before after it, and nodes that it brought into the
 * cluster are out of it again, under a new node id. Pure; the same plan gives the same inverse.
 * Throws an Irreversible for what cannot be taken back, as a hard reset or keys that were given up.
 */
export function invert(plan: Plan): Plan {
  const projection = projectionOf(plan.before);
  const newcomers = newcomersOf(plan);
  const parts: Step[][] = [];
  for (const step of plan.steps) {
    parts.push(undo(step, projection, { newcomers, nodes: plan.before }));
    advance(projection, step);
  }
  const steps = withoutRepeats(parts.reverse().flat());
  const { masters, expect } = plan;
  const leaving = new Set(steps.flatMap((step) => (step.type === 'reset' ? [step.node.id] : [])));
  const after = nodesAfter(plan);
  const isMaster = new Set(after.filter(({ role }) => role === 'master').map(({ id }) => id));
  const told = new Map([...masters, ...steps.flatMap(mastersIn)].map((node) => [node.id, node]));
  return {
    version: 1,
    operation: 'rollback',
    steps,
    masters: [...told.values()].filter(({ id }) => isMaster.has(id)),
    before: after,
    ...(expect && leaving.size < after.length ? { expect: expectAfter(expect.members, steps, leaving) } : {}),
  };
}

/** Ids of the nodes that a plan brings into a cluster, or makes one of. */
export function newcomersOf({ steps }: Pick<Plan, 'steps'>): Map<string, readonly NodeRef[]> {
  const met = steps.flatMap((step) =>
    step.type === 'meet' ? step.nodes.map(({ id }) => [id, step.to] as const) : [],
  );
  const assigned = steps.flatMap((step) =>
    step.type === 'assign-slots' ? [[step.node.id, [] as readonly NodeRef[]] as const] : [],
  );
  return new Map([...assigned, ...met]);
}

interface Known {
  readonly newcomers: ReadonlyMap<string, readonly NodeRef[]>;
  readonly nodes: readonly NodeRef[];
}

function undo(step: Step, { masters }: Projection, known: Known): Step[] {
  switch (step.type) {
    case 'move-slots':
      return [{ type: 'move-slots', source: step.target, target: step.source, slots: step.slots }];
    case 'assign-slots':
      return [{ type: 'reset', node: step.node }];
    case 'meet':
      return step.nodes.flatMap((node): Step[] => [
        ...(step.to.length > 0 ? [{ type: 'forget' as const, node, by: step.to }] : []),
        { type: 'reset', node },
      ]);
    // Libraries that nobody calls do no harm, and other functions of the node would go with them.
    case 'load-functions':
      return [];
    case 'replicate':
      return undoReplicate(step, masters.get(step.replica.id) ?? null, known);
    case 'failover':
      return [{ type: 'failover', replica: step.master, master: step.replica, mode: 'graceful' }];
    case 'close-slots':
      throw new Irreversible(
        step.node,
        `slots ${formatRanges(step.slots)} are closed, and to open them again would help nobody`,
      );
    case 'take-slots':
      throw new Irreversible(
        step.node,
        `it took slots ${formatRanges(step.slots)} whose owner had failed; their keys are lost`,
      );
    case 'forget':
      throw new Irreversible(step.node, 'it has left the cluster', `Add it again with: redis-trib join`);
    case 'reset':
      throw new Irreversible(
        step.node,
        'it was reset and has another node id',
        'Add it again with: redis-trib join',
      );
  }
}

// Of a cluster that is made, replicas go first: one that sees its master gone would want to take over.
function undoReplicate(
  { replica, master }: StepOf<'replicate'>,
  formerId: string | null,
  { newcomers, nodes }: Known,
): Step[] {
  const members = newcomers.get(replica.id);
  if (members) return members.length > 0 ? [] : [{ type: 'reset', node: replica }];
  if (formerId === master.id) return [];
  const former = nodes.find(({ id }) => id === formerId);
  if (former) return [{ type: 'replicate', replica, master: refOf(former) }];
  if (formerId !== null) throw new Irreversible(replica, `its former master ${formerId} is not in the plan`);
  throw new Irreversible(
    replica,
    `it was a master without slots, which a replica of ${master.address} can become only under another node id`,
    'Take it out with: redis-trib del_node, and add it with: redis-trib join_no_load',
  );
}

function refOf({ id, address, busPort }: NodeRef): NodeRef {
  return { id, address, ...(busPort === undefined ? {} : { busPort }) };
}

function withoutRepeats(steps: readonly Step[]): Step[] {
  const isReset = new Set<string>();
  return steps.filter((step) => {
    if (step.type !== 'reset') return true;
    if (isReset.has(step.node.id)) return false;
    isReset.add(step.node.id);
    return true;
  });
}

function mastersIn(step: Step): NodeRef[] {
  return step.type === 'failover'
    ? [step.master]
    : step.type === 'move-slots'
      ? [step.source, step.target]
      : [];
}

function expectAfter(
  members: NonNullable<Plan['expect']>['members'],
  steps: readonly Step[],
  leaving: ReadonlySet<string>,
): NonNullable<Plan['expect']> {
  const moved = steps.filter((step) => step.type === 'move-slots');
  const attached = steps.filter((step) => step.type === 'replicate');
  const swapped = steps.filter((step) => step.type === 'failover');
  return {
    members: members.filter(({ id }) => !leaving.has(id)),
    gone: [...leaving],
    owners: moved.map(({ target, slots }) => ({ id: target.id, slots })),
    replicas: [
      ...attached.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
      ...swapped.map(({ replica, master }) => ({ id: master.id, masterId: replica.id })),
    ],
  };
}
