import { estranged, hasAddress } from '../model/acquaintance.ts';
import { formatAddress, sameAddress } from '../model/address.ts';
import { conditionOf } from '../model/condition.ts';
import type { NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { toRanges } from '../model/slot.ts';
import {
  type ClusterView,
  contestedSlots,
  type NodeReport,
  recordSeenBy,
  slotOwners,
} from '../model/view.ts';
import { mastersOf } from './moves.ts';
import { type Draft, nodeRef, type Step } from './plan.ts';

/** Members that do not answer, by what to do about them. */
export interface Absent {
  /** Held for failed by the cluster, or stale entries that nothing hangs on. */
  readonly gone: readonly string[];
  /** Nothing answers with their id at any known address: they may be anywhere. */
  readonly missing: readonly string[];
  /** They run, but cannot be asked from here, or not yet. */
  readonly unable: readonly string[];
}

/** Sorts the members that did not answer. */
export function absentIn(view: ClusterView): Absent {
  const found: { gone: string[]; missing: string[]; unable: string[] } = {
    gone: [],
    missing: [],
    unable: [],
  };
  for (const id of view.unreachable.keys()) {
    const { kind } = conditionOf(view, id);
    // One that is seen as wiped may run elsewhere, while another took over its address.
    if (kind === 'dead' || (kind === 'wiped' && isForsaken(view, id))) found.gone.push(id);
    else if (kind === 'loading' || kind === 'refuses-us' || kind === 'unreachable-from-here')
      found.unable.push(id);
    else if (isForsaken(view, id) && !recordsOf(view, id).some(hasAddress)) found.gone.push(id);
    else found.missing.push(id);
  }
  return found;
}

// No member reports it as the owner of a slot or as a master.
function isForsaken(view: ClusterView, id: string): boolean {
  return [...view.reports.values()].every(({ records }) =>
    records.every((record) => record.masterId !== id && (record.id !== id || record.slots.length === 0)),
  );
}

function recordsOf(view: ClusterView, id: string): NodeRecord[] {
  return [...view.reports.values()].flatMap(({ records }) => records.filter((record) => record.id === id));
}

/** A master whose slots another claims by a higher config epoch. */
export interface Loser {
  readonly id: string;
  readonly by: string;
  readonly slots: readonly number[];
  /** True if the other was its replica: the servers do the same after each failover. */
  readonly isSucceeded: boolean;
}

/** Masters that lose slots to others as soon as they find one another, and delete the keys of these. */
export function losersIn(view: ClusterView): Loser[] {
  const owners = slotOwners(view);
  const found = new Map<string, { id: string; by: string; slots: number[] }>();
  for (const [slot, ids] of contestedSlots(view)) {
    const by = owners[slot] ?? '';
    for (const id of ids) {
      if (id === by) continue;
      const key = `${id} ${by}`;
      const loser = found.get(key);
      if (loser) loser.slots.push(slot);
      else found.set(key, { id, by, slots: [slot] });
    }
  }
  return [...found.values()].map((loser) => ({
    ...loser,
    isSucceeded: recordSeenBy(view, loser.id, loser.by)?.masterId === loser.id,
  }));
}

/**
 * Plans to introduce members again that others do not find, and to give replicas the address of their master. `view` has members
 * only, each with the address where the others reach it. No slot changes its owner.
 */
export function planRejoin(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails>,
  isFast = true,
): Draft {
  const reports = [...view.reports.values()];
  const answering = view.nodes.filter(({ id }) => view.reports.has(id));
  const members = answering.map(nodeRef);
  const lost = answering.filter(({ id }) =>
    reports.some((report) =>
      report.myself.id === id ? isElsewhereToItself(report) : !isFoundBy(view, report, id),
    ),
  );
  const contests = losersIn(view);
  const losers = new Set(contests.map(({ id }) => id));
  const replicas = answering.flatMap((replica) => {
    const master = answering.find(({ id }) => replica.role === 'replica' && id === replica.masterId);
    return master && master.role === 'master' && !losers.has(master.id) ? [{ replica, master }] : [];
  });
  const astray = replicas.filter(({ replica, master }) => isAstray(details, replica, master));
  const owners = slotOwners(view);
  const late = new Set(
    replicas.flatMap(({ replica, master }) => (isEmpty(details, replica, master) ? [replica.id] : [])),
  );
  const rounds = late.size > 0 ? [answering.filter(({ id }) => !late.has(id)), answering] : [answering];
  const serving = owners.every((owner) => owner !== undefined && view.reports.has(owner));
  const steps: Step[] = [
    ...rounds.flatMap((some, index): Step[] => {
      const nodes = lost.filter((one) => some.includes(one) && (index === 0 || late.has(one.id)));
      if (nodes.length === 0 || some.length < 2) return [];
      const fast = isFast ? { isFast } : {};
      return [
        { type: 'meet-again', nodes: nodes.map(nodeRef), members: some.map(nodeRef), serving, ...fast },
      ];
    }),
    ...astray.map(({ replica, master }): Step => {
      return { type: 'replicate', replica: nodeRef(replica), master: nodeRef(master), isAgain: true };
    }),
  ];
  return {
    operation: 'rejoin',
    masters: mastersOf(view),
    steps,
    expect: {
      members,
      stateOk: serving,
      // A link may be up through which nothing comes: then it is not done before the loser has heard of it.
      ...(contests.length > 0
        ? { owners: contests.map(({ by, slots }) => ({ id: by, slots: toRanges(slots) })) }
        : {}),
    },
  };
}

// Two masters that meet again report to each other that a third does not answer, and may declare it failed: one of its replicas then
// takes its place. A replica that came back without its data must not: it meets the others when these find one another.
function isEmpty(
  details: ReadonlyMap<string, NodeDetails>,
  replica: NodeRecord,
  master: NodeRecord,
): boolean {
  return details.get(replica.id)?.keys === 0 && (details.get(master.id)?.keys ?? 0) > 0;
}

/** False if the node of this report lists the other nowhere, has no link to it, or lists it where a third one answers. */
function isFoundBy({ asked = new Map() }: ClusterView, report: NodeReport, id: string): boolean {
  if (estranged(report, id)) return false;
  const record = report.records.find((one) => one.id === id);
  const other = record && asked.get(formatAddress(record.address))?.id;
  return other === undefined || other === id;
}

const IP = /^[\d.]+$|:/;

// It sends clients there for its own slots. A MEET tells a node its address (clusterProcessPacket).
function isElsewhereToItself({ address, myself }: NodeReport): boolean {
  return IP.test(address.host) && myself.address.host !== address.host;
}

/** True of a replica that has no link to its master, or copies another node than that. */
function isAstray(
  details: ReadonlyMap<string, NodeDetails>,
  { id }: NodeRecord,
  master: NodeRecord,
): boolean {
  const [own, theirs] = [details.get(id), details.get(master.id)];
  const { status, asks } = own?.link ?? {};
  if (status === 'copying') return asks !== undefined && !sameAddress(asks, master.address);
  if (status !== 'up') return status === 'down';
  return theirs?.replicationId !== undefined && own?.replicationId !== theirs.replicationId;
}
