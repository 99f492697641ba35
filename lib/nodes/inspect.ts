import type { Replication } from '../findings/stopped-replicas.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { ConnectedReplica, NodeDetails, ReplicaLink, SharedId } from '../model/details.ts';
import { MIN_REPLICAS } from '../model/refused-writes.ts';
import type { ClusterView } from '../model/view.ts';
import type { Connections } from './connections.ts';
import { isBarred } from './election-bar.ts';
import { look } from './look.ts';
import {
  goodReplicasIn,
  type InfoSection,
  loadingProgress,
  type NodeInfo,
  NodeInfos,
  numberOf,
  totalKeys,
} from './node-info.ts';
import { pairsIn } from './pairs.ts';
import { inParallel } from './parallel.ts';
import { serverName } from './server.ts';
import { askElsewhere, type Elsewhere, sharedIds } from './twins.ts';

const TEN_YEARS = 10 * 365 * 24 * 3600;

/** What the nodes of a view report about themselves. */
export interface Inspection {
  /** By node id: an error if the node refuses. Nodes that did not answer before are not asked. */
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
  readonly sharedIds: readonly SharedId[];
  /** Addresses in handshake with a member at which a node answers that no member knows yet. */
  readonly introduced: ReadonlySet<string>;
}

/** The sections of INFO that `inspect` needs. */
export const INSPECTED: readonly InfoSection[] = [
  'server',
  'replication',
  'memory',
  'keyspace',
  'persistence',
];

/**
 * Asks every node that answered for more about itself, unless `infos` has already. Also asks every other address that is listed
 * for its id who answers there: `hasYoungLinks` helps to tell which (see twins.ts).
 */
export async function inspect(
  connections: Connections,
  view: ClusterView,
  infos: NodeInfos,
  hasYoungLinks: Promise<boolean>,
): Promise<Inspection> {
  const [details, elsewhere] = await Promise.all([
    detailsIn(view, infos),
    askElsewhere(connections, view, { asked: hasYoungLinks }),
  ]);
  const runIds = new Map(
    [...details].flatMap(([id, one]) => (one instanceof Error ? [] : [[id, one.runId] as const])),
  );
  return { details, sharedIds: sharedIds(view, runIds, elsewhere), introduced: introduced(view, elsewhere) };
}

/** Looks at a cluster, and asks each node that answers for its replication in the same write. */
export async function lookWithReplication(
  connections: Connections,
  seed: Address,
  signal?: AbortSignal,
): Promise<Replication> {
  const infos = new NodeInfos(connections, ['server', 'replication', 'persistence']);
  const view = await look(connections, seed, signal, (address) => infos.of(address));
  signal?.throwIfAborted();
  const details = await detailsIn(view, infos);
  // INFO says whether a node must have replicas, and how many it has, but not how many it must have.
  const demanding = [...view.reports.values()].filter(({ myself }) => {
    const own = details.get(myself.id);
    return own !== undefined && !(own instanceof Error) && own.goodReplicas !== undefined;
  });
  const settings = await inParallel(demanding, async ({ myself, address }) => {
    const replies = await connections.askAll(address, [['CONFIG', 'GET', MIN_REPLICAS]]).catch(() => []);
    return [myself.id, pairsIn(replies) ?? new Map()] as const;
  });
  return { view, details, settings: new Map(settings) };
}

async function detailsIn(view: ClusterView, infos: NodeInfos): Promise<Map<string, NodeDetails | Error>> {
  const details = await inParallel(
    [...view.reports.values()],
    async ({ myself, address }): Promise<[string, NodeDetails | Error]> => {
      try {
        return [myself.id, detailsOf(await infos.of(address))];
      } catch (error) {
        return [myself.id, error as Error];
      }
    },
  );
  return new Map(details);
}

function introduced(view: ClusterView, elsewhere: readonly Elsewhere[]): Set<string> {
  const known = new Set(view.nodes.map(({ id }) => id));
  const inHandshake = new Set(
    [...view.reports.values()].flatMap((report) =>
      (report.inHandshake ?? []).map(({ address }) => formatAddress(address)),
    ),
  );
  const met = elsewhere.filter(({ id, address }) => !known.has(id) && inHandshake.has(address));
  return new Set(met.map(({ address }) => address));
}

/** Reads the fields of INFO that checks need. */
export function detailsOf(info: NodeInfo): NodeDetails {
  const link = linkOf(info);
  const loading = loadingProgress(info);
  const zone = info.get('availability_zone');
  const goodReplicas = goodReplicasIn(info);
  return {
    runId: info.get('run_id') ?? '',
    version: serverName(info),
    ...(zone ? { zone } : {}),
    offset: numberOf(info, link ? 'slave_repl_offset' : 'master_repl_offset'),
    ...(link ? { link } : {}),
    ...(info.has('master_replid') ? { replicationId: info.get('master_replid') ?? '' } : {}),
    replicas: replicasIn(info),
    ...(goodReplicas === undefined ? {} : { goodReplicas }),
    memory: {
      used: numberOf(info, 'used_memory'),
      counted: Math.max(0, numberOf(info, 'used_memory') - numberOf(info, 'mem_not_counted_for_evict')),
      max: numberOf(info, 'maxmemory'),
      policy: info.get('maxmemory_policy') ?? 'noeviction',
    },
    keys: totalKeys(info),
    isSaveFailing:
      info.get('rdb_last_bgsave_status') === 'err' ||
      info.get('aof_last_write_status') === 'err' ||
      info.get('aof_last_bgrewrite_status') === 'err',
    ...diskErrorIn(info),
    ...(loading ? { loading } : {}),
  };
}

function diskErrorIn(info: NodeInfo): Pick<NodeDetails, 'diskError'> {
  if (info.get('aof_last_write_status') === 'err') return { diskError: 'append' };
  return info.get('rdb_last_bgsave_status') === 'err' ? { diskError: 'snapshot' } : {};
}

/** The link of a replica to its master; undefined for a master. */
export function linkOf(info: NodeInfo): ReplicaLink | undefined {
  const status = info.get('master_link_status');
  if (info.get('role') !== 'slave' || status === undefined) return undefined;
  const isCopying = numberOf(info, 'master_sync_in_progress') === 1;
  const downSeconds = numberOf(info, 'master_link_down_since_seconds');
  // For a link that was never up, Redis 7.0 and newer report -1; older ones count from 1970 (genRedisInfoString,
  // repl_down_since).
  const [host = '', port] = [info.get('master_host'), numberOf(info, 'master_port')];
  const wasUp = downSeconds >= 0 && downSeconds < TEN_YEARS;
  return {
    status: status === 'up' ? 'up' : isCopying ? 'copying' : 'down',
    ...(wasUp ? { downSeconds } : {}),
    ...(isBarred(info) ? { isBarred: true as const } : {}),
    ...(host === '' || port === 0 ? {} : { asks: { host, port } }),
  };
}

// slave0:ip=127.0.0.1,port=7003,state=online,offset=14,lag=0,type=replica
// They are numbered without a gap (genRedisInfoString).
/** The replicas that a master lists. */
export function replicasIn(info: NodeInfo): ConnectedReplica[] {
  const replicas: ConnectedReplica[] = [];
  for (let value = info.get('slave0'); value !== undefined; value = info.get(`slave${replicas.length}`)) {
    const parts = new Map(value.split(',').map((part) => part.split('=', 2) as [string, string]));
    const [port, offset, lag] = ['port', 'offset', 'lag'].map((name) => Number(parts.get(name) ?? 0));
    replicas.push({
      host: parts.get('ip') ?? '',
      port: port ?? 0,
      offset: offset ?? 0,
      lagSeconds: lag ?? 0,
      isOnline: (parts.get('state') ?? 'online') === 'online',
    });
  }
  return replicas;
}
