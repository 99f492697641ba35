import type { Command, Reply } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { Connections } from './connections.ts';

/** The fields of some sections of INFO, as they stand there. */
export type NodeInfo = ReadonlyMap<string, string>;

export type InfoSection = 'memory' | 'keyspace' | 'server' | 'replication' | 'persistence';

/** Asks a node for sections of INFO, one by one: before 7.0 it takes no more at a time. */
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

/** Sections of INFO of many nodes, each asked for once, when it is first wanted. */
export class NodeInfos {
  readonly #connections: Connections;
  readonly #sections: readonly InfoSection[];
  readonly #asked = new Map<string, Promise<NodeInfo>>();

  constructor(connections: Connections, sections: readonly InfoSection[]) {
    this.#connections = connections;
    this.#sections = sections;
  }

  /** Rejects where the node does not tell. */
  of(address: Address): Promise<NodeInfo> {
    const name = formatAddress(address);
    const asked = this.#asked.get(name) ?? askInfo(this.#connections, address, this.#sections);
    this.#asked.set(name, asked);
    // It may be asked for ahead of whoever minds the answer.
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

/** `Redis 8.6.0`, `Valkey 9.1.0`, by the server section. */
export function serverVersion(info: NodeInfo): string {
  const valkey = info.get('valkey_version');
  return valkey === undefined ? `Redis ${info.get('redis_version') ?? '?'}` : `Valkey ${valkey}`;
}

/** True of a server that tells of no key in slots which it neither owns nor imports, by the server section: Redis 8.4 and newer. */
export function hidesKeys(info: NodeInfo): boolean {
  const [major = 0, minor = 0] = (info.get('redis_version') ?? '').split('.').map(Number);
  return !info.has('valkey_version') && 100 * major + minor >= 804;
}

/** A number among the fields; 0 where there is none. */
export function numberOf(info: NodeInfo, field: string): number {
  return Number(info.get(field) ?? 0) || 0;
}

/**
 * Bytes that a node's data takes. Servers reckon what is none and take that off, and may come out below nothing, which
 * shows as a number near 2^64: then it is all that was taken since the server started.
 */
export function dataBytes(info: NodeInfo): number {
  const used = numberOf(info, 'used_memory');
  const dataset = numberOf(info, 'used_memory_dataset');
  return dataset > 0 && dataset <= used ? dataset : Math.max(0, used - numberOf(info, 'used_memory_startup'));
}

/** How many keys each database holds; those without any are left out. */
export function databases(info: NodeInfo): { readonly db: number; readonly keys: number }[] {
  const found: { readonly db: number; readonly keys: number }[] = [];
  for (const [field, value] of info) {
    const db = /^db(\d+)$/.exec(field)?.[1];
    const keys = /^keys=(\d+)/.exec(value)?.[1];
    if (db !== undefined && keys !== undefined) found.push({ db: Number(db), keys: Number(keys) });
  }
  return found;
}

/** How many databases a cluster has: one, but for Valkey with `cluster-databases`; undefined where the node does not tell. */
export async function askClusterDatabases(
  connections: Connections,
  address: Address,
): Promise<number | undefined> {
  const [reply] = await connections.askAll(address, [['CONFIG', 'GET', 'cluster-databases']]);
  return Array.isArray(reply) ? Number(reply[1] ?? 1) || 1 : undefined;
}

/** Commands that run in one database, on a connection that is used for others too: all go out in one write. */
export function inDatabase(db: number, commands: readonly Command[]): Command[] {
  return db === 0 ? [...commands] : [['SELECT', db], ...commands, ['SELECT', 0]];
}

/** The replies to what `inDatabase` made of commands. Throws the error where the database cannot be selected. */
export function fromDatabase(db: number, replies: readonly Reply[]): Reply[] {
  if (db === 0) return [...replies];
  const [selected, ...rest] = replies;
  if (selected instanceof Error) throw selected;
  return rest.slice(0, -1);
}

/**
 * Asks about one database, and leaves the connection with database 0 selected. CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT tell of
 * the selected database alone. Error replies are values.
 */
export async function askDatabase(
  connections: Connections,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return fromDatabase(db, await connections.askAll(address, inDatabase(db, commands)));
}
