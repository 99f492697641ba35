import { formatAddress } from '../model/address.ts';
import type { ConnectedReplica, NodeDetails, ReplicaLink, SharedId } from '../model/details.ts';
import { isInHandshake } from '../model/node.ts';
import type { ClusterView } from '../model/view.ts';
import type { Connections } from './connections.ts';
import {
  askInfo,
  databases,
  type InfoSection,
  type NodeInfo,
  type NodeInfos,
  numberOf,
  serverVersion,
} from './node-info.ts';
import { inParallel } from './parallel.ts';

const TEN_YEARS = 10 * 365 * 24 * 3600;

/** What the nodes of a view say of themselves. */
export interface Inspection {
  /** By node id: an error where the node does not tell. Nodes that did not answer before are not asked. */
  readonly details: ReadonlyMap<string, NodeDetails | Error>;
  readonly sharedIds: readonly SharedId[];
}

/** The sections of INFO that tell what `inspect` wants to know. */
export const INSPECTED: readonly InfoSection[] = [
  'server',
  'replication',
  'memory',
  'keyspace',
  'persistence',
];

/**
 * Asks every node that answered for more about itself, unless `infos` has asked already, and every other address that its id is
 * listed at who answers there.
 */
export async function inspect(
  connections: Connections,
  view: ClusterView,
  infos: NodeInfos,
): Promise<Inspection> {
  const [details, elsewhere] = await Promise.all([
    inParallel(
      [...view.reports.values()],
      async ({ myself, address }): Promise<[string, NodeDetails | Error]> => {
        try {
          return [myself.id, detailsOf(await infos.of(address))];
        } catch (error) {
          return [myself.id, error as Error];
        }
      },
    ),
    askElsewhere(connections, view),
  ]);
  const byId = new Map(details);
  return { details: byId, sharedIds: sharedIds(view, byId, elsewhere) };
}

interface Elsewhere {
  readonly id: string;
  readonly runId: string;
  readonly address: string;
}

// Servers that were started with a copy of one nodes.conf answer with one id. The others hold now the one, now the other
// address for that node's, and a node that is to meet the second one stays in handshake with it.
async function askElsewhere(connections: Connections, view: ClusterView): Promise<Elsewhere[]> {
  const asked = new Set(view.nodes.map(({ address }) => formatAddress(address)));
  const others = new Map<string, { host: string; port: number }>();
  const seen = new Set<object>();
  for (const { records, inHandshake = [] } of view.reports.values()) {
    for (const record of records.concat(inHandshake)) {
      if (seen.has(record)) continue;
      seen.add(record);
      const { address, flags } = record;
      if (address.host === '' || address.port === 0 || flags.includes('noaddr')) continue;
      if (view.unreachable.has(record.id) && !isInHandshake(record)) continue;
      const name = formatAddress(address);
      if (!asked.has(name)) others.set(name, address);
    }
  }
  const found = await inParallel([...others.values()], async (address): Promise<Elsewhere[]> => {
    try {
      const [id, info] = await Promise.all([
        connections.ask(address, ['CLUSTER', 'MYID'], { early: true }).then(String),
        askInfo(connections, address, ['server']),
      ]);
      return [{ id, runId: info.get('run_id') ?? '', address: formatAddress(address) }];
    } catch {
      // A second address at which nobody answers is one more name of a node that does.
      return [];
    }
  });
  return found.flat();
}

function sharedIds(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  elsewhere: readonly Elsewhere[],
): SharedId[] {
  const shared = new Map<string, Map<string, string>>();
  for (const { id, runId, address } of elsewhere) {
    const own = details.get(id);
    const report = view.reports.get(id);
    if (!report || own === undefined || own instanceof Error || runId === own.runId) continue;
    const servers = shared.get(id) ?? new Map([[own.runId, formatAddress(report.address)]]);
    servers.set(runId, address);
    shared.set(id, servers);
  }
  return [...shared].map(([id, servers]) => ({ id, addresses: [...servers.values()].sort() }));
}

/** Reads the fields of INFO that checks rest on. */
export function detailsOf(info: NodeInfo): NodeDetails {
  const link = linkOf(info);
  return {
    runId: info.get('run_id') ?? '',
    version: serverVersion(info),
    offset: numberOf(info, link ? 'slave_repl_offset' : 'master_repl_offset'),
    ...(link ? { link } : {}),
    replicas: replicasOf(info),
    memory: {
      used: numberOf(info, 'used_memory'),
      counted: Math.max(0, numberOf(info, 'used_memory') - numberOf(info, 'mem_not_counted_for_evict')),
      max: numberOf(info, 'maxmemory'),
      policy: info.get('maxmemory_policy') ?? 'noeviction',
    },
    keys: databases(info).reduce((sum, { keys }) => sum + keys, 0),
    isSaveFailing:
      info.get('rdb_last_bgsave_status') === 'err' ||
      info.get('aof_last_write_status') === 'err' ||
      info.get('aof_last_bgrewrite_status') === 'err',
  };
}

function linkOf(info: NodeInfo): ReplicaLink | undefined {
  const status = info.get('master_link_status');
  if (info.get('role') !== 'slave' || status === undefined) return undefined;
  const isCopying = numberOf(info, 'master_sync_in_progress') === 1;
  const downSeconds = numberOf(info, 'master_link_down_since_seconds');
  // Of a link that never was up Redis 7.0 and newer say -1, older ones count from 1970 (genRedisInfoString, repl_down_since).
  const wasUp = downSeconds >= 0 && downSeconds < TEN_YEARS;
  return {
    status: status === 'up' ? 'up' : isCopying ? 'copying' : 'down',
    ...(wasUp ? { downSeconds } : {}),
  };
}

// slave0:ip=127.0.0.1,port=7003,state=online,offset=14,lag=0,type=replica
// They are numbered without a gap (genRedisInfoString).
function replicasOf(info: NodeInfo): ConnectedReplica[] {
  const replicas: ConnectedReplica[] = [];
  for (let value = info.get('slave0'); value !== undefined; value = info.get(`slave${replicas.length}`)) {
    const parts = new Map(value.split(',').map((part) => part.split('=', 2) as [string, string]));
    const [port, offset, lag] = ['port', 'offset', 'lag'].map((name) => Number(parts.get(name) ?? 0));
    replicas.push({
      host: parts.get('ip') ?? '',
      port: port ?? 0,
      offset: offset ?? 0,
      lagSeconds: lag ?? 0,
    });
  }
  return replicas;
}
