import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { type Address, parseAddress } from '../model/address.ts';
import type { NodeRecord } from '../model/node.ts';
import type { NodeReport } from '../model/view.ts';
import { awaitServing } from '../nodes/await-serving.ts';
import { migrateAuth } from '../nodes/connections.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { countKeys } from '../nodes/count-keys.ts';
import { askNode, isNoClusterNode } from '../nodes/look.ts';
import { askDatabase, askInfo, databases } from '../nodes/node-info.ts';
import { notAMaster } from '../nodes/requirements.ts';
import { askServer } from '../nodes/server.ts';
import type { NodeRef } from '../plan/plan.ts';

import { askRouteSettings, type MigrateRoute, migrateRoute } from './migrate-route.ts';

/** The two ends of a move, and what each reports of the other. */
export interface Ends {
  readonly context: Context;
  readonly source: NodeRef;
  readonly target: NodeRef;
  readonly sourceAddress: Address;
  readonly targetAddress: Address;
  /** The target as the source reaches it: where MIGRATE has to connect to. */
  readonly migrateTo: Address;
  /** How that address was chosen. */
  readonly route?: MigrateRoute;
  /** `AUTH password` or `AUTH2 user password`, as MIGRATE takes it. */
  readonly auth: readonly string[];
  readonly sourceReport: NodeReport;
  readonly targetReport: NodeReport;
  /** True if the source is a Valkey. */
  readonly isValkey: boolean;
  /** True of a target that hides keys of slots that it neither owns nor imports. */
  readonly targetHidesKeys: boolean;
  /** The same of the source. */
  readonly sourceHidesKeys: boolean;
  /** True of a target that takes slots on its own while it imports them. */
  readonly targetTakesImports: boolean;
  /** True of a target that remembers that a former owner of a slot did not claim it. */
  readonly targetRemembersUnclaimed: boolean;
  /** True if SETSLOT is answered when a replica has it, or after waiting two seconds in vain. */
  readonly waitsForReplicas: boolean;
}

/** Looks at both ends. Rejects with ClusterError if one is not as the plan expects. */
export async function openEnds(context: Context, source: NodeRef, target: NodeRef): Promise<Ends> {
  const [sourceAddress, targetAddress] = [parseAddress(source.address), parseAddress(target.address)];
  const [sourceReport, targetReport, sourceServer, targetServer, ...settings] = await Promise.all([
    askNode(context.connections, sourceAddress),
    askNode(context.connections, targetAddress),
    askServer(context.connections, sourceAddress),
    askServer(context.connections, targetAddress),
    askRouteSettings(context.connections, sourceAddress),
    askRouteSettings(context.connections, targetAddress),
  ]);
  requireIdentity(source, sourceReport);
  requireIdentity(target, targetReport);
  const seen = requireKnown(sourceReport, target, source);
  requireKnown(targetReport, source, target);
  if (targetReport.myself.role !== 'master') {
    const cannot = `Cannot move slots to ${target.address}`;
    throw notAMaster(target.address, cannot, 'Name its master as the target');
  }
  if (targetReport.info.state !== 'ok') await awaitServing(context, [target]);
  const route = migrateRoute({
    ...{ listed: seen.address, reached: targetAddress, isTls: context.settings.tls !== false },
    ...{ source: settings[0], target: settings[1] },
  });
  return {
    context,
    source,
    target,
    sourceAddress,
    targetAddress,
    migrateTo: route.address,
    route,
    auth: migrateAuth(context.options),
    sourceReport,
    targetReport,
    isValkey: sourceServer.family === 'valkey',
    sourceHidesKeys: sourceServer.capabilities.hidesKeys,
    targetHidesKeys: targetServer.capabilities.hidesKeys,
    targetTakesImports: targetServer.capabilities.takesImportedSlots,
    targetRemembersUnclaimed: targetServer.capabilities.remembersUnclaimed,
    waitsForReplicas:
      targetServer.capabilities.waitsForReplicas &&
      targetReport.records.some(({ role }) => role === 'replica'),
  };
}

function requireIdentity(expected: NodeRef, { myself }: NodeReport): void {
  if (myself.id === expected.id) return;
  throw nodeError(
    'NODES_DISAGREE',
    expected.address,
    `Node ${expected.address} is ${myself.id}, not ${expected.id}`,
    {
      hint: 'The cluster has changed in the meantime',
      next: [{ do: 'retry' }],
      resumable: 'same-call',
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

/** Slots that either end had open when asked: another run has begun to move them. */
export function openAtEitherEnd({ sourceReport, targetReport }: Ends): ReadonlySet<number> {
  return new Set(
    [...sourceReport.myself.openSlots, ...targetReport.myself.openSlots].map(({ slot }) => slot),
  );
}

/** Ends the connections that were opened for this move only. */
export async function closeLanes({ context, sourceAddress, targetAddress }: Ends): Promise<void> {
  const ends = [sourceAddress, targetAddress];
  await Promise.all(ends.map((address) => context.connections.closeLanes(address)));
}

/** A node that takes longer to say its id is not asked anything else. */
const ID_TIMEOUT_MS = 1000;

/** True if both ends answer, even if they do not serve. Another server at the address of one does not count. */
export async function bothAnswer(ends: Ends): Promise<boolean> {
  const { source, target } = await whoAnswers(ends);
  return source === 'itself' && target === 'itself';
}

/** Who answers at the address of a node: it, another server that has taken its place there, or none. */
export type Answerer = 'itself' | 'another' | 'none';

/** Who answers at either end. A node that is stopped in the middle of a move may leave its address to another server. */
export async function whoAnswers(ends: Ends): Promise<Record<'source' | 'target', Answerer>> {
  const { context, source, target, sourceAddress, targetAddress } = ends;
  const [atSource, atTarget] = await Promise.all([
    answererAt(context, source, sourceAddress),
    answererAt(context, target, targetAddress),
  ]);
  return { source: atSource, target: atTarget };
}

async function answererAt({ connections }: Context, { id }: NodeRef, address: Address): Promise<Answerer> {
  const answer = await connections
    .askSoon(address, ['CLUSTER', 'MYID'], ID_TIMEOUT_MS)
    .catch((error: unknown) => error);
  if (typeof answer === 'string') return answer === id ? 'itself' : 'another';
  // A server that refuses to say, such as one that is loading, may be the node.
  if (answer instanceof ReplyError) return isNoClusterNode(answer) ? 'another' : 'itself';
  return 'none';
}

/** Asks the source. Error replies are values. */
export function askSource(ends: Ends, commands: readonly Command[]): Promise<Reply[]> {
  return ends.context.connections.askAll(ends.sourceAddress, commands);
}

/** Asks the target. Error replies are values. */
export function askTarget(ends: Ends, commands: readonly Command[]): Promise<Reply[]> {
  return ends.context.connections.askAll(ends.targetAddress, commands);
}

/** Asks the source in one of its databases. Error replies are values. */
export function askSourceIn(
  { context, sourceAddress }: Ends,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return askDatabase(context.connections, sourceAddress, db, commands);
}

/** Asks the target in one of its databases. Error replies are values. */
export function askTargetIn(
  { context, targetAddress }: Ends,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return askDatabase(context.connections, targetAddress, db, commands);
}

/**
 * Sends one command for each key to an end of an open slot: `words`, the key, `more`. Resolves to the replies in order, errors as
 * values. A node answers for a slot it is importing only after ASKING; on other nodes ASKING changes nothing.
 */
export async function askAbout(
  { context, sourceAddress, targetAddress }: Ends,
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

/** How many keys an end holds in each of these slots, by database. Databases without keys are left out, except 0. */
export async function countByDatabase(
  { context, sourceAddress, targetAddress }: Ends,
  slots: readonly number[],
  end: 'source' | 'target' = 'source',
): Promise<Map<number, number[]>> {
  const address = end === 'source' ? sourceAddress : targetAddress;
  const countIn = async (db: number): Promise<number[]> => {
    const inSlot = await countKeys(context.connections, address, db, slots);
    return slots.map((slot) => inSlot.get(slot) ?? 0);
  };
  // There is hardly ever another database, so this asks about 0 together with which databases there are.
  const [keyspace, inFirst] = await Promise.all([
    askInfo(context.connections, address, ['keyspace']),
    countIn(0),
  ]);
  const counts = new Map([[0, inFirst]]);
  for (const { db } of databases(keyspace)) if (db !== 0) counts.set(db, await countIn(db));
  return counts;
}

/**
 * How many keys the source holds in each of these slots, in all its databases: several only on Valkey with `cluster-databases`.
 */
export async function countAllKeys(ends: Ends, slots: readonly number[]): Promise<number[]> {
  const counts = [...(await countByDatabase(ends, slots)).values()];
  return slots.map((_, index) => counts.reduce((sum, ofOne) => sum + (ofOne[index] ?? 0), 0));
}
