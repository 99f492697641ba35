/** Where a node answers clients. `busPort` is known only where a node has told it. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly busPort?: number;
}

/** An address as callers may write it: `'host:port'`, `'[v6]:port'`, or its parts. */
export type AddressLike = string | Address;

/** The cluster bus listens this far above the client port unless configured otherwise. */
const BUS_PORT_OFFSET = 10000;

/**
 * Reads `host:port`, `[v6]:port`, or `host:port@busport`.
 * A bare IPv6 address is cut at its last colon, as redis-cli does.
 * Throws a TypeError for anything else.
 */
export function parseAddress(text: AddressLike): Address {
  if (typeof text !== 'string') {
    if (typeof text?.host === 'string' && text.host !== '' && isPort(text.port)) return text;
    throw new TypeError('Not an address: expected "host:port" or { host, port }');
  }
  const match = /^(?:\[([^\]]+)\]|([^@,\s[\]]+)):(\d{1,5})(?:@(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  const busPort = match?.[4] === undefined ? undefined : Number(match[4]);
  if (host === undefined || !isPort(port) || (busPort !== undefined && !isPort(busPort))) {
    throw new TypeError(`Not an address: "${text}" (expected host:port)`);
  }
  return busPort === undefined ? { host, port } : { host, port, busPort };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port <= 65535;
}

/** `host:port`, with brackets around an IPv6 host. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The same host and port, as text: two names of one machine are not told apart here. */
export function sameAddress(a: Address, b: Address): boolean {
  return a.host === b.host && a.port === b.port;
}

/**
 * Where nodes are reached that announce addresses which mean nothing here, as behind NAT or in containers: by `host:port` or by
 * host alone, as announced, to `host:port` or, with the port kept, host. Or a function that says so.
 */
export type AddressMap = Readonly<Record<string, string>> | ((announced: Address) => AddressLike);

// A bare IPv6 address has colons, but no port.
const HAS_PORT = /^(\[.*\]|[^:]+):\d+$/;

/** The address at which a node that announces this one is reached. Throws a TypeError for an entry that is no address. */
export function mapAddress(map: AddressMap | undefined, announced: Address): Address {
  if (map === undefined) return announced;
  if (typeof map === 'function') return parseAddress(map(announced));
  const { host, port } = announced;
  const to = map[formatAddress(announced)] ?? map[host];
  if (to === undefined) return announced;
  return HAS_PORT.test(to) ? parseAddress(to) : { host: to.replace(/^\[(.*)\]$/, '$1'), port };
}

/** The announced address that an entry of the map leads from to this one, or the address itself. */
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

/** True if the cluster bus port is the one servers assume when they are not told. */
export function hasDefaultBusPort({ port, busPort }: Address): boolean {
  return busPort === undefined || busPort === port + BUS_PORT_OFFSET;
}
