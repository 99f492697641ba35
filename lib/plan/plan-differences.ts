import { formatAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import { expandSlots, nameSlots, slotsAre } from '../model/slot.ts';
import { type ClusterView, nodeById, openSlotsOf, slotOwners } from '../model/view.ts';
import type { MoveStep, Plan } from './plan.ts';
import { namedIn, type PlanView } from './plan-view.ts';
import type { Trace } from './trace.ts';

/** Something that is neither as it was before the plan nor as the plan makes it. */
export interface Difference {
  /** Address of the node, or its id if it has no address. */
  readonly node: string;
  readonly field: 'id' | 'address' | 'membership' | 'role' | 'slots' | 'open slots' | 'keys' | 'answer';
  readonly text: string;
}

/**
 * What fits neither a plan nor the state before it. `at` gives for each slot how many steps are done by its owner, as far as that is one
 * the plan has.
 */
export function differencesOf(
  plan: Plan,
  seen: PlanView,
  trace: Trace,
  at: readonly (number | undefined)[],
): Difference[] {
  const needed = new Set([...(plan.expect?.members ?? []), ...plan.masters].map(({ id }) => id));
  return [
    ...plan.before.flatMap((node) => nodeDifferences(node, seen, trace, needed)),
    ...addressDifferences(plan, seen),
    ...uninvited(plan, seen),
    ...ownerDifferences(trace, at, slotOwners(seen.view), seen.view),
    ...openDifferences(plan, seen.view),
  ];
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
    const text = `${nameSlots(slots, 4)} ${slots.length === 1 ? 'belongs' : 'belong'} to ${is}, but the plan has ${was}`;
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
    const text = `${slotsAre(slots, 4)} open on ${node}, but not by this plan`;
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
