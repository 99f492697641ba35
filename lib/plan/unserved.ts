import { type Condition, conditionOf, goneNodes, isServing } from '../model/condition.ts';
import { isFailed } from '../model/node.ts';
import { expandSlots } from '../model/slot.ts';
import { type ClusterView, openSlotsOf, slotOwners } from '../model/view.ts';

/** A slot that no node serves, and what may still have its keys. */
export interface Unserved {
  readonly slot: number;
  /** Id of its owner or, if no node owns it, of the last owner that a member names. */
  readonly owner?: string;
  /** Id of the node that may have its keys: the owner, or a replica of it. Only without one may the slot be given away. */
  readonly keeper?: string;
}

/**
 * The slots that no node serves, ascending. What any member says of an owner counts, a replica of its master too: others may have
 * forgotten it. An owner that answers and does not claim a slot does not keep it. `lost` are nodes that are given up.
 */
export function unservedSlots(view: ClusterView, lost: ReadonlySet<string>): Unserved[] {
  const owners = slotOwners(view);
  const serving = new Map<string, boolean>();
  const serves = (id: string): boolean => {
    const known = serving.get(id) ?? isServing(view, id);
    serving.set(id, known);
    return known;
  };
  if (owners.every((owner) => owner !== undefined && view.reports.has(owner))) return [];
  const claims = absentClaims(view);
  const keepers = new Map<string, string | undefined>();
  const keeperOf = (id: string): string | undefined => {
    if (!keepers.has(id)) keepers.set(id, findKeeper(view, id, lost));
    return keepers.get(id);
  };
  return owners.flatMap((owner, slot): Unserved[] => {
    if (owner !== undefined && serves(owner)) return [];
    const claimants = owner === undefined ? (claims.get(slot) ?? []) : [owner];
    const last = claimants.find((id) => keeperOf(id) !== undefined) ?? owner;
    const keeper = last === undefined ? undefined : keeperOf(last);
    return [
      { slot, ...(last === undefined ? {} : { owner: last }), ...(keeper === undefined ? {} : { keeper }) },
    ];
  });
}

/**
 * The slots of which a replica has the last copy of some keys among nodes that answer, and its master: nothing serves them, and it can take
 * over, or they were moving to its master when that failed. `leaving` are nodes that are taken away with it.
 */
export function keptAlone(
  view: ClusterView,
  id: string,
  leaving: ReadonlySet<string> = new Set(),
): { readonly owner: string; readonly slots: readonly number[] } | undefined {
  const owner = view.reports.get(id)?.myself.masterId;
  if (!owner || view.reports.has(owner)) return undefined;
  const gone = goneNodes(view);
  const kept = unservedSlots(view, new Set(gone)).filter(({ keeper }) => keeper === id);
  const left = unservedSlots(view, new Set([...gone, ...leaving, id]));
  const others = new Map(left.map(({ slot, keeper }) => [slot, keeper]));
  const alone = kept.map(({ slot }) => slot).filter((slot) => !view.reports.has(others.get(slot) ?? ''));
  const moving = movingTo(view, owner, (other) => other !== id && !leaving.has(other));
  const slots = [...new Set([...alone, ...moving])].sort((a, b) => a - b);
  return slots.length === 0 ? undefined : { owner, slots };
}

/** Slots that are marked as moving to a master of which no replica answers that stays. */
function movingTo(view: ClusterView, master: string, stays: (id: string) => boolean): number[] {
  const reports = [...view.reports.values()];
  if (reports.some(({ myself }) => myself.masterId === master && stays(myself.id))) return [];
  return [...openSlotsOf(view)].flatMap(([slot, items]) =>
    items.some(({ peer, direction }) => peer === master && direction === 'migrating') ? [slot] : [],
  );
}

/** By slot: the nodes that do not answer and to which any member gives it, by config epoch, the highest first. */
function absentClaims(view: ClusterView): Map<number, string[]> {
  const records = new Set([...view.reports.values()].flatMap((report) => report.records));
  const absent = [...records].filter(({ id, slots }) => slots.length > 0 && !view.reports.has(id));
  const claims = new Map<number, string[]>();
  for (const { id, slots } of absent.sort((a, b) => b.configEpoch - a.configEpoch)) {
    for (const slot of expandSlots(slots)) {
      const ids = claims.get(slot);
      if (!ids) claims.set(slot, [id]);
      else if (!ids.includes(id)) ids.push(id);
    }
  }
  return claims;
}

const RUNNING: readonly Condition['kind'][] = ['loading', 'refuses-us', 'unreachable-from-here'];

// Of a master that runs, it is the master. Else a replica that answers is named first: it is the one that can take over.
function findKeeper(view: ClusterView, id: string, lost: ReadonlySet<string>): string | undefined {
  if (!lost.has(id) && RUNNING.includes(conditionOf(view, id).kind)) return id;
  const replicas = new Set<string>();
  for (const { records } of view.reports.values()) {
    for (const record of records) {
      // What a replica is now, it says itself; what others remember of it counts only while it does not answer.
      const now = view.reports.get(record.id)?.myself ?? record;
      if (now.role === 'replica' && now.masterId === id && !lost.has(record.id)) replicas.add(record.id);
    }
  }
  const answering = [...replicas].filter((one) => view.reports.has(one));
  return (
    answering.find((one) => !isFlaggedBy(view, one)) ?? answering[0] ?? (lost.has(id) ? [...replicas][0] : id)
  );
}

function isFlaggedBy(view: ClusterView, id: string): boolean {
  return [...view.reports.values()].some(({ records }) =>
    records.some((one) => one.id === id && isFailed(one)),
  );
}
