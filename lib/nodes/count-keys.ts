import type { Command, Reply } from '../../resp/index.ts';
import { badReply } from '../errors.ts';
import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { askDatabase } from './node-info.ts';

/**
 * Slots that are counted in one write. A server answers a thousand in about a millisecond, and serves other clients in between.
 * The limit is for slow networks, which must carry some 55 bytes for each slot within the time for one command.
 */
const COUNTED_AT_ONCE = 4096;

/** Counts the keys of a slot in the database that is selected. */
export function countCommand(slot: number): Command {
  return ['CLUSTER', 'COUNTKEYSINSLOT', slot];
}

/** Reads the reply to `countCommand`. Throws the error if it is one. */
export function countOf(reply: Reply | undefined): number {
  if (typeof reply === 'number') return reply;
  throw reply instanceof Error ? reply : badReply('COUNTKEYSINSLOT did not return a number');
}

/** By slot: how many keys a database of a node holds there. Slots without keys are left out. */
export async function countKeys(
  connections: Connections,
  address: Address,
  db: number,
  slots: readonly number[],
  signal?: AbortSignal,
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for (let at = 0; at < slots.length; at += COUNTED_AT_ONCE) {
    signal?.throwIfAborted();
    const some = slots.slice(at, at + COUNTED_AT_ONCE);
    const replies = await askDatabase(connections, address, db, some.map(countCommand));
    for (const [index, slot] of some.entries()) {
      const count = countOf(replies[index]);
      if (count > 0) counts.set(slot, count);
    }
  }
  return counts;
}
