import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Decoder } from '../../resp/index.ts';

/** The bytes that a made-up server sends for a command, or what it does with the socket. */
export type Answer = string | Buffer | ((socket: Socket) => void);

/** A server that answers as no real one would on demand. */
export interface MadeUpServer extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** The commands received, as words. */
  readonly commands: readonly (readonly string[])[];
}

/** Starts a server on 127.0.0.1 that answers each command with what `answer` returns for its words. */
export async function startMadeUp(
  answer: (words: readonly string[], port: number) => Answer,
): Promise<MadeUpServer> {
  const sockets = new Set<Socket>();
  const commands: string[][] = [];
  let port = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    const decoder = new Decoder({
      encoding: 'latin1',
      onReply: (command) => {
        const words = (command as readonly string[]).map(String);
        commands.push(words);
        const reply = answer(words, port);
        if (typeof reply === 'function') reply(socket);
        else socket.write(reply);
      },
    });
    socket.on('data', (chunk) => decoder.write(chunk));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as { port: number }).port;
  return {
    port,
    address: `127.0.0.1:${port}`,
    commands,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A bulk string on the wire. */
export function bulk(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text as string, 'latin1');
  return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);
}
