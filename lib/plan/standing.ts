import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { expandSlots, formatSlots, toRanges } from '../model/slot.ts';
import { type ClusterView, nodeById, openSlotsOf, slotOwners } from '../model/view.ts';
import { refsIn } from './parse.ts';
import type { MoveStep, NodeRef, Plan, Step } from './plan.ts';
import { type Trace, traceOf } from './trace.ts';

/** The cluster of a plan as it is now, those of its nodes that are not in it, or not yet, among them. */
export interface Sight {
  /** Of all nodes that were asked. */
  readonly view: ClusterView;
  /** Ids of those that the cluster knows. */
  readonly members: ReadonlySet<string>;
  /** By id of a node of the plan: the other node that answers at its address. */
  readonly strangers: ReadonlyMap<string, { readonly id: string; readonly isFresh: boolean }>;
  /** By id, of nodes that are in no cluster: how many keys they hold. */
  readonly keys: ReadonlyMap<string, number>;
  /** `id address` of nodes that answer at an address of the plan other than their own. */
  readonly reached: ReadonlySet<string>;
  /** Ids of replicas that have not copied their master. */
  readonly copying: ReadonlySet<string>;
  /** By id, of nodes that are to get libraries of functions: names of those that they have. */
  readonly libraries?: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Something that is not as the plan saw it, nor as it would make it. */
export interface Difference {
  /** Address of the node it is about, its id where there is none. */
  readonly node: string;
  readonly field: 'id' | 'address' | 'membership' | 'role' | 'slots' | 'open slots' | 'keys' | 'answer';
  readonly text: string;
}

/** How far a plan has come. */
export interface Standing {
  readonly differences: readonly Difference[];
  /** What is left of each step that is not done. */
  readonly left: readonly Step[];
  /** What was done of each step, wholly or in part. */
  readonly done: readonly Step[];
}

/** Compares a plan with a cluster: what of it is done, what is left, and what is as neither of the two. Pure. */
export function standingOf(plan: Plan, sight: Sight): Standing {
  const trace = traceOf(plan);
  const owners = slotOwners(sight.view);
  const needed = new Set([...(plan.expect?.members ?? []), ...plan.masters].map(({ id }) => id));
  // The first stop of a slot at which its owner is the one that it has now; -2 where it has another.
  const at = trace.stops.map((stops, slot) => stops.find(({ owner }) => owner === owners[slot])?.step ?? -2);
  const [left, done]: [Step[], Step[]] = [[], []];
  for (const [index, step] of plan.steps.entries()) {
    const parts = split(step, index, at, sight, trace);
    if (parts.left) left.push(parts.left);
    if (parts.done) done.push(parts.done);
  }
  return {
    differences: [
      ...plan.before.flatMap((node) => nodeDifferences(node, sight, trace, needed)),
      ...addressDifferences(plan, sight),
      ...strangersIn(plan, sight),
      ...ownerDifferences(trace, at, owners, sight.view),
      ...openDifferences(plan, sight.view),
    ],
    left,
    done,
  };
}

interface Parts {
  readonly left?: Step;
  readonly done?: Step;
}

function split(step: Step, index: number, at: readonly number[], sight: Sight, { stops }: Trace): Parts {
  const { view, strangers, copying } = sight;
  const whole = (isDone: boolean, isBegun = isDone): Parts => ({
    ...(isDone ? {} : { left: step }),
    ...(isBegun ? { done: step } : {}),
  });
  const knows = (observer: NodeRef, id: string): boolean =>
    view.reports.get(observer.id)?.records.some((record) => record.id === id) ?? false;
  switch (step.type) {
    case 'assign-slots':
    case 'take-slots':
    case 'move-slots': {
      const slots = expandSlots(step.slots);
      // Others were where they belong before.
      const changed = slots.filter((slot) => stops[slot]?.some((stop) => stop.step === index));
      const isDone = (slot: number) => (at[slot] ?? -2) >= index;
      const [gone, here] = [changed.filter(isDone), changed.filter((slot) => !isDone(slot))];
      return {
        ...(here.length > 0 ? { left: { ...step, slots: toRanges(here) } } : {}),
        ...(gone.length > 0 ? { done: { ...step, slots: toRanges(gone) } } : {}),
      };
    }
    case 'meet': {
      const all = [...step.to, ...step.nodes];
      const pairs = step.nodes.flatMap((node) =>
        all.filter(({ id }) => id !== node.id).map((other) => [knows(other, node.id), knows(node, other.id)]),
      );
      return whole(pairs.flat().every(Boolean), pairs.flat().some(Boolean));
    }
    case 'load-functions': {
      const present = sight.libraries?.get(step.node.id);
      return whole(step.libraries.every((name) => present?.has(name)));
    }
    case 'replicate': {
      const now = nodeById(view, step.replica.id);
      const isSet = now?.role === 'replica' && now.masterId === step.master.id;
      return whole(isSet && !copying.has(step.replica.id), isSet);
    }
    case 'failover':
      return whole(nodeById(view, step.replica.id)?.role === 'master');
    case 'close-slots': {
      const open = new Set(view.reports.get(step.node.id)?.myself.openSlots.map(({ slot }) => slot));
      return whole(!expandSlots(step.slots).some((slot) => open.has(slot)));
    }
    case 'forget': {
      const knowing = step.by.filter((other) => knows(other, step.node.id)).length;
      return whole(knowing === 0, knowing < step.by.length);
    }
    case 'reset':
      return whole(strangers.has(step.node.id));
  }
}

function nodeDifferences(
  node: Plan['before'][number],
  { view, members, strangers, keys }: Sight,
  { masters, newcomers, leavers, dead }: Trace,
  needed: ReadonlySet<string>,
): Difference[] {
  const { id, address } = node;
  const name = address.startsWith(':') ? id : address;
  const say = (field: Difference['field'], text: string): Difference[] => [
    { node: name, field, text: `${name} ${text}` },
  ];
  const stranger = strangers.get(id);
  if (stranger && !(leavers.has(id) && !members.has(id)))
    return say('id', `answers as node ${stranger.id}, where the plan has node ${id}`);
  const record = nodeById(view, id);
  const report = view.reports.get(id);
  if (!report) {
    if (dead.has(id) || leavers.has(id)) return [];
    if (!record) return say('membership', 'is not in the cluster any more, and gives no answer');
    // One that gave no answer when the plan was made need not give one now.
    return needed.has(id)
      ? say('answer', `gives no answer: ${view.unreachable.get(id)?.message ?? 'it was not asked'}`)
      : [];
  }
  if (!members.has(id) && !newcomers.has(id) && !leavers.has(id))
    return say('membership', 'is not in the cluster any more');
  const found: Difference[] = [];
  const master = report.myself.role === 'master' ? null : report.myself.masterId;
  if (!masters.get(id)?.has(master))
    found.push(...say('role', `${roleNow(view, report.myself)}, where the plan has ${roleThen(view, node)}`));
  const known = keys.get(id) ?? 0;
  if (known > 0) found.push(...say('keys', `holds ${known} keys, and is in no cluster yet`));
  return found;
}

function addressDifferences(plan: Plan, { view, reached }: Sight): Difference[] {
  return namedIn(plan).flatMap(({ id, address }): Difference[] => {
    const record = view.reports.has(id) ? nodeById(view, id) : undefined;
    const now = record && formatAddress(record.address);
    if (now === undefined || now === address || address.startsWith(':') || reached.has(`${id} ${address}`))
      return [];
    return [
      { node: address, field: 'address', text: `node ${id} is at ${now}, where the plan has ${address}` },
    ];
  });
}

function roleNow(view: ClusterView, { role, masterId }: NodeRecord): string {
  return role === 'master' ? 'is a master now' : `is a replica of ${nameIn(view, masterId ?? '')} now`;
}

function roleThen(view: ClusterView, { role, masterId }: Plan['before'][number]): string {
  return role === 'master' ? 'a master' : `a replica of ${nameIn(view, masterId ?? '')}`;
}

function nameIn(view: ClusterView, id: string): string {
  const node = nodeById(view, id);
  return node && node.address.host !== '' ? formatAddress(node.address) : id;
}

function strangersIn({ before }: Plan, { view, strangers }: Sight): Difference[] {
  // Those that answer in place of a node of the plan are told of by its name.
  const known = new Set([...before, ...strangers.values()].map(({ id }) => id));
  return view.nodes
    .filter(({ id }) => !known.has(id))
    .map(({ id }) => {
      const node = nameIn(view, id);
      return {
        node,
        field: 'membership',
        text: `${node} (node ${id}) is in the cluster, and not in the plan`,
      };
    });
}

function ownerDifferences(
  { stops }: Trace,
  at: readonly number[],
  owners: readonly (string | undefined)[],
  view: ClusterView,
): Difference[] {
  const groups = new Map<string, { then: string | undefined; now: string | undefined; slots: number[] }>();
  for (const [slot, where] of at.entries()) {
    if (where !== -2) continue;
    const [then, now] = [stops[slot]?.[0]?.owner, owners[slot]];
    const group = groups.get(`${then} ${now}`);
    if (group) group.slots.push(slot);
    else groups.set(`${then} ${now}`, { then, now, slots: [slot] });
  }
  return [...groups.values()].map(({ then, now, slots }) => {
    const [was, is] = [then, now].map((id) => (id === undefined ? 'nobody' : nameIn(view, id)));
    const text = `slots ${formatSlots(slots, 4)} belong to ${is}, where the plan has ${was}`;
    return { node: is === 'nobody' ? (was ?? '') : (is ?? ''), field: 'slots', text };
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
    const text = `slots ${formatSlots(slots, 4)} are open on ${node}, and not by this plan`;
    return { node, field: 'open slots', text };
  });
}

/** Open slots that the plan itself has opened, or is to close. */
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

/** The nodes of a plan as they are now: for what it shows of before and after. */
export function nodesNow({ before }: Plan, { view }: Sight): Plan['before'] {
  return before.map((node) => {
    const report = view.reports.get(node.id);
    if (!report) return node;
    const { masterId: _, ...rest } = node;
    const { role, masterId, configEpoch, slots } = report.myself;
    return { ...rest, role, ...(masterId === null ? {} : { masterId }), configEpoch, slots };
  });
}

/** Every node that a plan names, once for each address it has there. */
export function namedIn({ before, masters, steps }: Plan): NodeRef[] {
  const named = [...before, ...masters, ...steps.flatMap((step) => refsIn(step).map(([, node]) => node))];
  return [...new Map(named.map((node) => [`${node.id} ${node.address}`, node])).values()];
}
