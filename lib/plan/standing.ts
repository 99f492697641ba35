import { estranged } from '../model/acquaintance.ts';
import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { expandSlots, formatSlots, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, openSlotsOf, slotOwners } from '../model/view.ts';
import { refsIn } from './parse.ts';
import type { MoveStep, NodeRef, Plan, RunningNode, Step, StepOf } from './plan.ts';
import { type Trace, traceOf } from './trace.ts';

/** The present state of a plan's cluster, including nodes of the plan that are not members, or not yet. */
export interface PlanView {
  /** All nodes that were asked. */
  readonly view: ClusterView;
  /** Ids of the members of the cluster. */
  readonly members: ReadonlySet<string>;
  /** By id of a node in the plan: the other node that answers at its address. */
  readonly otherIds: ReadonlyMap<string, { readonly id: string; readonly isFresh: boolean }>;
  /** By id of a node outside the cluster: how many keys it holds. */
  readonly keys: ReadonlyMap<string, number>;
  /** `id address` of nodes that answer at an address in the plan other than their own. */
  readonly reached: ReadonlySet<string>;
  /** Ids of replicas that are still copying their master. */
  readonly copying: ReadonlySet<string>;
  /** By id of a node that will get function libraries: the names of those it has. */
  readonly libraries?: ReadonlyMap<string, ReadonlySet<string>>;
  /** By id of a node that the plan restarts, and that answers: the run id of its server. */
  readonly runIds?: ReadonlyMap<string, string>;
}

/** Something that is neither as it was before the plan nor as the plan makes it. */
export interface Difference {
  /** Address of the node, or its id if it has no address. */
  readonly node: string;
  readonly field: 'id' | 'address' | 'membership' | 'role' | 'slots' | 'open slots' | 'keys' | 'answer';
  readonly text: string;
}

/** How far a plan has come. */
export interface Standing {
  readonly differences: readonly Difference[];
  /** The part of each step that is not done. */
  readonly left: readonly Step[];
  /** The part of each step that is done. */
  readonly done: readonly Step[];
}

/** Compares a plan with the cluster: what is done, what is left, and what fits neither. Pure. */
export function standingOf(plan: Plan, seen: PlanView): Standing {
  const trace = traceOf(plan);
  const owners = slotOwners(seen.view);
  const needed = new Set([...(plan.expect?.members ?? []), ...plan.masters].map(({ id }) => id));
  // How many steps are done, by the first owner of a slot on its way who is its owner now; undefined if it has another.
  const at = trace.stops.map((stops, slot) => stops.find(({ owner }) => owner === owners[slot])?.after);
  const leaving = leavingNow(plan, seen, trace);
  const [left, done]: [Step[], Step[]] = [[], []];
  for (const [index, step] of plan.steps.entries()) {
    const parts =
      step.type === 'failover'
        ? failedOver(plan, index, step, { at, seen, trace })
        : step.type === 'replicate'
          ? follows(plan, index, step, { at, seen, trace })
          : split(step, index, at, seen, trace, leaving);
    if (parts.left) left.push(parts.left);
    if (parts.done) done.push(parts.done);
  }
  return {
    differences: [
      ...plan.before.flatMap((node) => nodeDifferences(node, seen, trace, needed)),
      ...addressDifferences(plan, seen),
      ...uninvited(plan, seen),
      ...ownerDifferences(trace, at, owners, seen.view),
      ...openDifferences(plan, seen.view),
    ],
    left,
    done,
  };
}

interface Parts {
  readonly left?: Step;
  readonly done?: Step;
}

function split(
  step: Exclude<Step, StepOf<'failover' | 'replicate'>>,
  index: number,
  at: readonly (number | undefined)[],
  seen: PlanView,
  { stops, newcomers }: Trace,
  leaving: ReadonlySet<string>,
): Parts {
  const { view, otherIds } = seen;
  const whole = (isDone: boolean, isBegun = isDone): Parts => ({
    ...(isDone ? {} : { left: step }),
    ...(isBegun ? { done: step } : {}),
  });
  const knows = (observer: NodeRef, id: string): boolean => isKnownTo(view, observer, id);
  switch (step.type) {
    case 'assign-slots':
    case 'take-slots':
    case 'move-slots': {
      const slots = expandSlots(step.slots);
      // The step does not change the other slots.
      const changed = slots.filter((slot) => stops[slot]?.some(({ after }) => after === index + 1));
      const isDone = (slot: number) => (at[slot] ?? 0) > index;
      const [gone, here] = [changed.filter(isDone), changed.filter((slot) => !isDone(slot))];
      return {
        ...(here.length > 0 ? { left: { ...step, slots: toRanges(here) } } : {}),
        ...(gone.length > 0 ? { done: { ...step, slots: toRanges(gone) } } : {}),
      };
    }
    case 'meet': {
      const all = [...step.to, ...step.nodes].filter(({ id }) => !leaving.has(id));
      const pairs = step.nodes.flatMap((node) =>
        all.filter(({ id }) => id !== node.id).map((other) => [knows(other, node.id), knows(node, other.id)]),
      );
      return whole(pairs.flat().every(Boolean), pairs.flat().some(Boolean));
    }
    case 'meet-again': {
      const isFound = step.members.every((member) => {
        const report = view.reports.get(member.id);
        return report && step.nodes.every(({ id }) => id === member.id || !estranged(report, id));
      });
      return whole(isFound);
    }
    case 'load-functions': {
      const present = seen.libraries?.get(step.node.id);
      const all = step.libraries.every((name) => present?.has(name));
      // By name, one that is to be replaced looks like its replacement: it is loaded again until the node is a member.
      const isMember = (view.reports.get(step.node.id)?.records.length ?? 0) > 1;
      return whole(all && (step.replaces === undefined || isMember));
    }
    case 'close-slots': {
      const open = new Set(view.reports.get(step.node.id)?.myself.openSlots.map(({ slot }) => slot));
      return whole(!expandSlots(step.slots).some((slot) => open.has(slot)));
    }
    case 'forget': {
      const isBegun = step.by.length === 0 || isForgotten(step, seen, newcomers);
      return whole(isBegun && !step.by.some((other) => knows(other, step.node.id)), isBegun);
    }
    case 'reset':
      return whole(otherIds.has(step.node.id));
    case 'restart': {
      const nodes = step.nodes.filter((node) => !isRestarted(node, seen));
      const done = step.nodes.filter((node) => isRestarted(node, seen));
      return {
        ...(nodes.length > 0 ? { left: { ...step, nodes } } : {}),
        ...(done.length > 0 ? { done: { ...step, nodes: done } } : {}),
      };
    }
  }
}

function isRestarted({ id, runId }: RunningNode, { runIds }: PlanView): boolean {
  const now = runIds?.get(id);
  return now !== undefined && now !== runId;
}

function isKnownTo(view: ClusterView, observer: NodeRef, id: string): boolean {
  return view.reports.get(observer.id)?.records.some((record) => record.id === id) ?? false;
}

/** True if some node has forgotten another, as a step says. A newcomer without slots may not have met it yet. */
function isForgotten(
  { node, by }: StepOf<'forget'>,
  { view }: PlanView,
  newcomers: ReadonlySet<string>,
): boolean {
  const isJudge = ({ id }: NodeRef): boolean =>
    !newcomers.has(id) || (view.reports.get(id)?.myself.slots.length ?? 0) > 0;
  return by.some((other) => isJudge(other) && !isKnownTo(view, other, node.id));
}

/** Ids of nodes that have begun to leave: newcomers need not know them any more. */
function leavingNow({ steps }: Plan, seen: PlanView, { leavers, newcomers }: Trace): Set<string> {
  const forgotten = steps.flatMap((step) =>
    step.type === 'forget' && isForgotten(step, seen, newcomers) ? [step.node.id] : [],
  );
  return new Set([...forgotten, ...[...leavers].filter((id) => seen.otherIds.has(id))]);
}

interface Findings {
  readonly at: readonly (number | undefined)[];
  readonly seen: PlanView;
  readonly trace: Trace;
}

// A plan that restarts a master lets a replica take its place before, and may bring it back after that: what the roles are does not
// say which of the two has been done. What was restarted does.
function failedOver(
  { before, steps }: Plan,
  index: number,
  step: StepOf<'failover'>,
  { at, seen, trace: { stops } }: Findings,
): Parts {
  const isLater = (place: number): boolean => place > index;
  const restarts = steps.flatMap((one, place) =>
    one.type === 'restart' ? one.nodes.map((node) => ({ node, place })) : [],
  );
  const isOver = restarts.some(
    ({ node, place }) => isLater(place) && node.id === step.master.id && isRestarted(node, seen),
  );
  const isDue = restarts.every(
    ({ node, place }) => isLater(place) || node.id !== step.replica.id || isRestarted(node, seen),
  );
  // One that was a master before, of other slots or of none, says nothing by being one: whose slots these are does.
  const wasMaster = before.some(({ id, role }) => id === step.replica.id && role === 'master');
  const isTaken =
    !wasMaster ||
    restarts.length > 0 ||
    stops.every((all, slot) => !all.some(({ after }) => after === index + 1) || (at[slot] ?? 0) > index);
  const isDone = isOver || (isDue && isTaken && nodeById(seen.view, step.replica.id)?.role === 'master');
  return isDone ? { done: step } : { left: step };
}

// Later steps may let another replica take over from its master, or the node itself, or give the node another master.
function follows(plan: Plan, index: number, step: StepOf<'replicate'>, found: Findings): Parts {
  const { view, copying } = found.seen;
  const now = nodeById(view, step.replica.id);
  const isCopying = copying.has(step.replica.id);
  // It may have taken the place of its master.
  if (step.isAgain) return isCopying ? { left: step } : { done: step };
  const masters = new Set([step.master.id]);
  for (const [place, later] of plan.steps.entries()) {
    if (place <= index) continue;
    if (later.type === 'replicate' && later.replica.id === step.replica.id) {
      if (!masters.has(later.master.id) && later.master.id === now?.masterId) return { done: step };
    }
    if (later.type !== 'failover' || !masters.has(later.master.id)) continue;
    masters.add(later.replica.id);
    if (later.replica.id === step.replica.id && failedOver(plan, place, later, found).done)
      return { done: step };
  }
  const isSet = now?.role === 'replica' && masters.has(now.masterId ?? '');
  // It is barred from taking over until it has copied its new master.
  const wasReplica = plan.before.some(({ id, role }) => id === step.replica.id && role === 'replica');
  const isBarred = wasReplica && now?.flags.includes('nofailover') === true;
  return { ...(isSet && !isCopying && !isBarred ? {} : { left: step }), ...(isSet ? { done: step } : {}) };
}

function nodeDifferences(
  node: Plan['before'][number],
  { view, members, otherIds, keys }: PlanView,
  { masters, newcomers, leavers, dead }: Trace,
  needed: ReadonlySet<string>,
): Difference[] {
  const { id, address } = node;
  const name = address.startsWith(':') ? id : address;
  const say = (field: Difference['field'], text: string): Difference[] => [
    { node: name, field, text: `${name} ${text}` },
  ];
  const other = otherIds.get(id);
  if (other && !(leavers.has(id) && !members.has(id)))
    return say('id', `answers as node ${other.id}, but the plan has node ${id}`);
  const record = nodeById(view, id);
  const report = view.reports.get(id);
  if (!report) {
    if (dead.has(id) || leavers.has(id)) return [];
    if (!record) return say('membership', 'is no longer in the cluster and does not answer');
    // A node that did not answer when the plan was made need not answer now.
    return needed.has(id)
      ? say('answer', `does not answer: ${view.unreachable.get(id)?.message ?? 'it was not asked'}`)
      : [];
  }
  if (!members.has(id) && !newcomers.has(id) && !leavers.has(id))
    return say('membership', 'is no longer in the cluster');
  // Only the dead are forgotten without a look at what they hold.
  if (dead.has(id) && leavers.has(id) && members.has(id))
    return say('answer', 'answers again, but the plan takes it for dead');
  const found: Difference[] = [];
  const master = report.myself.role === 'master' ? null : report.myself.masterId;
  if (!masters.get(id)?.has(master))
    found.push(...say('role', `${roleNow(view, report.myself)}, but the plan has ${roleThen(view, node)}`));
  const known = keys.get(id) ?? 0;
  if (known > 0) found.push(...say('keys', `holds ${known} keys but is not in a cluster yet`));
  return found;
}

function addressDifferences(plan: Plan, { view, reached }: PlanView): Difference[] {
  return namedIn(plan).flatMap(({ id, address }): Difference[] => {
    const record = view.reports.has(id) ? nodeById(view, id) : undefined;
    const now = record && formatAddress(record.address);
    if (now === undefined || now === address || address.startsWith(':') || reached.has(`${id} ${address}`))
      return [];
    return [
      { node: address, field: 'address', text: `node ${id} is at ${now}, but the plan has ${address}` },
    ];
  });
}

function roleNow(view: ClusterView, { role, masterId }: NodeRecord): string {
  return role === 'master' ? 'is now a master' : `is now a replica of ${nameIn(view, masterId ?? '')}`;
}

function roleThen(view: ClusterView, { role, masterId }: Plan['before'][number]): string {
  return role === 'master' ? 'a master' : `a replica of ${nameIn(view, masterId ?? '')}`;
}

function nameIn(view: ClusterView, id: string): string {
  const node = nodeById(view, id);
  return node && node.address.host !== '' ? formatAddress(node.address) : id;
}

function uninvited({ before }: Plan, { view, otherIds }: PlanView): Difference[] {
  // A node that answers at the address of a planned node is reported under that node.
  const known = new Set([...before, ...otherIds.values()].map(({ id }) => id));
  return view.nodes
    .filter(({ id }) => !known.has(id))
    .map(({ id }) => {
      const node = nameIn(view, id);
      return {
        node,
        field: 'membership',
        text: `${node} (node ${id}) is in the cluster but not in the plan`,
      };
    });
}

function ownerDifferences(
  { stops }: Trace,
  at: readonly (number | undefined)[],
  owners: readonly (string | undefined)[],
  view: ClusterView,
): Difference[] {
  const groups = new Map<string, { then: string | undefined; now: string | undefined; slots: number[] }>();
  for (const [slot, where] of at.entries()) {
    if (where !== undefined) continue;
    const [then, now] = [stops[slot]?.[0]?.owner, owners[slot]];
    const group = groups.get(`${then} ${now}`);
    if (group) group.slots.push(slot);
    else groups.set(`${then} ${now}`, { then, now, slots: [slot] });
  }
  return [...groups.values()].map(({ then, now, slots }) => {
    const [was, is] = [then, now].map((id) => (id === undefined ? 'no node' : nameIn(view, id)));
    const text = `slots ${formatSlots(slots, 4)} belong to ${is}, but the plan has ${was}`;
    return { node: is === 'no node' ? (was ?? '') : (is ?? ''), field: 'slots', text };
  });
}

function openDifferences(plan: Plan, view: ClusterView): Difference[] {
  const byNode = new Map<string, number[]>();
  const own = ownOpenSlots(plan, view);
  for (const [slot, items] of openSlotsOf(view)) {
    if (own.has(slot)) continue;
    for (const { nodeId } of items) byNode.set(nodeId, [...(byNode.get(nodeId) ?? []), slot]);
  }
  return [...byNode].map(([id, slots]) => {
    const node = nameIn(view, id);
    const text = `slots ${formatSlots(slots, 4)} are open on ${node}, but this plan did not open them`;
    return { node, field: 'open slots', text };
  });
}

/** Open slots that the plan itself opened or will close. */
export function ownOpenSlots({ steps }: Plan, view: ClusterView): Set<number> {
  const byPair = new Map<string, Set<number>>();
  const closed = new Set<number>();
  const add = (key: string, slots: MoveStep['slots']): void => {
    const set = byPair.get(key) ?? new Set();
    for (const slot of expandSlots(slots)) set.add(slot);
    byPair.set(key, set);
  };
  for (const step of steps) {
    if (step.type === 'close-slots') for (const slot of expandSlots(step.slots)) closed.add(slot);
    if (step.type !== 'move-slots') continue;
    add(`${step.source.id} ${step.target.id}`, step.slots);
    add(`${step.target.id} ${step.source.id}`, step.slots);
  }
  return new Set(
    [...openSlotsOf(view)].flatMap(([slot, items]) =>
      closed.has(slot) || items.every(({ nodeId, peer }) => byPair.get(`${nodeId} ${peer}`)?.has(slot))
        ? [slot]
        : [],
    ),
  );
}

/** The nodes of a plan with their present roles and slots. */
export function nodesNow({ before }: Plan, { view }: PlanView): Plan['before'] {
  return before.map((node) => {
    const report = view.reports.get(node.id);
    if (!report) return node;
    const { masterId: _, ...rest } = node;
    const { role, masterId, configEpoch, slots } = report.myself;
    return { ...rest, role, ...(masterId === null ? {} : { masterId }), configEpoch, slots };
  });
}

/** Every node in a plan, once per address. */
export function namedIn({ before, masters, steps }: Plan): NodeRef[] {
  const named = [...before, ...masters, ...steps.flatMap((step) => refsIn(step).map(([, node]) => node))];
  return [...new Map(named.map((node) => [`${node.id} ${node.address}`, node])).values()];
}
