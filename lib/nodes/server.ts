import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { askInfo, type NodeInfo } from './node-info.ts';

/** What a node runs, and what follows from that. Only this file compares versions. */
export interface Server {
  readonly family: 'redis' | 'valkey';
  /** As the server writes it: `8.6.3`; `?` if it does not say. */
  readonly version: string;
  /** `Redis 8.6.3`, `Valkey 9.1.2`. */
  readonly name: string;
  readonly capabilities: Capabilities;
}

/** Each is false for a server that does not say which version it is. */
export interface Capabilities {
  /** Has FUNCTION: Redis 7.0 and newer, every Valkey. */
  readonly hasFunctions: boolean;
  /** Has PEXPIRETIME: Redis 7.0 and newer, every Valkey. */
  readonly hasExpireTime: boolean;
  /** Has CLUSTER MYSHARDID: Redis 7.2 and newer, every Valkey. */
  readonly hasShardIds: boolean;
  /** Says for a minute of an id that it has forgotten it: FORGET succeeds again. Redis 7.2 and newer, every Valkey. */
  readonly tellsForgotten: boolean;
  /** Neither lists nor counts keys of slots that it neither owns nor imports: Redis 8.4 and newer. */
  readonly hidesKeys: boolean;
  /** Answers SETSLOT once its replicas have it, or after waiting two seconds in vain: Valkey 8.0 and newer. */
  readonly waitsForReplicas: boolean;
  /**
   * Takes a slot that it imports as soon as the node that it imports from claims others (clusterUpdateSlotsConfigWith): Valkey 8.0
   * and newer.
   */
  readonly takesImportedSlots: boolean;
  /**
   * Remembers that a former owner of a slot did not claim it once, and gives the slot to any node that does
   * (owner_not_claiming_slot): Redis 7.0.13 to 7.2.3.
   */
  readonly remembersUnclaimed: boolean;
  /**
   * Can fail over while its master is at offset 0: Redis 6.2 and newer, every Valkey. Older ones mistake 0 for an offset that
   * they have not received yet (mf_master_offset).
   */
  readonly failsOverFromZero: boolean;
  /** Has CLIENT PAUSE … WRITE and CLIENT UNPAUSE: Redis 6.2 and newer, every Valkey. */
  readonly pausesWrites: boolean;
  /**
   * Sends a replica that does not ask for more a snapshot of version 11 of the RDB format, whatever it writes to disk and in DUMP:
   * Valkey 9.0 and newer, seen with 9.1.
   */
  readonly writesOldSnapshots: boolean;
}

/** Reads the server section of INFO. */
export function readServer(info: NodeInfo): Server {
  const { family, version } = readVersion(info);
  return serverOf(family, version);
}

/** The same, without what follows from it: `Redis 8.6.3`. */
export function serverName(info: NodeInfo): string {
  const { family, version } = readVersion(info);
  return nameOf(family, version);
}

function readVersion(info: NodeInfo): Pick<Server, 'family'> & { readonly version: string | undefined } {
  const valkey = info.get('valkey_version');
  // A Valkey also names the Redis version that it is compatible with: 7.2.4, whatever its own version is.
  return valkey === undefined
    ? { family: 'redis', version: info.get('redis_version') }
    : { family: 'valkey', version: valkey };
}

function nameOf(family: Server['family'], version = '?'): string {
  return `${family === 'redis' ? 'Redis' : 'Valkey'} ${version}`;
}

/** Reads the name of a server: `Redis 8.6.3`. Undefined for any other text. */
export function readServerName(name: string): Server | undefined {
  const [, family, version] = /^(Redis|Valkey) (\S+)$/.exec(name) ?? [];
  if (family === undefined) return undefined;
  return serverOf(family === 'Valkey' ? 'valkey' : 'redis', version);
}

/** What `8.0`, `8.0.3` or `<8.2` says of a version. Undefined for any other text. */
export function versionTest(text: string): ((server: Pick<Server, 'version'>) => boolean) | undefined {
  const wanted = /^(?:<\d+|<?\d+\.\d+(?:\.\d+)?)$/.test(text)
    ? text.replace('<', '').split('.').map(Number)
    : [];
  if (wanted.length === 0) return undefined;
  return ({ version }) => {
    const own = version.split('.').map(Number);
    const at = wanted.findIndex((number, index) => number !== own[index]);
    if (!text.startsWith('<')) return at < 0;
    return at >= 0 && (own[at] ?? Number.NaN) < (wanted[at] ?? 0);
  };
}

/** Asks a node which server it is. */
export async function askServer(connections: Connections, address: Address): Promise<Server> {
  return readServer(await askInfo(connections, address, ['server']));
}

/** True if the server has this version of its family or a newer one. */
export function isAtLeast(
  { version }: Pick<Server, 'version'>,
  ...wanted: readonly [major: number, minor?: number, patch?: number]
): boolean {
  const own = version.split('.').map(Number);
  const at = wanted.findIndex((number, index) => number !== (own[index] ?? 0));
  return at < 0 || (own[at] ?? 0) > (wanted[at] ?? 0);
}

/**
 * True if a server may be unable to follow another: that is of a newer minor version, or of the other family. Besides a snapshot
 * (`acceptsRdb()`), a master sends commands that older servers do not have.
 */
export function mayNotFollow(replica: Server, master: Server): boolean {
  if (replica.version === '?' || master.version === '?') return false;
  const [major = 0, minor = 0] = master.version.split('.').map(Number);
  return replica.family !== master.family || !isAtLeast(replica, major, minor);
}

function serverOf(family: Server['family'], version = '?'): Server {
  const isRedis = (...wanted: readonly [major: number, minor: number, patch?: number]): boolean =>
    family === 'redis' && isAtLeast({ version }, ...wanted);
  const isValkey = (major: number): boolean => family === 'valkey' && isAtLeast({ version }, major);
  return {
    family,
    version,
    name: nameOf(family, version),
    capabilities: {
      hasFunctions: isRedis(7, 0) || isValkey(7),
      hasExpireTime: isRedis(7, 0) || isValkey(7),
      hasShardIds: isRedis(7, 2) || isValkey(7),
      tellsForgotten: isRedis(7, 2) || isValkey(7),
      hidesKeys: isRedis(8, 4),
      waitsForReplicas: isValkey(8),
      takesImportedSlots: isValkey(8),
      remembersUnclaimed: isRedis(7, 0, 13) && !isRedis(7, 2, 4),
      failsOverFromZero: isRedis(6, 2) || isValkey(7),
      pausesWrites: isRedis(6, 2) || isValkey(7),
      writesOldSnapshots: isValkey(9),
    },
  };
}
