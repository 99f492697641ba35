import type { Reply } from '../../../resp/index.ts';
import { badReply, messageOf } from '../../errors.ts';
import { parseSlotRange, type SlotRange } from '../../model/slot.ts';

/** An atomic migration as one of its two nodes reports it. */
export interface Task {
  /** The same on both nodes. */
  readonly id: string;
  /** The end of the migration that reports it. */
  readonly end: End;
  readonly slots: readonly SlotRange[];
  /** Node id. */
  readonly source: string;
  /** Node id. */
  readonly target: string;
  /** In the server's own words. */
  readonly state: string;
  /** What the state amounts to: `running` while the server continues on its own, even between two attempts. */
  readonly outcome: 'running' | 'done' | 'failed';
  /** Why it failed, or why the last attempt did; empty if nothing failed. */
  readonly error: string;
  /** How often the server has retried on its own. */
  readonly retries: number;
  /** Changes when the server makes progress. */
  readonly mark: string;
}

export type End = 'source' | 'target';

/** The value of a field of an entry, as text; empty if there is no such field. */
export type Fields = (name: string) => string;

/** Reads the reply that lists tasks. Throws ClusterError `BAD_REPLY` if it is not a list, and the error if it is one. */
export function readEntries(reply: Reply | undefined): Fields[] {
  if (reply instanceof Error) throw reply;
  if (!isList(reply)) throw badReply('The list of slot migrations is not a list');
  return reply.map((entry) => {
    if (!isList(entry)) throw badReply('An entry in the list of slot migrations is not a list');
    const fields = new Map<string, string>();
    for (let index = 0; index + 1 < entry.length; index += 2) {
      fields.set(String(entry[index]), String(entry[index + 1] ?? ''));
    }
    return (name) => fields.get(name) ?? '';
  });
}

/** Reads `0-50 52-99`. Throws ClusterError `BAD_REPLY` for anything else. */
export function readRanges(text: string): SlotRange[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  try {
    return words.map(parseSlotRange);
  } catch (error) {
    throw badReply(`Cannot read the slots of a migration: ${messageOf(error)}`);
  }
}

// Array.isArray alone does not narrow a readonly array.
function isList(reply: Reply | undefined): reply is readonly Reply[] {
  return Array.isArray(reply);
}
