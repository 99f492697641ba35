import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import process from 'node:process';
import { forward, type Gate } from './forward.ts';

/** The relays of one bed. They know each other's nodes, to recognise what comes from a node that is cut off. */
export interface RelayNet {
  /** Opens a relay for a client port and its bus port, on 127.0.0.1. */
  open(port: number): Promise<Relay>;
}

export interface Relay {
  /** The loopback address on which the node listens, with the relay's port, and from which it connects to others. */
  readonly upstream: string;
  setPid(pid: number | undefined): void;
  /** From all nodes, or from those with these ports. */
  cutOff(from?: readonly number[]): void;
  reconnect(): void;
  setDelay(delayMs: number): void;
  close(): void;
}

interface Party {
  readonly upstream: string;
  readonly port: number;
  pid: number | undefined;
  isCut: boolean;
  /** Ports of the nodes that it is cut off from. */
  cutFrom: ReadonlySet<number>;
  delayMs: number;
}

export function createRelayNet(): RelayNet {
  const parties = new Map<string, Party>();
  const wakers = new Set<() => void>();
  const wakeAll = () => {
    for (const wake of wakers) wake();
  };

  const accept = (target: Party, port: number, client: Socket) => {
    // Only when it matters: finding it takes milliseconds in which all relays stand still.
    let found: { readonly source: Party | undefined } | undefined;
    const source = (): Party | undefined => {
      found ??= { source: parties.get(client.remoteAddress ?? '') ?? findOwner(parties, client) };
      return found.source;
    };
    const isAnyCut = (): boolean => {
      for (const { isCut, cutFrom } of parties.values()) if (isCut || cutFrom.size > 0) return true;
      return false;
    };
    const isParted = (from: Party): boolean =>
      from.isCut || from.cutFrom.has(target.port) || target.cutFrom.has(from.port);
    const isHeld = (): boolean => {
      if (target.isCut) return true;
      const from = isAnyCut() ? source() : undefined;
      return from !== undefined && isParted(from);
    };
    const gate: Gate = {
      isOpen: () => !isHeld(),
      delayMs: () => (target.delayMs > 0 && source() === undefined ? target.delayMs : 0),
    };
    const upstream = connect({ host: target.upstream, port, noDelay: true });
    client.setNoDelay(true);
    client.unref();
    upstream.unref();
    const wake = [forward(client, upstream, gate), forward(upstream, client, gate)];
    const wakeBoth = () => {
      for (const each of wake) each();
    };
    wakers.add(wakeBoth);
    client.once('close', () => wakers.delete(wakeBoth));
  };

  return {
    async open(port) {
      if (process.platform !== 'linux') throw new Error('Relays need loopback addresses that only Linux has');
      const upstream = `127.1.${port >> 8}.${port & 255}`;
      const party: Party = {
        upstream,
        port,
        pid: undefined,
        isCut: false,
        cutFrom: new Set(),
        delayMs: 0,
      };
      const clients = new Set<Socket>();
      const servers = await Promise.all(
        [port, port + 10_000].map((each) =>
          listen(each, (client) => {
            clients.add(client);
            client.once('close', () => clients.delete(client));
            accept(party, each, client);
          }),
        ),
      );
      parties.set(upstream, party);
      return {
        upstream,
        setPid(pid) {
          party.pid = pid;
        },
        cutOff(from) {
          if (from) party.cutFrom = new Set([...party.cutFrom, ...from]);
          else party.isCut = true;
          wakeAll();
        },
        reconnect() {
          party.isCut = false;
          party.cutFrom = new Set();
          wakeAll();
        },
        setDelay(delayMs) {
          party.delayMs = delayMs;
        },
        close() {
          parties.delete(upstream);
          for (const server of servers) server.close();
          for (const client of clients) client.destroy();
        },
      };
    },
  };
}

function listen(port: number, onClient: (client: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, onClient);
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server.unref()));
  });
}

/**
 * Finds the node whose process has the other end of a connection. MIGRATE does not bind to the node's own
 * address, so its connections look like a client's.
 */
function findOwner(parties: ReadonlyMap<string, Party>, client: Socket): Party | undefined {
  let inode: string | undefined;
  // A list of connections that changes while it is read may lack some: without this, one of a node that is cut off would count as a client's.
  for (let tries = 0; inode === undefined && tries < 5; tries++)
    inode = findInode(client.remotePort ?? 0, client.localPort ?? 0);
  if (inode === undefined) return undefined;
  for (const party of parties.values()) {
    if (party.pid !== undefined && holdsSocket(party.pid, inode)) return party;
  }
  return undefined;
}

function findInode(port: number, peerPort: number): string | undefined {
  const end = (each: number) => `0100007F:${each.toString(16).toUpperCase().padStart(4, '0')}`;
  const ends = ` ${end(port)} ${end(peerPort)} `;
  const line = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .find((each) => each.includes(ends));
  return line?.trim().split(/\s+/)[9];
}

function holdsSocket(pid: number, inode: string): boolean {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).some((fd) => linkOf(`${folder}/${fd}`) === `socket:[${inode}]`);
  } catch {
    // Gone, or in a container and not visible
    return false;
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
