import { formatAddress } from './address.ts';
import type { NodeRecord } from './node.ts';
import { differingSlots, inRanges, nameSlots, type SlotRange } from './slot.ts';
import type { NodeReport } from './view.ts';

/** A node id, and the address to ask the node at. */
export interface Member {
  readonly id: string;
  readonly address: string;
  /** Cluster bus port, if it is not the client port + 10000. */
  readonly busPort?: number;
}

/** What every member of a cluster must report before an operation counts as done. */
export interface Expectation {
  /** The nodes to ask: each must know all others, have a link to them, and not suspect them of failure. */
  readonly members: readonly Member[];
  /** Node ids that no member may know any more. */
  readonly gone?: readonly string[];
  /** Slot owners that every member must report. */
  readonly owners?: readonly { readonly id: string; readonly slots: readonly SlotRange[] }[];
  /** Replicas and their masters that every member must report. */
  readonly replicas?: readonly { readonly id: string; readonly masterId: string }[];
  /** True if every member must report `cluster_state:ok`. @default true */
  readonly stateOk?: boolean;
}

/** An expectation, and what only the wait for it knows: no plan has these. */
export interface RoleExpectation extends Expectation {
  /** True if replicas may doubt others for good (`isDoubt`): nothing that was done depends on their links. */
  readonly replicasMayDoubt?: boolean;
  /** True if replicas that fail meanwhile are waited for, too (`failedReplicas`). @default false */
  readonly allAnswer?: boolean;
  /** Node ids whose role and master every member must report as the node itself does, whatever that is. */
  readonly settled?: readonly string[];
}

/** A difference between an expectation and the report of a node. */
export interface Unmet {
  /** Address of the node that reports something else. */
  readonly node: string;
  readonly text: string;
  /** If `node` does not know another member: the id of that member. */
  readonly unknown?: string;
  /** If `node` still knows one that is to be gone: the id of that. */
  readonly known?: string;
  /** Slots that `node` still gives away though it has heard that another owns them. */
  readonly open?: readonly number[];
  /** True if all that is missing is that `node` hears of the role that another node has (`settled`). */
  readonly isRole?: true;
  /** True if `node` is a replica, which has no vote, and all that is missing is that it hears of others: links, failures, the state. */
  readonly isDoubt?: true;
}

/** Reports by node id; an error for a node that did not answer. */
export type Answers = ReadonlyMap<string, NodeReport | Error>;

/** Every difference between an expectation and the answers of `members`. Empty if the expectation is met. */
export function unmet(
  expectation: RoleExpectation,
  answers: Answers,
  members: readonly Member[] = expectation.members,
): Unmet[] {
  return members.flatMap((member) => {
    const answer = answers.get(member.id);
    if (answer === undefined || answer instanceof Error) {
      return [
        {
          node: member.address,
          text: `${member.address} does not answer: ${answer?.message ?? 'not asked'}`,
        },
      ];
    }
    return [...unmetBy(expectation, member, answer), ...unsettledBy(expectation, member, answer, answers)];
  });
}

/**
 * Replicas that are waited for in vain: they do not answer, all members that do hold them for failed, and nothing is expected of them
 * but that they agree.
 */
export function failedReplicas(
  { members, replicas = [], allAnswer = false }: RoleExpectation,
  answers: Answers,
): Member[] {
  if (allAnswer) return [];
  const assigned = new Set(replicas.map(({ id }) => id));
  const reports = members.flatMap(({ id }) => {
    const answer = answers.get(id);
    return answer === undefined || answer instanceof Error ? [] : [answer];
  });
  return members.filter(({ id }) => {
    if (assigned.has(id) || !(answers.get(id) instanceof Error)) return false;
    return (
      reports.length > 0 &&
      reports.every(({ records }) => {
        const seen = records.find((record) => record.id === id);
        return seen?.role === 'replica' && seen.flags.includes('fail');
      })
    );
  });
}

function unsettledBy(
  { settled = [] }: RoleExpectation,
  member: Member,
  { records }: NodeReport,
  answers: Answers,
): Unmet[] {
  return settled.flatMap((id): Unmet[] => {
    const own = answers.get(id);
    const seen = records.find((record) => record.id === id);
    if (own === undefined || own instanceof Error || !seen || id === member.id) return [];
    const { role, masterId } = own.myself;
    if (own.myself.id !== id || (seen.role === role && seen.masterId === masterId)) return [];
    const [here, there] = [seen, own.myself].map((one) => standing(one, records));
    const text = `${member.address} considers ${nameOf(seen)} ${here}, but it is ${there}`;
    return [{ node: member.address, text, isRole: true }];
  });
}

function standing({ role, masterId }: NodeRecord, records: readonly NodeRecord[]): string {
  if (role === 'master') return 'a master';
  const master = records.find(({ id }) => id === masterId);
  return `a replica of ${master ? nameOf(master) : masterId}`;
}

function unmetBy(expectation: Expectation, member: Member, { myself, records, info }: NodeReport): Unmet[] {
  const { owners } = expectation;
  const missing: Unmet[] = [];
  const say = (text: string, more: Partial<Unmet> = {}): void => {
    missing.push({ node: member.address, text: `${member.address} ${text}`, ...more });
  };
  const doubt: Partial<Unmet> = myself.role === 'replica' ? { isDoubt: true } : {};
  if (myself.id !== member.id) say(`answers as node ${myself.id}, not ${member.id}`);
  const byId = new Map(records.map((record) => [record.id, record]));
  for (const other of expectation.members) {
    if (other.id === member.id) continue;
    const record = byId.get(other.id);
    if (!record) say(`does not know ${other.address}`, { unknown: other.id });
    else if (record.flags.includes('fail') || record.flags.includes('fail?'))
      say(`considers ${other.address} failed`, doubt);
    else if (record.linkState !== 'connected')
      say(`has no link to ${other.address} on the cluster bus`, doubt);
  }
  for (const id of expectation.gone ?? []) if (byId.has(id)) say(`still knows node ${id}`, { known: id });
  for (const { id, masterId } of expectation.replicas ?? []) {
    const record = byId.get(id);
    if (record && (record.role !== 'replica' || record.masterId !== masterId)) {
      say(`considers ${nameOf(record)} ${standing(record, records)}`);
    }
  }
  if (owners) {
    const wrong = differingSlots([...records, ...owners], records);
    const [slot = 0] = wrong;
    const holder = records.findLast(({ slots }) =>
      slots.some(([first, last]) => first <= slot && slot <= last),
    );
    const seen = `it reports ${holder ? nameOf(holder) : 'no node'} as the owner of slot ${slot}`;
    if (wrong.length > 0) say(`does not yet agree who owns ${nameSlots(wrong, 4)}: ${seen}`);
    const others = owners.filter(({ id }) => id !== myself.id).flatMap(({ slots }) => slots);
    const open = leftOpen(myself).filter((slot) => inRanges(slot, others));
    if (wrong.length === 0 && myself.id === member.id && open.length > 0)
      say(`still has ${nameSlots(open, 4)} open`, { open });
  }
  if ((expectation.stateOk ?? true) && info.state !== 'ok') say('reports cluster_state:fail', doubt);
  return missing;
}

// A Redis that hears of a new owner from others, and not by SETSLOT, goes on giving the slot away (clusterUpdateSlotsConfigWith).
function leftOpen({ role, openSlots }: NodeRecord): number[] {
  const left = openSlots.filter(({ direction }) => direction === 'migrating' && role === 'master');
  return left.map(({ slot }) => slot);
}

function nameOf(record: NodeRecord): string {
  return record.address.host === '' ? record.id : formatAddress(record.address);
}
