import { isServing } from '../model/condition.ts';
import {
  type ClusterView,
  nodeById,
  type OpenSlotOfNode,
  openSlotsOf,
  slotOwners,
  standIn,
} from '../model/view.ts';
import { type MarkEvidence, pairsToCompare } from '../plan/open-slots.ts';
import { type KeyEvidence, lostWithKeys } from '../plan/uncovered.ts';
import { type Unserved, unservedSlots } from '../plan/unserved.ts';
import type { Connections } from './connections.ts';
import type { Context } from './context.ts';
import { inParallel } from './parallel.ts';
import {
  countStrayKeys,
  findStrayKeys,
  keysIn,
  slotsOnReplica,
  strayKeysOf,
  type Unveil,
} from './stray-keys.ts';
import { hearsUnlisted } from './unlisted-nodes.ts';

/**
 * Finds the nodes that hold keys of slots they do not own and, if several do, whether any key is on two of them. If no node owns
 * some slots, also which masters do not answer, and whether a node that no member lists may serve them; with `force` that does not matter.
 */
export async function findKeyEvidence(
  context: Context,
  view: ClusterView,
  givenUp: ReadonlySet<string>,
  unveil: Unveil,
): Promise<KeyEvidence> {
  const unserved = unservedSlots(view, lostWithKeys(view, givenUp));
  const hasUnowned = !context.settings.force && unserved.some(({ owner }) => owner === undefined);
  const silent = view.nodes.filter(
    ({ id, role }) => role === 'master' && !view.reports.has(id) && !givenUp.has(id),
  );
  const [evidence, isHeard, { heirs }] = await Promise.all([
    findKeys(context, view, unserved, unveil),
    hasUnowned ? hearsUnlisted(context, view) : false,
    replacedIn(context, view),
  ]);
  return {
    ...evidence,
    heirs,
    givenUp,
    silent: hasUnowned ? silent.map(({ id }) => id) : [],
    hearsUnlisted: isHeard,
  };
}

async function findKeys(
  { connections, emit }: Context,
  view: ClusterView,
  unserved: readonly Unserved[],
  unveil: Unveil,
): Promise<Omit<KeyEvidence, 'givenUp'>> {
  const stray = new Map(
    (await findStrayKeys(connections, view, { unveil })).map((found) => [found.id, found]),
  );
  const holders = new Map<number, string[]>();
  for (const { id, address } of view.nodes) {
    const found = stray.get(id);
    for (const slot of found?.counts.keys() ?? []) {
      const ids = holders.get(slot);
      if (ids) ids.push(id);
      else holders.set(slot, [id]);
    }
    if (!found || found.hidden === 0) continue;
    const node = `${address.host}:${address.port}`;
    const message = `${node} holds ${found.hidden} hidden keys of slots it does not own: it may be deleting them`;
    emit({ type: 'warning', node, message });
  }
  const several = [...holders].filter(([, ids]) => ids.length > 1);
  const pairs = await inParallel(
    several,
    async ([slot, ids]): Promise<[number, (readonly [string, string])[]]> => {
      const lists = await inParallel(ids, async (id): Promise<[string, Set<string>]> => {
        const report = view.reports.get(id);
        return [id, new Set(report ? await strayKeysOf(connections, report, slot, unveil) : [])];
      });
      return [slot, pairsThatShare(lists)];
    },
  );
  const sharing = new Map(pairs.filter(([, some]) => some.length > 0));
  const sharesWithOwner = await findShared(connections, view, holders, unveil);
  const unkept = unserved.filter(({ slot, keeper }) => keeper === undefined && !holders.has(slot));
  const replicas = await findReplicas(
    connections,
    view,
    unkept.map(({ slot }) => slot),
  );
  return { holders, sharing, sharesWithOwner, replicas };
}

// What a replica of a master that answers holds is what that master holds. It asks nothing if there is no such slot.
async function findReplicas(
  connections: Connections,
  view: ClusterView,
  slots: readonly number[],
): Promise<Map<number, string[]>> {
  const holding = new Map<number, string[]>();
  if (slots.length === 0) return holding;
  const orphans = view.nodes.flatMap(({ id }) => {
    const report = view.reports.get(id);
    const { role, masterId } = report?.myself ?? {};
    return report && role === 'replica' && masterId && !isServing(view, masterId) ? [report] : [];
  });
  const found = await inParallel(orphans, async (report): Promise<[string, ReadonlySet<number>]> => {
    return [report.myself.id, await slotsOnReplica(connections, report, slots)];
  });
  for (const [id, some] of found)
    for (const slot of some) holding.set(slot, [...(holding.get(slot) ?? []), id]);
  return holding;
}

interface Replaced {
  readonly replaced: ReadonlySet<string>;
  readonly heirs: ReadonlyMap<string, string>;
}

// Few clusters have a slot open.
async function replacedIn(context: Context, view: ClusterView): Promise<Replaced> {
  if (openSlotsOf(view).size === 0) return { replaced: new Set(), heirs: new Map() };
  const { findHeirs, replacedTargets } = await import('./heirs.ts');
  return { replaced: replacedTargets(view), heirs: await findHeirs(context, view) };
}

/** The same for open slots alone. It asks nothing if no slot is open. */
export async function findMarkEvidence(
  context: Context,
  view: ClusterView,
  unveil: Unveil,
): Promise<MarkEvidence> {
  const { connections } = context;
  const owners = slotOwners(view);
  const open = openSlotsOf(view);
  const wanted = new Map<string, number[]>();
  const { replaced, heirs } = await replacedIn(context, view);
  // Any of them may have taken the place of a target.
  const endsOf = ({ nodeId, peer }: OpenSlotOfNode): string[] =>
    replaced.has(peer) ? [nodeId, ...view.reports.keys()] : [nodeId, standIn(view, peer)?.id ?? ''];
  for (const [slot, items] of open) {
    for (const id of new Set(items.flatMap(endsOf))) {
      if (id === owners[slot] || nodeById(view, id)?.role !== 'master' || !view.reports.has(id)) continue;
      wanted.set(id, [...(wanted.get(id) ?? []), slot]);
    }
  }
  const holders = new Map<number, string[]>();
  const withOneKey = new Set<number>();
  const found = await inParallel([...wanted], async ([id, slots]) => {
    const report = view.reports.get(id);
    const counts = report && (await countStrayKeys(connections, report, slots, unveil));
    return { id, counts: [...(counts ?? [])] };
  });
  for (const { id, counts } of found) {
    for (const [slot, count] of counts) {
      const others = holders.get(slot) ?? [];
      holders.set(slot, [...others, id]);
      if (count === 1 && others.length === 0) withOneKey.add(slot);
      else withOneKey.delete(slot);
    }
  }
  const sharesWithOwner = await findShared(connections, view, holders, unveil);
  return { holders, withOneKey, heirs, sharesWithOwner };
}

async function findShared(
  connections: Connections,
  view: ClusterView,
  holders: MarkEvidence['holders'],
  unveil: Unveil,
): Promise<Set<string>> {
  const shared = new Set<string>();
  for (const { slot, holder, owner } of pairsToCompare(view, holders)) {
    const pair = `${holder} ${owner}`;
    const [there, here] = [view.reports.get(holder), view.reports.get(owner)];
    if (shared.has(pair) || !there || !here) continue;
    const [stray, owned] = await Promise.all([
      strayKeysOf(connections, there, slot, unveil),
      keysIn(connections, here.address, slot),
    ]);
    const known = new Set(owned);
    if (stray.some((key) => known.has(key))) shared.add(pair);
  }
  return shared;
}

function pairsThatShare(lists: readonly (readonly [string, ReadonlySet<string>])[]): [string, string][] {
  return lists.flatMap(([a, ofA], index) =>
    lists
      .slice(index + 1)
      .filter(([, ofB]) => [...ofA].some((key) => ofB.has(key)))
      .map(([b]): [string, string] => [a, b]),
  );
}
