import type { Next } from '../model/next.ts';
import { formatRanges } from '../model/slot.ts';
import type { NodeRef, Plan, Step, StepOf } from './plan.ts';
import { advance, nodesAfter, type Projection, projectionOf } from './projection.ts';

/** A step that cannot be undone. */
export class Irreversible extends Error {
  /** `host:port` of the node that the step changed. */
  readonly address: string;
  readonly next: readonly Next[];

  constructor({ address }: NodeRef, why: string, next: readonly Next[] = []) {
    super(`Cannot undo what was done to ${address}: ${why}`);
    this.address = address;
    this.next = next;
  }
}

/**
 * The plan that undoes a plan: it restores slots and roles, and removes the nodes that the plan added, which get new node
 * ids. Pure: the same plan gives the same inverse. Throws an Irreversible for a step that cannot be undone, such as a hard
 * reset or slots taken without their keys.
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
    ...(expect && leaving.size < after.length
      ? { expect: expectAfter(expect.members, { before: after, steps }, leaving) }
      : {}),
  };
}

/** Ids of the nodes that a plan adds to a cluster, or forms a new cluster of. By id: the nodes it is introduced to. */
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
    // Nothing was added.
    case 'meet-again':
      return [];
    // Unused libraries do no harm, and deleting them might delete functions that the node had before.
    case 'load-functions':
      return [];
    // Nothing of the cluster was changed.
    case 'restart':
      return [];
    case 'replicate':
      return step.isAgain ? [] : undoReplicate(step, masters, known);
    case 'failover':
      return [{ type: 'failover', replica: step.master, master: step.replica, mode: 'graceful' }];
    case 'close-slots':
      throw new Irreversible(
        step.node,
        `slots ${formatRanges(step.slots)} are closed, and opening them again would not help`,
      );
    case 'take-slots':
      throw new Irreversible(
        step.node,
        `it took slots ${formatRanges(step.slots)} whose owner had failed; their keys are lost`,
      );
    case 'forget':
      throw new Irreversible(step.node, 'it has left the cluster', [{ do: 'join', node: step.node.address }]);
    case 'reset':
      throw new Irreversible(step.node, 'it was reset and has another node id', [
        { do: 'join', node: step.node.address },
      ]);
  }
}

// When a new cluster is undone, replicas are reset first: a replica whose master is gone would start a failover.
function undoReplicate(
  { replica, master, kept }: StepOf<'replicate'>,
  masters: Projection['masters'],
  { newcomers, nodes }: Known,
): Step[] {
  const formerId = masters.get(replica.id) ?? null;
  const members = newcomers.get(replica.id);
  if (members) return members.length > 0 ? [] : [{ type: 'reset', node: replica }];
  if (formerId === master.id) return [];
  const former = nodes.find(({ id }) => id === formerId);
  if (former && (masters.get(former.id) ?? null) !== null)
    throw new Irreversible(replica, `the node that it followed, ${former.address}, is a replica itself`);
  // A replica that the other master had before.
  const other = kept && nodes.find(({ id }) => id !== replica.id && masters.get(id) === master.id);
  if (former)
    return [
      {
        type: 'replicate',
        replica,
        master: refOf(former),
        ...(other ? { kept: refOf(other) } : {}),
      },
    ];
  if (formerId !== null) throw new Irreversible(replica, `its former master ${formerId} is not in the plan`);
  throw new Irreversible(
    replica,
    `it was a master without slots, which a replica of ${master.address} can become only under another node id`,
    [
      { do: 'del-node', cluster: master.address, node: replica.address },
      { do: 'join-no-load', cluster: master.address, node: replica.address, when: 'after-that' },
    ],
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
  { before, steps }: Pick<Plan, 'before' | 'steps'>,
  leaving: ReadonlySet<string>,
): NonNullable<Plan['expect']> {
  const moved = steps.filter((step) => step.type === 'move-slots');
  const attached = steps.flatMap((step) => (step.type === 'replicate' ? [step.replica.id] : []));
  const swapped = steps.flatMap((step) => (step.type === 'failover' ? [step.master.id] : []));
  const touched = new Set([...attached, ...swapped]);
  const answering = new Set(members.map(({ id }) => id));
  const masterBefore = new Map(before.map(({ id, masterId }) => [id, masterId]));
  return {
    members: members.filter(({ id }) => !leaving.has(id)),
    gone: [...leaving],
    owners: moved.map(({ target, slots }) => ({ id: target.id, slots })),
    // Those that have another master once all steps are done: the others of a shard follow a failover, too.
    replicas: nodesAfter({ before, steps }).flatMap(({ id, masterId }) =>
      masterId !== undefined && (touched.has(id) || (masterBefore.get(id) !== masterId && answering.has(id)))
        ? [{ id, masterId }]
        : [],
    ),
  };
}
