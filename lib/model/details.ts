import { type Address, sameAddress } from './address.ts';
import type { LoadingProgress } from './view.ts';

/** What a node reports about itself in INFO. */
export interface NodeDetails {
  /** Changes with every start of the server: distinguishes two servers with the same node id. */
  readonly runId: string;
  /** `Redis 8.6.0`, `Valkey 9.1.0`. */
  readonly version: string;
  /** Its `availability-zone`, if it has one (Valkey 8.1). */
  readonly zone?: string;
  /** Bytes of the replication stream that a master has written or a replica has applied. */
  readonly offset: number;
  /** For a replica: the link to its master. */
  readonly link?: ReplicaLink;
  /** Identifies the replication stream: that of a replica with a link is its master's. */
  readonly replicationId?: string;
  /** For a master: the connected replicas. */
  readonly replicas: readonly ConnectedReplica[];
  /** For a master with `min-replicas-to-write`: how many of them are in sync as that demands. */
  readonly goodReplicas?: number;
  readonly memory: NodeMemory;
  /** Keys in all databases. */
  readonly keys: number;
  /** True if the last save, or rewrite of the append-only file, failed. */
  readonly isSaveFailing: boolean;
  /** What of that may make it refuse writes: its last snapshot failed, or the last write to its append-only file. */
  readonly diskError?: 'snapshot' | 'append';
  /** Only while it reads its data from disk. */
  readonly loading?: LoadingProgress;
}

export interface ReplicaLink {
  readonly status: 'up' | 'copying' | 'down';
  /** Seconds since the link went down. Absent if it has not been up since the node became a replica. */
  readonly downSeconds?: number;
  /** True if a run that was cut short keeps it from taking over until it has copied its master. */
  readonly isBarred?: true;
  /** Where it asks for its master. */
  readonly asks?: Address;
}

export interface ConnectedReplica {
  readonly host: string;
  readonly port: number;
  /** False while it receives its first copy. */
  readonly isOnline?: boolean;
  /** Bytes of the stream that it has acknowledged. */
  readonly offset: number;
  /** Seconds since the last acknowledgement. */
  readonly lagSeconds: number;
}

/** Memory of a node, in bytes. */
export interface NodeMemory {
  readonly used: number;
  /** The part that counts towards maxmemory. */
  readonly counted: number;
  /** 0 for no limit. */
  readonly max: number;
  readonly policy: string;
}

/** A node id that is reported by servers at several addresses. */
export interface SharedId {
  readonly id: string;
  readonly addresses: readonly string[];
}

/** True if two nodes report replication streams that have nothing in common. */
export function hasOtherData(one: NodeDetails | undefined, other: NodeDetails | undefined): boolean {
  const [own, theirs] = [one?.replicationId, other?.replicationId];
  return own !== undefined && theirs !== undefined && own !== theirs;
}

/** True of a replica that reports that its link to its master is up. */
export function isLinked(own: NodeDetails | Error | undefined): boolean {
  return own !== undefined && !(own instanceof Error) && own.link?.status === 'up';
}

/**
 * Bytes of the replication stream that a replica lacks; undefined if either does not report how far it is. The two are not asked at the
 * same moment, so a replica may seem to be ahead: never less than 0.
 */
export function bytesBehind(
  own: NodeDetails | Error | undefined,
  master: NodeDetails | Error | undefined,
): number | undefined {
  if (own === undefined || own instanceof Error || master === undefined || master instanceof Error)
    return undefined;
  return Math.max(0, master.offset - own.offset);
}

/**
 * True of a replica that asks for its master at another address than it is `listed` at: without a link, or with one to a server that
 * has other data. With TLS a replica may ask at another port than the one that is listed, so while it copies, nothing is known.
 */
export function isMisdirected(
  link: ReplicaLink | undefined,
  listed: Address | undefined,
  isOther: boolean,
): boolean {
  if (!link?.asks || !listed || listed.host === '' || sameAddress(link.asks, listed)) return false;
  return link.status === 'down' || (link.status === 'up' && isOther);
}

/**
 * How a master lists the replica at this address. It lists replicas at the addresses that it sees, with the ports that they have themselves:
 * neither need be what the cluster knows.
 */
export function entryOf(
  replicas: readonly ConnectedReplica[],
  address: Address,
): ConnectedReplica | undefined {
  const alike = replicas.filter(({ port }) => port === address.port);
  return replicas.find((entry) => sameAddress(entry, address)) ?? (alike.length === 1 ? alike[0] : undefined);
}

/** A replica reports what it has received every second (replicationCron). */
const MUTE_SECONDS = 3;

/**
 * True of a replica that has never reported what it has received, as its master sees it. It was copied by SYNC, as its user may not run PSYNC,
 * and counts the stream from another number (CLIENT_PRE_PSYNC); or it has lost track of the stream and applies nothing, though its link is up.
 * It never has all that its master has: no graceful failover to it succeeds.
 */
export function isMute(
  ownOffset: number,
  entry: ConnectedReplica | undefined,
  masterOffset: number,
): boolean {
  // It has received nothing since it was copied by SYNC.
  if (ownOffset < 0) return true;
  if (!entry || entry.isOnline === false) return false;
  return entry.offset === 0 && masterOffset > 0 && entry.lagSeconds >= MUTE_SECONDS;
}

/** The same of a replica that answers, at one look. A frozen replica cannot report, nor can one whose link is new have done so. */
export function looksMute(
  address: Address,
  own: NodeDetails | Error | undefined,
  master: NodeDetails | Error | undefined,
): boolean {
  if (!own || own instanceof Error || !master || master instanceof Error || own.link?.status !== 'up')
    return false;
  return isMute(own.offset, entryOf(master.replicas, address), master.offset);
}
