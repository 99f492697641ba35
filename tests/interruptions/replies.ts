import { createServer, type Server, type Socket } from 'node:net';
import { type Connection, connect, Decoder, type Reply, ReplyError } from '../../resp/index.ts';
import type { ServerNode } from '../bed/index.ts';
import type { Random } from '../faults/random.ts';

/** Errors that servers give instead of running a command, by their first word. */
export const refusals = {
  NOAUTH: 'NOAUTH Authentication required.',
  NOPERM: 'NOPERM User default has no permissions to run this command or its subcommand',
  MISCONF: 'MISCONF Redis is configured to save RDB snapshots, but is currently not able to persist on disk.',
  LOADING: 'LOADING Redis is loading the dataset in memory',
  CLUSTERDOWN: 'CLUSTERDOWN The cluster is down',
  TRYAGAIN: 'TRYAGAIN Slot is being trimmed',
  MASTERDOWN: "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  OOM: "OOM command not allowed when used memory > 'maxmemory'.",
} as const;

export type Refusal = keyof typeof refusals;

/** Which of the commands that the tool sends are refused. */
export interface Refusing {
  readonly refusal: Refusal;
  /** The first one, counted from the first command, or among those that change something. */
  readonly at: number;
  readonly from: 'start' | 'changes';
  /** True if the node goes on refusing that command, false if it does so once. */
  readonly isAlways: boolean;
}

/** Relays between the tool and nodes, which answer some commands in place of the nodes. */
export interface Relays {
  /** Arguments that make the tool go through them. */
  readonly args: readonly string[];
  /** The command that was refused first, if one was. */
  readonly refused: () => string | undefined;
  close(): void;
}

/** Chooses one of the commands in so many writes, the first ones more often: they differ, while many later ones are alike. */
export function drawCommand(random: Random, writes: number): number {
  return Math.floor((writes * COMMANDS_PER_WRITE + 1) ** random.next());
}

const COMMANDS_PER_WRITE = 20;
const LOOKS = new Set(
  [
    'NODES',
    'INFO',
    'COUNTKEYSINSLOT',
    'GETKEYSINSLOT',
    'MYID',
    'HELP',
    'GETSLOTMIGRATIONS',
    'SLOT-STATS',
  ].map((word) => `CLUSTER ${word}`),
);

function nameOf([word = '', next = '']: readonly string[]): string {
  return ['CLUSTER', 'CONFIG', 'CLIENT', 'FUNCTION'].includes(word) ? `${word} ${next}` : word;
}

function isChange(name: string): boolean {
  if (name.startsWith('CLUSTER ')) return !LOOKS.has(name);
  return ['MIGRATE', 'CONFIG SET', 'CONFIG REWRITE', 'FUNCTION LOAD'].includes(name);
}

export async function openRelays(nodes: readonly ServerNode[], refusing: Refusing): Promise<Relays> {
  let counted = 0;
  let first: { readonly name: string; readonly port: number } | undefined;
  const isRefused = (name: string, port: number): boolean => {
    if (first) return refusing.isAlways && first.name === name && first.port === port;
    if (refusing.from === 'changes' && !isChange(name)) return false;
    if (++counted < refusing.at) return false;
    first = { name, port };
    return true;
  };
  const sockets = new Set<Socket>();
  const servers = await Promise.all(
    nodes.map((node) =>
      listen((socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
        serve(socket, node, refusals[refusing.refusal], (name) => isRefused(name, node.port));
      }),
    ),
  );
  const args = servers.flatMap((server, index) => {
    const { port } = server.address() as { port: number };
    return ['--map', `${nodes[index]?.address}=127.0.0.1:${port}`];
  });
  return {
    args,
    refused: () => first && `${first.name} on ${first.port}`,
    close() {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function listen(onClient: (socket: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(onClient);
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, () => resolve(server.unref()));
  });
}

/** Answers each command of a connection in order, with the reply of the node or in its place. */
function serve(
  socket: Socket,
  node: ServerNode,
  refusal: string,
  isRefused: (name: string) => boolean,
): void {
  const upstream = connect({ host: node.host, port: node.port, encoding: 'latin1', commandTimeout: 0 });
  let last: Promise<unknown> = Promise.resolve();
  let [isQueueing, isSpoilt] = [false, false];
  const answer = (reply: Promise<Reply>): void => {
    const text = reply.catch((error: unknown) => {
      if (error instanceof ReplyError) return error;
      socket.destroy();
      return null;
    });
    last = last.then(async () => socket.destroyed || socket.write(encodeReply(await text), 'latin1'));
  };
  const take = (command: readonly string[], connection: Promise<Connection>): Promise<Reply> => {
    const name = nameOf(command);
    if (isRefused(name)) {
      // As a server does: the rest of the transaction is dropped with it.
      isSpoilt = isQueueing;
      return Promise.resolve(new ReplyError(refusal));
    }
    if (name === 'MULTI') [isQueueing, isSpoilt] = [true, false];
    const sent = name === 'EXEC' && isSpoilt ? ['DISCARD'] : command;
    const reply = connection.then((open) => open.command(sent));
    if (name !== 'EXEC') return reply;
    const wasSpoilt = isSpoilt;
    [isQueueing, isSpoilt] = [false, false];
    if (!wasSpoilt) return reply;
    return reply.then(() => new ReplyError('EXECABORT Transaction discarded because of previous errors.'));
  };
  const decoder = new Decoder({
    encoding: 'latin1',
    onReply: (command) => answer(take(command as string[], upstream)),
  });
  socket.on('data', (data) => decoder.write(data));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => upstream.then((open) => open.destroy()).catch(() => undefined));
  upstream
    .then((open) => open.whenClosed)
    .then(
      () => socket.destroy(),
      () => socket.destroy(),
    );
}

function encodeReply(reply: Reply): string {
  if (reply === null) return '$-1\r\n';
  if (reply instanceof Error) return `-${reply.message}\r\n`;
  if (Array.isArray(reply)) return `*${reply.length}\r\n${reply.map(encodeReply).join('')}`;
  if (typeof reply === 'number' || typeof reply === 'bigint') return `:${reply}\r\n`;
  const text = String(reply);
  return `$${text.length}\r\n${text}\r\n`;
}
