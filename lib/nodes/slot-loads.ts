import { type Address, parseAddress } from '../model/address.ts';
import { type NodeRecord, slotsOf } from '../model/node.ts';
import { SLOT_COUNT } from '../model/slot.ts';
import { type NodeRef, nodeRef } from '../plan/plan.ts';
import { type Context, nodeError } from './context.ts';
import { countKeys } from './count-keys.ts';
import { askInfo, dataBytes, databases, type NodeInfo, totalKeys } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { askSlotStats } from './slot-stats.ts';

/** What slots can be weighed by. */
export type LoadKind = 'keys' | 'memory' | 'cpu' | 'network';

/** Fields of CLUSTER SLOT-STATS. Redis counts memory too. */
const STATS: Readonly<Record<Exclude<LoadKind, 'keys'>, readonly string[]>> = {
  memory: ['memory-bytes'],
  cpu: ['cpu-usec'],
  network: ['network-bytes-in', 'network-bytes-out'],
};

/**
 * The load of each slot: keys, bytes, microseconds of CPU time or bytes on the network, as reported by the owners. Bytes are
 * counted by the servers if all of them can; otherwise each node's data is divided evenly among its keys. Rejects with
 * ClusterError `METHOD_UNSUPPORTED` if a server does not count what is wanted.
 */
export async function slotLoads(
  context: Context,
  owners: readonly NodeRecord[],
  by: LoadKind,
): Promise<Float64Array> {
  const loads = new Float64Array(SLOT_COUNT);
  const nodes = owners.filter(({ slots }) => slots.length > 0);
  if (by !== 'keys') {
    const found = await inParallel(nodes, (node) => askStats(context, node, STATS[by]));
    const missing = found.indexOf(undefined);
    if (missing < 0) {
      for (const stats of found) for (const [slot, load] of stats ?? []) loads[slot] = load;
      return loads;
    }
    if (by !== 'memory') throw unsupported(nodeRef(nodes[missing] as NodeRecord), by);
  }
  await inParallel(nodes, async (node) => {
    for (const [slot, load] of await countIn(context, node, by)) loads[slot] = load;
  });
  return loads;
}

function unsupported({ address }: NodeRef, by: LoadKind): Error {
  const message = `Cannot rebalance by ${by}: ${address} does not count it per slot`;
  return nodeError('METHOD_UNSUPPORTED', address, message, {
    hint:
      'Nothing was changed. This needs "cluster-slot-stats-enabled yes" on every master, Redis 8.2 or Valkey 8.0 and newer ' +
      '(Redis 8.6 takes "cpu net" while it runs); ' +
      'balancing by keys or memory does not',
  });
}

/** By slot: how many keys a node holds there, in all databases that its INFO names. Slots without keys are left out. */
export async function keysBySlot(
  { connections, signal }: Pick<Context, 'connections' | 'signal'>,
  address: Address,
  slots: readonly number[],
  info: NodeInfo,
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for (const { db } of databases(info)) {
    const inSlot = await countKeys(connections, address, db, slots, signal);
    for (const [slot, keys] of inSlot) counts.set(slot, (counts.get(slot) ?? 0) + keys);
  }
  return counts;
}

async function countIn(context: Context, node: NodeRecord, by: LoadKind): Promise<Map<number, number>> {
  const info = await askInfo(context.connections, node.address, ['memory', 'keyspace']);
  const counts = await keysBySlot(context, node.address, slotsOf(node), info);
  const total = totalKeys(info);
  const each = by === 'memory' && total > 0 ? dataBytes(info) / total : 1;
  return new Map([...counts].map(([slot, keys]) => [slot, Math.round(keys * each)]));
}

// Undefined if the server does not count all of the fields.
async function askStats(
  context: Context,
  node: NodeRecord,
  fields: readonly string[],
): Promise<[slot: number, load: number][] | undefined> {
  const stats = await askSlotStats(context.connections, parseAddress(nodeRef(node).address));
  const loads = [...(stats ?? [])].map(([slot, own]): [slot: number, load: number] => [
    slot,
    fields.reduce((sum, field) => sum + (own.get(field) ?? Number.NaN), 0),
  ]);
  return stats && loads.every(([, load]) => !Number.isNaN(load)) ? loads : undefined;
}
