import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ServerNode } from '../bed/index.ts';

/** A port that leads to a node. */
export interface Forwarder {
  readonly address: string;
  /** Ends all connections. New ones lead to that node. */
  leadTo(node: ServerNode): void;
  close(): void;
}

/** Opens a forwarder. `before` gets what a client sends, and may do something before it is passed on. */
export async function openForwarder(
  node: ServerNode,
  before?: (text: string) => Promise<void> | undefined,
): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  let end = node;
  const server = createServer((client) => {
    const inside = connect(end.port, end.host);
    let last: Promise<void> = Promise.resolve();
    client.on('data', (data) => {
      last = last.then(async () => {
        await before?.(data.toString('latin1'));
        inside.write(data);
      });
    });
    inside.pipe(client);
    for (const socket of [client, inside]) {
      sockets.add(socket);
      socket.on('error', () => client.destroy());
      socket.on('close', () => [client, inside].map((one) => one.destroy()));
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  server.unref();
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    leadTo(other) {
      if (end === other) return;
      end = other;
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
