import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { type Address, parseAddress } from '../../model/address.ts';
import type { NodeRecord } from '../../model/node.ts';
import type { NodeReport } from '../../model/view.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { migrateAuth } from '../connections.ts';
import { type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';
import { askDatabase, databases, hidesKeys, parseInfo } from '../node-info.ts';

/** The two ends of a move and what they say of each other. */
export interface Link {
  readonly context: Context;
  readonly source: NodeRef;
  readonly target: NodeRef;
  readonly sourceAddress: Address;
  readonly targetAddress: Address;
  /** The target as the source sees it: where MIGRATE has to connect to. */
  readonly migrateTo: Address;
  /** `AUTH password` or `AUTH2 user password`, as MIGRATE takes it. */
  readonly auth: readonly string[];
  readonly sourceReport: NodeReport;
  readonly targetReport: NodeReport;
  /** True if the source is a Valkey. */
  readonly isValkey: boolean;
  /** True of a target that tells of no key in slots which it neither owns nor imports: Redis 8.4 and newer. */
  readonly targetHidesKeys: boolean;
  /** True where SETSLOT is answered when a replica has it, or after two seconds in vain: Valkey 8.0 and newer. */
  readonly waitsForReplicas: boolean;
}

/** Looks at both ends. Rejects with ClusterError where one is not what the plan took it for. */
export async function openLink(context: Context, source: NodeRef, target: NodeRef): Promise<Link> {
  const [sourceAddress, targetAddress] = [parseAddress(source.address), parseAddress(target.address)];
  const [sourceReport, targetReport, sourceServer, targetServer] = await Promise.all([
    askNode(context.connections, sourceAddress),
    askNode(context.connections, targetAddress),
    context.connections.ask(sourceAddress, ['INFO', 'server']),
    context.connections.ask(targetAddress, ['INFO', 'server']),
  ]);
  requireIdentity(source, sourceReport);
  requireIdentity(target, targetReport);
  const seen = requireKnown(sourceReport, target, source);
  requireKnown(targetReport, source, target);
  if (targetReport.myself.role !== 'master') {
    throw nodeError(
      'NOT_A_MASTER',
      target.address,
      `Cannot move slots to ${target.address}: it is a replica`,
      {
        hint: 'Name its master as the target',
      },
    );
  }
  if (targetReport.info.state !== 'ok') {
    throw nodeError(
      'NOT_REACHED',
      target.address,
      `Cannot move slots to ${target.address}: it says cluster_state:fail`,
      {
        hint: 'See what is wrong with: redis-trib check',
        resumable: true,
      },
    );
  }
  return {
    context,
    source,
    target,
    sourceAddress,
    targetAddress,
    migrateTo: { host: seen.address.host || targetAddress.host, port: seen.address.port },
    auth: migrateAuth(context.options),
    sourceReport,
    targetReport,
    isValkey: isValkey(String(sourceServer)),
    targetHidesKeys: hidesKeys(parseInfo(String(targetServer))),
    waitsForReplicas: waitsForReplicas(String(targetServer), targetReport.records),
  };
}

function isValkey(server: string): boolean {
  return /^valkey_version:/m.test(server);
}

function waitsForReplicas(server: string, records: readonly NodeRecord[]): boolean {
  return isValkey(server) && records.some(({ role }) => role === 'replica');
}

function requireIdentity(expected: NodeRef, { myself }: NodeReport): void {
  if (myself.id === expected.id) return;
  throw nodeError(
    'NODES_DISAGREE',
    expected.address,
    `Node ${expected.address} is ${myself.id}, not ${expected.id}`,
    {
      hint: 'The cluster has changed since the plan was made: plan again',
    },
  );
}

function requireKnown({ records }: NodeReport, node: NodeRef, by: NodeRef): NodeRecord {
  const record = records.find(({ id }) => id === node.id);
  if (record) return record;
  throw nodeError(
    'NOT_SAME_CLUSTER',
    by.address,
    `Two nodes are not in the same cluster: ${by.address} does not know ${node.address}`,
  );
}

/** Slots that either end had open when the link was made: another run has begun with them. */
export function openAtEitherEnd({ sourceReport, targetReport }: Link): ReadonlySet<number> {
  return new Set(
    [...sourceReport.myself.openSlots, ...targetReport.myself.openSlots].map(({ slot }) => slot),
  );
}

/** Ends the connections that were opened for this move alone. */
export async function closeLanes({ context, sourceAddress, targetAddress }: Link): Promise<void> {
  const ends = [sourceAddress, targetAddress];
  await Promise.all(ends.map((address) => context.connections.closeLanes(address)));
}

/** Asks the source. Error replies are values. */
export function askSource(link: Link, commands: readonly Command[]): Promise<Reply[]> {
  return link.context.connections.askAll(link.sourceAddress, commands);
}

/** Asks the target. Error replies are values. */
export function askTarget(link: Link, commands: readonly Command[]): Promise<Reply[]> {
  return link.context.connections.askAll(link.targetAddress, commands);
}

/** Asks the source in one of its databases. Error replies are values. */
export function askSourceIn(
  { context, sourceAddress }: Link,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return askDatabase(context.connections, sourceAddress, db, commands);
}

/**
 * Sends one command for each key to an end of an open slot, `words`, the key and `more`; replies in order, errors as values.
 * A node answers for a slot it is importing only to a client that says ASKING first; to others that changes nothing.
 */
export async function askAbout(
  { context, sourceAddress, targetAddress }: Link,
  end: 'source' | 'target',
  db: number,
  words: readonly string[],
  keys: readonly string[],
  more: readonly string[] = [],
): Promise<Reply[]> {
  const commands = keys.flatMap((key): Command[] => [['ASKING'], [...words, key, ...more]]);
  const address = end === 'source' ? sourceAddress : targetAddress;
  const replies = await askDatabase(context.connections, address, db, commands);
  return keys.map((_, index) => replies[2 * index + 1] as Reply);
}

/** How many keys the source holds in each of these slots, by database; databases without any key but 0 are left out. */
export async function countByDatabase(link: Link, slots: readonly number[]): Promise<Map<number, number[]>> {
  const commands = slots.map((slot): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot]);
  // There is hardly ever another database, so 0 is asked about with the question which there are.
  const [keyspace, ...inFirst] = await askSource(link, [['INFO', 'keyspace'], ...commands]);
  const counts = new Map([[0, inFirst.map(countOf)]]);
  for (const { db } of databases(parseInfo(String(keyspace)))) {
    if (db !== 0) counts.set(db, (await askSourceIn(link, db, commands)).map(countOf));
  }
  return counts;
}

/** How many keys the source holds in each of these slots, in all of its databases: more than 0 only on Valkey with `cluster-databases`. */
export async function countAllKeys(link: Link, slots: readonly number[]): Promise<number[]> {
  const counts = [...(await countByDatabase(link, slots)).values()];
  return slots.map((_, index) => counts.reduce((sum, ofOne) => sum + (ofOne[index] ?? 0), 0));
}

/** Reads the reply of COUNTKEYSINSLOT. */
export function countOf(reply: Reply | undefined): number {
  if (typeof reply === 'number') return reply;
  throw reply instanceof Error ? reply : new ClusterError('MIGRATE_FAILED', 'COUNTKEYSINSLOT gave no number');
}

/** First error among replies, with the slot it is about, unless `tolerate` says that it means success. */
export function firstRefusal(
  slots: readonly number[],
  replies: readonly Reply[],
  tolerate: (error: ReplyError, slot: number) => boolean = () => false,
): { slot: number; error: ReplyError } | undefined {
  let first: { slot: number; error: ReplyError } | undefined;
  for (const [index, reply] of replies.entries()) {
    const slot = slots[index] ?? -1;
    if (reply instanceof ReplyError && !tolerate(reply, slot)) first ??= { slot, error: reply };
  }
  return first;
}
