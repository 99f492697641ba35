import { formatAddress } from './address.ts';
import type { NodeRecord } from './node.ts';
import { differingSlots, formatSlots, type SlotRange } from './slot.ts';
import type { NodeReport } from './view.ts';

/** A node by its id, and by the address it is asked at. */
export interface Member {
  readonly id: string;
  readonly address: string;
}

/** What every member of a cluster has to say before an operation counts as done. */
export interface Expectation {
  /** The nodes that are asked: each must know, reach and trust all others. */
  readonly members: readonly Member[];
  /** Node ids that no member may know any more. */
  readonly gone?: readonly string[];
  /** Who owns which slots, in the eyes of every member. */
  readonly owners?: readonly { readonly id: string; readonly slots: readonly SlotRange[] }[];
  /** Who replicates whom, in the eyes of every member. */
  readonly replicas?: readonly { readonly id: string; readonly masterId: string }[];
  /** True if every member has to say `cluster_state:ok`. @default true */
  readonly stateOk?: boolean;
}

/** A difference between what is expected and what a node says. */
export interface Unmet {
  /** Address of the node that says otherwise. */
  readonly node: string;
  readonly text: string;
  /** Set where `node` does not know another member: the id of that member. */
  readonly unknown?: string;
}

/** Answers by node id; an error stands for a node that gave none. */
export type Answers = ReadonlyMap<string, NodeReport | Error>;

/**
 * Every difference between what is expected and what the members, or those of them that are named, answered. Empty when all is
 * as it should be.
 */
export function unmet(
  expectation: Expectation,
  answers: Answers,
  members: readonly Member[] = expectation.members,
): Unmet[] {
  return members.flatMap((member) => {
    const answer = answers.get(member.id);
    if (answer === undefined || answer instanceof Error) {
      return [
        {
          node: member.address,
          text: `${member.address} gives no answer: ${answer?.message ?? 'not asked'}`,
        },
      ];
    }
    return unmetBy(expectation, member, answer);
  });
}

function unmetBy(expectation: Expectation, member: Member, { myself, records, info }: NodeReport): Unmet[] {
  const { owners } = expectation;
  const missing: Unmet[] = [];
  const say = (text: string, unknown?: string): void => {
    missing.push({
      node: member.address,
      text: `${member.address} ${text}`,
      ...(unknown ? { unknown } : {}),
    });
  };
  if (myself.id !== member.id) say(`answers as node ${myself.id}, not ${member.id}`);
  const byId = new Map(records.map((record) => [record.id, record]));
  for (const other of expectation.members) {
    if (other.id === member.id) continue;
    const record = byId.get(other.id);
    if (!record) say(`does not know ${other.address}`, other.id);
    else if (record.flags.includes('fail') || record.flags.includes('fail?'))
      say(`holds ${other.address} for failed`);
    else if (record.linkState !== 'connected') say(`has no link to ${other.address} on the cluster bus`);
  }
  for (const id of expectation.gone ?? []) if (byId.has(id)) say(`still knows node ${id}`);
  for (const { id, masterId } of expectation.replicas ?? []) {
    const record = byId.get(id);
    if (record && (record.role !== 'replica' || record.masterId !== masterId)) {
      const now = record.role === 'master' ? 'a master' : `a replica of ${record.masterId}`;
      say(`holds ${nameOf(record)} for ${now}`);
    }
  }
  if (owners) {
    const wrong = differingSlots([...records, ...owners], records);
    if (wrong.length > 0) say(`does not agree yet who owns slots ${formatSlots(wrong, 4)}`);
  }
  if ((expectation.stateOk ?? true) && info.state !== 'ok') say('says cluster_state:fail');
  return missing;
}

function nameOf(record: NodeRecord): string {
  return record.address.host === '' ? record.id : formatAddress(record.address);
}
