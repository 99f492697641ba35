import type { Reply } from '../../../../resp/index.ts';
import { badReply } from '../../../errors.ts';
import { parseSlotRange, type SlotRange } from '../../../model/slot.ts';

/** An atomic migration as one of its two nodes tells of it. */
export interface Task {
  /** The same on both nodes. */
  readonly id: string;
  /** Which end of the migration the node is that was asked. */
  readonly end: End;
  readonly slots: readonly SlotRange[];
  /** Node id. */
  readonly source: string;
  /** Node id. */
  readonly target: string;
  /** In the server's own words. */
  readonly state: string;
  /** What the state comes to: `running` where the server goes on by itself, be it with another try. */
  readonly outcome: 'running' | 'done' | 'failed';
  /** Why it failed, or the last try did; empty where it did not. */
  readonly error: string;
  /** How often the server has tried again by itself. */
  readonly retries: number;
  /** Differs when the server has got on with it. */
  readonly mark: string;
}

export type End = 'source' | 'target';

/** The value of a field of an entry, as text; empty where there is no such field. */
export type Fields = (name: string) => string;

/** Reads the reply that lists tasks. Throws ClusterError `BAD_REPLY` where it is no list, and the error where it is one. */
export function readEntries(reply: Reply | undefined): Fields[] {
  if (reply instanceof Error) throw reply;
  if (!isList(reply)) throw badReply('The list of slot migrations is no list');
  return reply.map((entry) => {
    if (!isList(entry)) throw badReply('An entry in the list of slot migrations is no list');
    const fields = new Map<string, string>();
    for (let index = 0; index + 1 < entry.length; index += 2) {
      fields.set(String(entry[index]), String(entry[index + 1] ?? ''));
    }
    return (name) => fields.get(name) ?? '';
  });
}

/** Reads `0-50 52-99`. Throws a RangeError for anything else. */
export function readRanges(text: string): SlotRange[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map(parseSlotRange);
}

// Array.isArray alone does not narrow a readonly array.
function isList(reply: Reply | undefined): reply is readonly Reply[] {
  return Array.isArray(reply);
}
