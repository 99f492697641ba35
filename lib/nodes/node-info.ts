import type { Command, Reply } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { LoadingProgress } from '../model/view.ts';
import type { Connections } from './connections.ts';

/** The fields of some sections of INFO, as text. */
export type NodeInfo = ReadonlyMap<string, string>;

export type InfoSection =
  | 'cluster'
  | 'memory'
  | 'keyspace'
  | 'server'
  | 'replication'
  | 'persistence'
  | 'stats'
  | 'commandstats';

/** Asks a node for sections of INFO, one at a time: servers before 7.0 accept only one. */
export async function askInfo(
  connections: Connections,
  address: Address,
  sections: readonly InfoSection[],
): Promise<NodeInfo> {
  const replies = await connections.askAll(
    address,
    sections.map((section) => ['INFO', section]),
    { early: true },
  );
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused) throw refused;
  return parseInfo(replies.map(String).join('\r\n'));
}

/** Sections of INFO of many nodes, each asked for once, when it is first needed. */
export class NodeInfos {
  readonly #connections: Connections;
  readonly #sections: readonly InfoSection[];
  readonly #asked = new Map<string, Promise<NodeInfo>>();

  constructor(connections: Connections, sections: readonly InfoSection[]) {
    this.#connections = connections;
    this.#sections = sections;
  }

  /** Rejects if the node refuses. */
  of(address: Address): Promise<NodeInfo> {
    const name = formatAddress(address);
    const asked = this.#asked.get(name) ?? askInfo(this.#connections, address, this.#sections);
    this.#asked.set(name, asked);
    // It may be asked for before anything awaits the answer.
    asked.catch(() => {});
    return asked;
  }
}

/** Reads the reply of INFO. */
export function parseInfo(text: string): NodeInfo {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

/** How far a server has read its data, while it does. */
export function loadingProgress(info: NodeInfo): LoadingProgress | undefined {
  const percent = Number.parseFloat(info.get('loading_loaded_perc') ?? '');
  if (info.get('loading') !== '1' || !Number.isFinite(percent)) return undefined;
  return { percent: Math.floor(percent), etaSeconds: numberOf(info, 'loading_eta_seconds') };
}

/** True if a replica has copied its master and is connected to it, by its own report. */
export function isLinkUp(info: NodeInfo): boolean {
  return info.get('master_link_status') === 'up';
}

/** How many replicas a master has in sync; undefined for a node without `min-replicas-to-write`, which need not have any. */
export function goodReplicasIn(info: NodeInfo): number | undefined {
  return info.has('min_slaves_good_slaves') ? numberOf(info, 'min_slaves_good_slaves') : undefined;
}

/** A number among the fields; 0 if it is missing. */
export function numberOf(info: NodeInfo, field: string): number {
  return Number(info.get(field) ?? 0) || 0;
}

/**
 * Bytes that a node's data takes. Servers subtract an estimate of everything else, and the result may be negative, which shows as
 * a number near 2^64. It is then all memory allocated since the server started.
 */
export function dataBytes(info: NodeInfo): number {
  const used = numberOf(info, 'used_memory');
  const dataset = numberOf(info, 'used_memory_dataset');
  return dataset > 0 && dataset <= used ? dataset : Math.max(0, used - numberOf(info, 'used_memory_startup'));
}

/** How many keys each database holds; databases without keys are left out. */
export function databases(info: NodeInfo): { readonly db: number; readonly keys: number }[] {
  const found: { readonly db: number; readonly keys: number }[] = [];
  for (const [field, value] of info) {
    if (!field.startsWith('db')) continue;
    const db = /^db(\d+)$/.exec(field)?.[1];
    const keys = /^keys=(\d+)/.exec(value)?.[1];
    if (db !== undefined && keys !== undefined) found.push({ db: Number(db), keys: Number(keys) });
  }
  return found;
}

/** Keys of these databases that do not expire: unlike others, they are counted until someone deletes them. */
export function persistentKeys(info: NodeInfo, wanted: readonly number[]): number {
  return wanted.reduce((sum, db) => {
    const [, keys, expires] = /^keys=(\d+),expires=(\d+)/.exec(info.get(`db${db}`) ?? '') ?? [];
    return sum + Number(keys ?? 0) - Number(expires ?? 0);
  }, 0);
}

/** Keys of a database that expire. */
export function expiringKeys(info: NodeInfo, db: number): number {
  return Number(/^keys=\d+,expires=(\d+)/.exec(info.get(`db${db}`) ?? '')?.[1] ?? 0);
}

/** Keys in all databases. */
export function totalKeys(info: NodeInfo): number {
  return databases(info).reduce((sum, { keys }) => sum + keys, 0);
}

export const DATABASES_QUESTION: Command = ['CONFIG', 'GET', 'cluster-databases'];

/** Reads the reply to that question. A server that does not know the setting has one. */
export function databasesIn(reply: Reply | undefined): number | undefined {
  return Array.isArray(reply) ? Number(reply[1] ?? 1) || 1 : undefined;
}

/** How many databases a cluster has: one, except on Valkey with `cluster-databases`. Undefined if the node refuses to say. */
export async function askClusterDatabases(
  connections: Connections,
  address: Address,
): Promise<number | undefined> {
  return databasesIn((await connections.askAll(address, [DATABASES_QUESTION]))[0]);
}

/**
 * How many databases a node has. If it refuses to say: one in a cluster, and as many as may be on a standalone server.
 */
export async function askDatabases(
  connections: Connections,
  address: Address,
  isCluster: boolean,
): Promise<number> {
  if (isCluster) return (await askClusterDatabases(connections, address)) ?? 1;
  const [reply] = await connections.askAll(address, [['CONFIG', 'GET', 'databases']]);
  return (Array.isArray(reply) && Number(reply[1])) || Number.POSITIVE_INFINITY;
}

/** Commands that run in one database, on a shared connection: all are sent in one write. */
export function inDatabase(db: number, commands: readonly Command[]): Command[] {
  return db === 0 ? [...commands] : [['SELECT', db], ...commands, ['SELECT', 0]];
}

/** The replies to the commands that `inDatabase` wrapped. Throws the error if the database cannot be selected. */
export function fromDatabase(db: number, replies: readonly Reply[]): Reply[] {
  if (db === 0) return [...replies];
  const [selected, ...rest] = replies;
  if (selected instanceof Error) throw selected;
  return rest.slice(0, -1);
}

/**
 * Asks about one database, and leaves the connection with database 0 selected. CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT cover
 * only the selected database. Error replies are values.
 */
export async function askDatabase(
  connections: Connections,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return fromDatabase(db, await connections.askAll(address, inDatabase(db, commands)));
}

/** Reads the reply to TIME: milliseconds since 1970. */
export function serverTime(reply: Reply | undefined): number | undefined {
  const time = Array.isArray(reply) ? 1000 * Number(reply[0]) + Number(reply[1]) / 1000 : Number.NaN;
  return Number.isFinite(time) ? time : undefined;
}
