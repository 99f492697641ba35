import type { Command, Reply } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import { isSlot, SLOT_COUNT } from '../model/slot.ts';
import type { Connections } from './connections.ts';

/** What a server counts for a slot, by the names of CLUSTER SLOT-STATS: `key-count`, `cpu-usec`, `network-bytes-in` and others. */
export type SlotStats = ReadonlyMap<string, number>;

/** Came with Valkey 8.0 and Redis 8.2. Most fields are there only with `cluster-slot-stats-enabled yes`. */
export const SLOT_STATS: Command = ['CLUSTER', 'SLOT-STATS', 'SLOTSRANGE', 0, SLOT_COUNT - 1];

/** Asks a node for the counters of each slot of its shard. Resolves to undefined if it does not have or allow the command. */
export async function askSlotStats(
  connections: Connections,
  address: Address,
): Promise<Map<number, SlotStats> | undefined> {
  const [reply] = await connections.askAll(address, [SLOT_STATS]);
  return readSlotStats(reply);
}

/** Reads the reply. Undefined for anything else. */
export function readSlotStats(reply: Reply | undefined): Map<number, SlotStats> | undefined {
  if (!Array.isArray(reply)) return undefined;
  const found = new Map<number, SlotStats>();
  for (const item of reply as readonly Reply[]) {
    const [slot, fields] = Array.isArray(item) ? (item as readonly Reply[]) : [];
    if (!isSlot(Number(slot)) || !Array.isArray(fields)) return undefined;
    const stats = new Map<string, number>();
    for (let at = 0; at + 1 < fields.length; at += 2) stats.set(String(fields[at]), Number(fields[at + 1]));
    found.set(Number(slot), stats);
  }
  return found;
}
