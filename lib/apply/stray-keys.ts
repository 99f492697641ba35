import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import { countSlots } from '../model/node.ts';
import type { StrayKeysAt } from '../model/node-findings.ts';
import { expandSlots, SLOT_COUNT, slotsWhere } from '../model/slot.ts';
import { type ClusterView, type NodeReport, reachableMasters } from '../model/view.ts';
import type { Connections } from './connections.ts';
import {
  databases,
  fromDatabase,
  hidesKeys,
  inDatabase,
  NodeInfos,
  numberOf,
  parseInfo,
} from './node-info.ts';
import { inParallel } from './parallel.ts';

const COUNTED_AT_ONCE = 2000;
const UNVEILED_AT_ONCE = 300;

/**
 * Finds what masters hold of slots that they do not own; those without such keys are left out. The keys of owned slots are
 * counted first, in one transaction a node: only where a node holds more than these is it asked about all other slots.
 * With `unveil` Redis 8.4 and newer are asked about slots whose keys they hide, each marked as imported for the length of a
 * transaction that nobody sees. `infos` is what nodes were asked already, the keyspace included.
 * Rejects with ReplyError where a node does not allow it.
 */
export async function findStrayKeys(
  connections: Connections,
  view: ClusterView,
  {
    unveil,
    infos = new NodeInfos(connections, ['keyspace']),
  }: { readonly unveil: boolean; readonly infos?: NodeInfos },
): Promise<StrayKeysAt[]> {
  const reports = reachableMasters(view).flatMap(({ id }) => view.reports.get(id) ?? []);
  const found = await inParallel(reports, (report) => findAt(connections, report, infos, unveil));
  return found.filter(({ counts, hidden }) => counts.size > 0 || hidden > 0);
}

async function findAt(
  connections: Connections,
  report: NodeReport,
  infos: NodeInfos,
  unveil: boolean,
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
    left -= await countIn(connections, address, db, others, counts);
    if (left > 0 && unveil && !(await isTrimming(connections, address))) {
      const open = new Set(myself.openSlots.map(({ slot }) => slot));
      const covered = others.filter((slot) => !open.has(slot) && !counts.has(slot));
      left -= await countVeiled(connections, address, myself.id, covered, counts);
    }
    hidden += Math.max(0, left);
  }
  return { id: myself.id, counts, hidden };
}

// Keys of a database beside those of slots that the node owns.
async function countSurplus(
  connections: Connections,
  address: Address,
  db: number,
  owned: readonly number[],
): Promise<number> {
  const commands = owned.map((slot): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot]);
  const [keyspace, ...inSlots] = await transact(connections, address, db, [
    ['INFO', 'keyspace'],
    ...commands,
  ]);
  const all = databases(parseInfo(String(keyspace))).find((one) => one.db === db)?.keys ?? 0;
  return inSlots.reduce<number>((sum, count) => sum - Number(count), all);
}

async function countIn(
  connections: Connections,
  address: Address,
  db: number,
  slots: readonly number[],
  counts: Map<number, number>,
): Promise<number> {
  let sum = 0;
  for (let at = 0; at < slots.length; at += COUNTED_AT_ONCE) {
    const some = slots.slice(at, at + COUNTED_AT_ONCE);
    const commands = some.map((slot): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot]);
    const replies = fromDatabase(db, await connections.askAll(address, inDatabase(db, commands)));
    for (const [index, reply] of replies.entries()) sum += note(counts, some[index], reply);
  }
  return sum;
}

// Keys of slots that are on their way out of a node that gave them away by atomic migration are hidden as well, and not stray.
async function isTrimming(connections: Connections, address: Address): Promise<boolean> {
  const info = parseInfo(String(await connections.ask(address, ['CLUSTER', 'INFO'])));
  const fields = ['cluster_slot_migration_active_trim_running', 'cluster_slot_migration_active_tasks'];
  return fields.some((field) => numberOf(info, field) > 0);
}

async function countVeiled(
  connections: Connections,
  address: Address,
  id: string,
  slots: readonly number[],
  counts: Map<number, number>,
): Promise<number> {
  let sum = 0;
  for (let at = 0; at < slots.length; at += UNVEILED_AT_ONCE) {
    const some = slots.slice(at, at + UNVEILED_AT_ONCE);
    const replies = await unveiled(connections, address, id, 0, some, (slot) => [
      'CLUSTER',
      'COUNTKEYSINSLOT',
      slot,
    ]);
    for (const [index, reply] of replies.entries()) sum += note(counts, some[index], reply);
  }
  return sum;
}

/**
 * Asks a server about slots, one that hides keys as if it imported them. No other is told so: SETSLOT in a transaction ends a Valkey that has
 * replicas (an assertion in `execCommand`).
 */
async function unveiled(
  connections: Connections,
  address: Address,
  id: string,
  db: number,
  slots: readonly number[],
  question: (slot: number) => Command,
): Promise<Reply[]> {
  const server = parseInfo(String(await connections.ask(address, ['INFO', 'server'])));
  if (!hidesKeys(server))
    return fromDatabase(db, await connections.askAll(address, inDatabase(db, slots.map(question))));
  const replies = await transact(
    connections,
    address,
    db,
    slots.flatMap((slot): Command[] => [
      ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', id],
      question(slot),
      ['CLUSTER', 'SETSLOT', slot, 'STABLE'],
    ]),
  );
  return slots.map((_, index) => replies[3 * index + 1] as Reply);
}

/** The keys of a slot that a node holds without owning it, in all of its databases, each as `database key`. */
export async function strayKeysOf(
  connections: Connections,
  { address, myself }: NodeReport,
  slot: number,
): Promise<string[]> {
  const info = parseInfo(String(await connections.ask(address, ['INFO', 'keyspace'])));
  const question: Command = ['CLUSTER', 'GETKEYSINSLOT', slot, 0x7fffffff];
  const keys: string[] = [];
  for (const { db } of databases(info)) {
    const [seen] = fromDatabase(db, await connections.askAll(address, inDatabase(db, [question])));
    let reply = seen;
    if (Array.isArray(seen) && seen.length === 0 && !myself.openSlots.some((open) => open.slot === slot)) {
      [reply] = await unveiled(connections, address, myself.id, db, [slot], () => question).catch(() => [
        seen,
      ]);
    }
    if (reply instanceof Error) throw reply;
    if (Array.isArray(reply)) for (const key of reply) keys.push(`${db} ${String(key)}`);
  }
  return keys;
}

function note(counts: Map<number, number>, slot: number | undefined, reply: Reply | undefined): number {
  if (reply instanceof Error) throw reply;
  const count = Number(reply);
  if (slot !== undefined && count > 0) counts.set(slot, (counts.get(slot) ?? 0) + count);
  return count;
}

async function transact(
  connections: Connections,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<readonly Reply[]> {
  const replies = await connections.askAll(address, inDatabase(db, [['MULTI'], ...commands, ['EXEC']]));
  const result = fromDatabase(db, replies).at(-1);
  if (Array.isArray(result)) {
    const refused = result.find((reply) => reply instanceof ReplyError);
    if (refused) throw refused;
    return result;
  }
  // Where a command of a transaction is refused, EXEC says less than the command does.
  throw replies.find((reply) => reply instanceof Error) ?? new TypeError('EXEC gave no list');
}
