import { invalidArgument } from './cluster-error.ts';
/** Address at which a node serves clients. `busPort` is set only if a node reported it. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly busPort?: number;
}

/** An address as callers may write it: `'host:port'`, `'[v6]:port'`, or an object. */
export type AddressLike = string | Address;

/** The cluster bus port is the client port plus this, unless configured otherwise. */
const BUS_PORT_OFFSET = 10000;

/**
 * Parses `host:port`, `[v6]:port` or `host:port@busport`. A bare IPv6 address is split at its last colon, as in redis-cli.
 * Throws ClusterError `INVALID_ARGUMENT` for anything else.
 */
export function parseAddress(text: AddressLike): Address {
  if (typeof text !== 'string') {
    if (typeof text?.host === 'string' && text.host !== '' && isPort(text.port)) return text;
    throw invalidArgument('Not an address: expected "host:port" or { host, port }');
  }
  const match = /^(?:\[([^\]]+)\]|([^@,\s[\]]+)):(\d{1,5})(?:@(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const busPort = match?.[4] === undefined ? undefined : Number(match[4]);
  // Without brackets, only an IPv6 address has colons: two addresses in one word do, too.
  const isGlued = match?.[2]?.includes(':') && !isIPv6(match[2]);
  if (host === undefined || isGlued || !isPort(port) || (busPort !== undefined && !isPort(busPort))) {
    throw invalidArgument(`Not an address: "${text}" (expected host:port)`);
  }
  return busPort === undefined ? { host, port } : { host, port, busPort };
}

function isIPv6(host: string): boolean {
  const [address = ''] = host.split('%', 1);
  const groups = address.split(':');
  const areGroups = groups.every(
    (group, index) =>
      /^[\da-f]{0,4}$/i.test(group) || (index === groups.length - 1 && /^\d+(\.\d+){3}$/.test(group)),
  );
  return areGroups && groups.length <= 9 && (address.includes('::') || groups.length >= 7);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65535;
}

/**
 * True of text that can be the host part of an address: an IP address or a host name. A port glued to it is taken for part of it:
 * servers announce what `cluster-announce-ip` says, whatever that is.
 */
export function isHost(text: string): boolean {
  return /^[\w.-]+$/.test(text) || (/^[0-9a-f:.]+(%\w+)?$/i.test(text) && text.split(':').length > 2);
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True if host and port are equal as text. Two names of one machine are different addresses. */
export function sameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

/**
 * How to reach nodes that announce addresses of another network, as behind NAT or in containers. Maps an announced
 * `host:port` or host to the `host:port` or host to connect to; a host alone keeps the announced port. Or a function that
 * does so.
 */
export type AddressMap = Readonly<Record<string, string>> | ((announced: Address) => AddressLike);

// A bare IPv6 address has colons but no port.
const HAS_PORT = /^(\[.*\]|[^:]+):\d+$/;

/** The address at which a node that announces this one is reached. Throws ClusterError `INVALID_ARGUMENT` for an entry that is not an address. */
export function mapAddress(map: AddressMap | undefined, announced: Address): Address {
  if (map === undefined) return announced;
  if (typeof map === 'function') return parseAddress(map(announced));
  const { host, port } = announced;
  const to = map[formatAddress(announced)] ?? map[host];
  if (to === undefined) return announced;
  return HAS_PORT.test(to) ? parseAddress(to) : { host: to.replace(/^\[(.*)\]$/, '$1'), port };
}

/** The announced address that the map turns into this one, or the address itself if there is none. */
export function unmapAddress(map: AddressMap | undefined, reached: Address): Address {
  if (map === undefined || typeof map === 'function') return reached;
  const wanted = formatAddress(reached);
  const [from] = Object.entries(map).find(([, to]) => to === wanted) ?? [];
  return from === undefined || !HAS_PORT.test(from) ? reached : parseAddress(from);
}

/** Orders addresses: by host as text, then by port as a number. */
export function compareAddresses(a: Address, b: Address): number {
  return a.host === b.host ? a.port - b.port : a.host < b.host ? -1 : 1;
}

/** True if the cluster bus port is the default, which servers assume if none is given. */
export function hasDefaultBusPort({ port, busPort }: Address): boolean {
  return busPort === undefined || busPort === port + BUS_PORT_OFFSET;
}
