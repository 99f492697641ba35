import { formatAddress } from './address.ts';
import { isSuspected, type NodeRecord } from './node.ts';
import { claimsBySlot, expandSlots } from './slot.ts';
import type { NodeReport } from './view.ts';

type Known = Pick<NodeReport, 'myself' | 'records'>;
type Reports = ReadonlyMap<string, NodeReport>;

/** A node that answers, and is not a member of the cluster of the others. */
export interface Stranger {
  readonly id: string;
  readonly address: string;
  /**
   * `alone`: it lists no other node at all. `unrelated`: it lists none of the others, and none lists it. `reset`: others list it, but it lists few of them. `unknown`: it lists few
   * or all, but they do not list it. `between`: it and some others list one another, but it lists too few of them.
   */
  readonly why: 'alone' | 'unrelated' | 'reset' | 'unknown' | 'between';
}

/** Which nodes are one cluster. */
export interface Acquaintance {
  readonly members: ReadonlySet<string>;
  readonly strangers: readonly Stranger[];
}

/**
 * Tells the members of one cluster from all others, by the ids that each lists in its own CLUSTER NODES: addresses may belong to
 * another node by now, and one id alone may be left of a node that went over to another cluster.
 *
 * Members list one another, and each lists more than half of all. A node that lists more than half of them but that none of
 * them lists was forgotten: it is a member if it was `named` and stands alone. So is a named one that lists only itself, if it owns slots
 * that the others list for nobody. One that they list, and that lists only itself and owns nothing, was reset and kept its id: nothing stands
 * against introducing it again. Of several clusters, the one with most named nodes counts,
 * then the largest. A node that lists only itself, as after a reset, counts last.
 */
export function acquaint(reports: Reports, named: ReadonlySet<string>): Acquaintance {
  const known = new Map(
    [...reports].map(([id, { records }]) => [id, new Set(records.map((record) => record.id))]),
  );
  const lists = (by: string, id: string): boolean => known.get(by)?.has(id) ?? false;
  const groups = groupsOf([...reports.keys()], (a, b) => lists(a, b) && lists(b, a));
  const rankOf = (ids: readonly string[]): readonly number[] => [
    Number(ids.length > 1),
    Number(ids.some((id) => (known.get(id)?.size ?? 0) > 1)),
    ids.filter((id) => named.has(id)).length,
    ids.length,
    [...reports.keys()].filter((by) => !ids.includes(by) && ids.some((id) => lists(by, id))).length,
    // The same whoever answers first.
    -[...named].findIndex((id) => ids.includes(id)),
  ];
  const ranked = groups.map((ids) => ({ ids, rank: rankOf(ids) })).sort((a, b) => compare(b.rank, a.rank));
  const [core = [], ...others] = ranked.map(({ ids }) => ids);
  const knowsMost = (id: string): boolean =>
    2 * core.filter((other) => other === id || lists(id, other)).length > core.length;
  const inCore = core.flatMap((id) => reports.get(id) ?? []);
  const isLone = (id: string): boolean => {
    const report = reports.get(id);
    return report !== undefined && hasOwnSlots(report, inCore);
  };
  const forgotten = others.flatMap(([id = '', ...more]) =>
    more.length === 0 && named.has(id) && (knowsMost(id) || isLone(id)) ? [id] : [],
  );
  const emptied = others.flatMap(([id = '', ...more]) =>
    more.length === 0 && core.some((by) => lists(by, id)) && isEmptied(reports.get(id)) ? [id] : [],
  );
  const members = new Set([...core.filter(knowsMost), ...forgotten, ...emptied]);
  const strangers = [...reports.values()].flatMap(({ myself: { id }, address }): Stranger[] => {
    if (members.has(id)) return [];
    const isListed = core.some((by) => by !== id && lists(by, id));
    // One that others lead to, but no member, is none of our business.
    if (!isListed && !named.has(id)) return [];
    const listsAny = core.some((other) => other !== id && lists(id, other));
    const isAlone = known.get(id)?.size === 1;
    const apart = listsAny ? 'unknown' : isAlone ? 'alone' : 'unrelated';
    const why = core.includes(id) ? 'between' : isListed ? 'reset' : apart;
    return [{ id, address: formatAddress(address), why }];
  });
  return { members, strangers };
}

/**
 * True of a node that no member lists, and that lists most of them and owns slots that none of them claims: a master that they have
 * forgotten. One that was taken out and not reset owns none. It may have forgotten all of them, too (`hasOwnSlots`).
 */
export function isForgotten({ myself, records }: Known, members: readonly NodeReport[]): boolean {
  const listed = new Set(records.map(({ id }) => id));
  const known = members.filter((member) => listed.has(member.myself.id));
  if (hasOwnSlots({ myself, records }, members)) return true;
  if (myself.role !== 'master' || 2 * known.length <= members.length) return false;
  const owners = claimsBySlot(
    members.flatMap((member) => (member.myself.role === 'master' ? [member.myself] : [])),
  );
  return expandSlots(myself.slots).some((slot) => owners[slot] === undefined);
}

/** True of a master that lists only itself, and owns nothing but slots that no other node lists for anyone. */
function hasOwnSlots({ myself, records }: Known, others: readonly Known[]): boolean {
  if (records.length > 1 || myself.role !== 'master' || myself.slots.length === 0) return false;
  const claims = claimsBySlot([...new Set(others.flatMap((other) => other.records))]);
  return expandSlots(myself.slots).every((slot) => claims[slot] === undefined);
}

/** True of a master that lists only itself, and owns no slot. */
function isEmptied(report: Known | undefined): boolean {
  if (report?.records.length !== 1) return false;
  return report.myself.role === 'master' && report.myself.slots.length === 0;
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0);
}

/** Ids in groups: each is related to another of its group, and to none of the others. */
function groupsOf(ids: readonly string[], isRelated: (a: string, b: string) => boolean): string[][] {
  const left = new Set(ids);
  const groups: string[][] = [];
  for (const first of left) {
    const group = [first];
    left.delete(first);
    for (const id of group) {
      for (const other of left) {
        if (!isRelated(id, other)) continue;
        group.push(other);
        left.delete(other);
      }
    }
    groups.push(group);
  }
  return groups;
}

/** What keeps a node from reaching another: it does not list it, knows no address of it, or has no link to it. */
export type Estranged = 'unknown' | 'no-address' | 'no-link';

/** What keeps the node of a report from reaching another one that answers; undefined if it does reach it. */
export function estranged({ records }: Pick<NodeReport, 'records'>, id: string): Estranged | undefined {
  const record = records.find((one) => one.id === id);
  if (!record) return 'unknown';
  if (!hasAddress(record)) return 'no-address';
  return record.linkState !== 'connected' || isSuspected(record) ? 'no-link' : undefined;
}

/** True of a record that says where the node is. */
export function hasAddress({ flags, address }: NodeRecord): boolean {
  return !flags.includes('noaddr') && address.host !== '' && address.port !== 0;
}
