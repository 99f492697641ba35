import type { Command } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { Connections } from '../nodes/connections.ts';
import { pairsIn } from '../nodes/pairs.ts';

/** Where MIGRATE has to connect to. */
export interface MigrateRoute {
  readonly address: Address;
  /** True if the source lists the target there, and it can be asked from here as other nodes are. */
  readonly isListed: boolean;
  /** Why no address can work, and the settings of the target that decide it. */
  readonly refusal?: { readonly reason: string; readonly settings: readonly string[] };
}

/** Settings of a node by name. Empty if it does not tell. */
export type NodeSettings = ReadonlyMap<string, string>;

/** What decides how nodes reach one another: before 7.0 a server takes one pattern at a time. */
const PATTERNS = ['cluster-announce-*', '*port', 'tls-cluster'];

/** The settings of a node that decide how others reach it, and the address at which it was reached now. */
export async function askRouteSettings(connections: Connections, address: Address): Promise<NodeSettings> {
  const questions: Command[] = [
    ...PATTERNS.map((pattern): Command => ['CONFIG', 'GET', pattern]),
    // Redis 6.2 and newer.
    ['CLIENT', 'INFO'],
  ];
  const replies = await connections.askAll(address, questions);
  const settings = new Map(
    replies.slice(0, PATTERNS.length).flatMap((reply) => [...(pairsIn([reply]) ?? [])]),
  );
  const local = / laddr=(\S+):\d+ /.exec(` ${String(replies.at(-1))} `)?.[1];
  if (local !== undefined) settings.set('laddr', local.replace(/^\[(.*)\]$/, '$1'));
  return settings;
}

/** What is known when the address is chosen. */
export interface RouteEvidence {
  /** The target as the source lists it to us. */
  readonly listed: Address;
  /** The target as we reach it. */
  readonly reached: Address;
  /** True if we reach nodes by TLS. */
  readonly isTls: boolean;
  readonly source: NodeSettings;
  readonly target: NodeSettings;
}

/**
 * Chooses the address that MIGRATE connects to. It is the one that the source lists, but for two cases in which what it lists to
 * us is not what it uses itself: MIGRATE speaks TLS if `tls-cluster` says so (connTypeOfCluster), while CLUSTER NODES lists the
 * port for the kind of connection on which it is asked (clusterGenNodeDescription); and Valkey lists to clients what is set for
 * clients only (cluster-announce-client-ipv4). Rule 33 (docs/moving-slots.md).
 */
export function migrateRoute({ listed, reached, isTls, source, target }: RouteEvidence): MigrateRoute {
  const own = hostForNodes(listed, target);
  const host = own ?? (listed.host || reached.host);
  const cluster = source.get('tls-cluster');
  const speaksTls = cluster === undefined ? isTls : cluster === 'yes';
  const wanted = portOf(target, speaksTls);
  const isOtherKind = speaksTls !== isTls && wanted !== undefined;
  const isForClients = own !== undefined || hasClientPort(target);
  const port = (isOtherKind || isForClients ? wanted : undefined) ?? listed.port;
  const address = { host, port };
  if (port === 0) {
    const setting = speaksTls ? 'tls-port' : 'port';
    const reason = `tls-cluster is ${speaksTls ? 'on' : 'off'} on the source, so MIGRATE speaks ${speaksTls ? 'TLS' : 'plain TCP'}, and the target has ${setting} 0`;
    return { address, isListed: false, refusal: { reason, settings: [setting] } };
  }
  return { address, isListed: !isOtherKind && own === undefined && !hasClientPort(target) };
}

/** The host that nodes use, if the listed one is for clients only. */
function hostForNodes({ host }: Address, target: NodeSettings): string | undefined {
  const forClients = ['cluster-announce-client-ipv4', 'cluster-announce-client-ipv6'];
  if (host === '' || !forClients.some((name) => target.get(name) === host)) return undefined;
  return target.get('cluster-announce-ip') || target.get('laddr');
}

/** The port that nodes use; undefined if the target does not tell. */
function portOf(target: NodeSettings, isTls: boolean): number | undefined {
  const names = isTls ? ['cluster-announce-tls-port', 'tls-port'] : ['cluster-announce-port', 'port'];
  const known = names.flatMap((name) => target.get(name) ?? []);
  if (known.length === 0) return undefined;
  return Number(known.find((port) => Number(port) > 0) ?? 0);
}

function hasClientPort(target: NodeSettings): boolean {
  const names = ['cluster-announce-client-port', 'cluster-announce-client-tls-port'];
  return names.some((name) => Number(target.get(name) ?? 0) > 0);
}

/** Settings of the target that explain why the source is led to another address than the one at which we reach it. */
export function settingsBetween(listed: Address, reached: Address): string[] {
  const settings: string[] = [];
  if (listed.port !== reached.port) settings.push('cluster-announce-port');
  if (listed.host !== reached.host) settings.push('cluster-announce-ip');
  return settings.length === 0 ? ['cluster-announce-ip', 'cluster-announce-port'] : settings;
}

/** True if both are the same text. */
export function isSameAddress(one: Address, other: Address): boolean {
  return formatAddress(one) === formatAddress(other);
}
