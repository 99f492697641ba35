import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { StrayKeysAt } from '../findings/node-findings.ts';
import type { Address } from '../model/address.ts';
import { countSlots } from '../model/node.ts';
import { LARGEST_INT } from '../model/numbers.ts';
import { expandSlots, SLOT_COUNT, slotsWhere } from '../model/slot.ts';
import { type ClusterView, type NodeReport, reachableMasters } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { countCommand, countKeys, countOf } from './count-keys.ts';
import {
  askDatabase,
  databases,
  fromDatabase,
  inDatabase,
  NodeInfos,
  numberOf,
  parseInfo,
} from './node-info.ts';
import { inParallel } from './parallel.ts';
import { askServer } from './server.ts';
import { transact } from './transact.ts';

/** Slots in one transaction: the server does nothing else while it runs. */
const UNVEILED_AT_ONCE = 300;

/**
 * Asks a node a question about each of some slots that it neither owns nor imports, in one of its databases; replies in order.
 * Some servers hide the keys of such slots, and show them only while they import the slot. That changes the node, so only callers
 * that may change nodes pass `unveil`.
 */
export type Unveil = (
  connections: Connections,
  report: NodeReport,
  db: number,
  slots: readonly number[],
  question: (slot: number) => Command,
) => Promise<Reply[]>;

/**
 * Finds what masters hold of slots that they do not own; masters without such keys are left out. The keys of owned slots are
 * counted first, in one transaction a node. Only a node that holds more than these is asked about all other slots.
 * With `unveil` nodes are also asked about slots whose keys they hide. `infos` holds the sections of INFO already asked for,
 * including the keyspace. Rejects with ReplyError if a node does not allow it.
 */
export async function findStrayKeys(
  connections: Connections,
  view: ClusterView,
  {
    unveil,
    infos = new NodeInfos(connections, ['keyspace']),
  }: { readonly unveil?: Unveil; readonly infos?: NodeInfos },
): Promise<StrayKeysAt[]> {
  const reports = reachableMasters(view).flatMap(({ id }) => view.reports.get(id) ?? []);
  const found = await inParallel(reports, (report) => findAt(connections, report, infos, unveil));
  return found.filter(({ counts, hidden }) => counts.size > 0 || hidden > 0);
}

async function findAt(
  connections: Connections,
  report: NodeReport,
  infos: NodeInfos,
  unveil: Unveil | undefined,
): Promise<StrayKeysAt> {
  const { address, myself } = report;
  const counts = new Map<number, number>();
  let hidden = 0;
  const nothing = { id: myself.id, counts, hidden };
  if (countSlots(myself) === SLOT_COUNT) return nothing;
  for (const { db } of databases(await infos.of(address))) {
    const slots = expandSlots(myself.slots);
    let left = await countSurplus(connections, address, db, slots);
    if (left <= 0) continue;
    const owned = new Set(slots);
    const others = slotsWhere((slot) => !owned.has(slot));
    left -= addTo(counts, await countKeys(connections, address, db, others));
    if (left > 0 && unveil && (await hidesStrayKeys(connections, address))) {
      const open = new Set(myself.openSlots.map(({ slot }) => slot));
      const covered = others.filter((slot) => !open.has(slot) && !counts.has(slot));
      left -= addTo(counts, await countVeiled(connections, report, unveil, covered));
    }
    hidden += Math.max(0, left);
  }
  return { id: myself.id, counts, hidden };
}

// The number of keys of a database that are not in slots that the node owns.
async function countSurplus(
  connections: Connections,
  address: Address,
  db: number,
  owned: readonly number[],
): Promise<number> {
  const [question, counting] = [['INFO', 'keyspace'], owned.map(countCommand)];
  const replies = await transact(connections, address, db, [question, ...counting]).catch(
    async (error: unknown) => {
      if (!(error instanceof ReplyError && error.code === 'OOM')) throw error;
      // A Redis before 7.2 that is full queues no command. Keys that go in the meantime must not count as surplus.
      const inTurn = await askDatabase(connections, address, db, [...counting, question]);
      return [...inTurn.slice(-1), ...inTurn.slice(0, -1)];
    },
  );
  const [keyspace, ...inSlots] = replies;
  const all = databases(parseInfo(String(keyspace))).find((one) => one.db === db)?.keys ?? 0;
  return inSlots.reduce<number>((sum, reply) => sum - countOf(reply), all);
}

// Returns how many were added.
function addTo(counts: Map<number, number>, more: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const [slot, count] of more) {
    counts.set(slot, (counts.get(slot) ?? 0) + count);
    sum += count;
  }
  return sum;
}

async function hidesStrayKeys(connections: Connections, address: Address): Promise<boolean> {
  const { capabilities } = await askServer(connections, address);
  return capabilities.hidesKeys && !(await isTrimming(connections, address));
}

// Keys that a node gave away by atomic migration and is still deleting are hidden too, and are not stray.
async function isTrimming(connections: Connections, address: Address): Promise<boolean> {
  const info = parseInfo(String(await connections.ask(address, ['CLUSTER', 'INFO'])));
  const fields = ['cluster_slot_migration_active_trim_running', 'cluster_slot_migration_active_tasks'];
  return fields.some((field) => numberOf(info, field) > 0);
}

async function countVeiled(
  connections: Connections,
  report: NodeReport,
  unveil: Unveil,
  slots: readonly number[],
): Promise<Map<number, number>> {
  const counts = new Map<number, number>();
  for (let at = 0; at < slots.length; at += UNVEILED_AT_ONCE) {
    const some = slots.slice(at, at + UNVEILED_AT_ONCE);
    const replies = await unveil(connections, report, 0, some, countCommand);
    for (const [index, slot] of some.entries()) {
      const count = countOf(replies[index]);
      if (count > 0) counts.set(slot, count);
    }
  }
  return counts;
}

/** The keys of a slot that a node holds without owning it, in all its databases, each as `database key`. */
export async function strayKeysOf(
  connections: Connections,
  report: NodeReport,
  slot: number,
  unveil: Unveil,
): Promise<string[]> {
  const { address, myself } = report;
  const info = parseInfo(String(await connections.ask(address, ['INFO', 'keyspace'])));
  const question: Command = ['CLUSTER', 'GETKEYSINSLOT', slot, LARGEST_INT];
  const keys: string[] = [];
  for (const { db } of databases(info)) {
    const [seen] = fromDatabase(db, await connections.askAll(address, inDatabase(db, [question])));
    let reply = seen;
    if (Array.isArray(seen) && seen.length === 0 && !myself.openSlots.some((open) => open.slot === slot)) {
      reply = await hiddenAt(db).catch(() => seen);
    }
    if (reply instanceof Error) throw reply;
    if (Array.isArray(reply)) for (const key of reply) keys.push(`${db} ${String(key)}`);
  }
  return keys;

  async function hiddenAt(db: number): Promise<Reply | undefined> {
    const { capabilities } = await askServer(connections, address);
    if (!capabilities.hidesKeys) return [];
    const [reply] = await unveil(connections, report, db, [slot], () => question);
    return reply;
  }
}

/** The keys that a node holds of some slots, in all its databases, by slot; without those of which it has none. It owns none of them. */
export async function countStrayKeys(
  connections: Connections,
  report: NodeReport,
  slots: readonly number[],
  unveil: Unveil,
): Promise<ReadonlyMap<number, number>> {
  const { address, myself } = report;
  const counts = new Map<number, number>();
  const info = parseInfo(String(await connections.ask(address, ['INFO', 'keyspace'])));
  for (const { db } of databases(info)) addTo(counts, await countKeys(connections, address, db, slots));
  const shown = new Set(
    myself.openSlots.filter(({ direction }) => direction === 'importing').map(({ slot }) => slot),
  );
  const covered = slots.filter((slot) => !shown.has(slot));
  if (covered.length > 0 && (await hidesStrayKeys(connections, address)))
    addTo(counts, await countVeiled(connections, report, unveil, covered));
  return counts;
}

/**
 * Those of some slots of which a replica holds keys, in any of its databases. They are not slots of its master. A replica imports no
 * slot, so if it hides keys of slots, any of these may be among them: then it is all of them.
 */
export async function slotsOnReplica(
  connections: Connections,
  { address, myself, records }: NodeReport,
  slots: readonly number[],
): Promise<ReadonlySet<number>> {
  const { capabilities } = await askServer(connections, address);
  const ofMaster = records.find(({ id }) => id === myself.masterId)?.slots ?? [];
  const found = new Set<number>();
  const info = parseInfo(String(await connections.ask(address, ['INFO', 'keyspace'])));
  for (const { db } of databases(info)) {
    const counts = await countKeys(connections, address, db, slots);
    for (const slot of counts.keys()) found.add(slot);
    if (!capabilities.hidesKeys) continue;
    const shown = [...counts.values()].reduce((sum, count) => sum + count, 0);
    if ((await countSurplus(connections, address, db, expandSlots(ofMaster))) > shown) return new Set(slots);
  }
  return found;
}

/** The keys of a slot on its owner, in all of its databases, each as `database key`. */
export async function keysIn(connections: Connections, address: Address, slot: number): Promise<string[]> {
  const info = parseInfo(String(await connections.ask(address, ['INFO', 'keyspace'])));
  const keys: string[] = [];
  for (const { db } of databases(info)) {
    const [reply] = fromDatabase(
      db,
      await connections.askAll(address, inDatabase(db, [['CLUSTER', 'GETKEYSINSLOT', slot, LARGEST_INT]])),
    );
    if (reply instanceof Error) throw reply;
    if (Array.isArray(reply)) for (const key of reply) keys.push(`${db} ${String(key)}`);
  }
  return keys;
}
