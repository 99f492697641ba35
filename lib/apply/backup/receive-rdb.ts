import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { badReply, messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { SyncPayload } from '../../model/sync-payload.ts';
import type { Connections } from '../connections.ts';

/** How a snapshot is received. */
export interface Receiving {
  /** `Redis 8.6.0`, `Valkey 9.1.0`: what the master is. */
  readonly server: string;
  /** Milliseconds without a byte after which the master is given up. */
  readonly idleTimeout: number;
  readonly signal: AbortSignal;
  /** Takes the next bytes; `total` is undefined where the master does not tell. Nothing more is read until it is done. */
  readonly take: (bytes: Uint8Array, total: number | undefined) => Promise<void>;
}

const PAUSE_MS = 200;

/**
 * Fetches the snapshot of a master as a replica does, with SYNC, without becoming one: the connection ends with the last byte.
 * A master that is loading is waited for. Rejects with ReplyError where it refuses, ConnectionError where the connection breaks or
 * is silent for too long, ClusterError `BAD_REPLY` for what is no snapshot, and the signal's reason.
 */
export async function receiveRdb(
  connections: Connections,
  address: Address,
  receiving: Receiving,
): Promise<void> {
  const deadline = performance.now() + receiving.idleTimeout;
  for (;;) {
    receiving.signal.throwIfAborted();
    try {
      await sync(connections, address, receiving);
      return;
    } catch (error) {
      const isLoading = error instanceof ReplyError && error.code === 'LOADING';
      if (!isLoading || performance.now() >= deadline) throw error;
    }
    await sleep(PAUSE_MS, undefined, { signal: receiving.signal });
  }
}

async function sync(
  connections: Connections,
  address: Address,
  { server, idleTimeout, signal, take }: Receiving,
): Promise<void> {
  const name = formatAddress(address);
  const connection = await connections.fresh(address);
  try {
    // Older servers do not know the second, and send the commands that follow too: they go unread. Valkey writes for a replica whose
    // version it is not told in an old form, and fails where a hash has fields that expire: redis-cli gets no snapshot then.
    const [, version] = /^Valkey (\S+)$/.exec(server) ?? [];
    const replies = await connection.pipeline(
      [
        ['REPLCONF', 'capa', 'eof'],
        ['REPLCONF', 'rdb-only', 1],
        ...(version === undefined ? [] : [['REPLCONF', 'version', version]]),
      ],
      { signal },
    );
    const refused = replies.find((reply) => reply instanceof ReplyError && reply.code !== 'ERR');
    if (refused) throw refused;
  } catch (error) {
    connection.destroy();
    throw error;
  }
  const socket = connection.detach();
  socket.on('error', () => undefined);
  const stop = (): void => void socket.destroy(new Error('aborted'));
  signal.addEventListener('abort', stop, { once: true });
  const giveUp = (): void =>
    void socket.destroy(
      new ConnectionError(`no byte within ${idleTimeout} ms`, { code: 'TIMEOUT', address: name, sent: true }),
    );
  let timer = setTimeout(giveUp, idleTimeout);
  const payload = new SyncPayload();
  try {
    socket.write('*1\r\n$4\r\nSYNC\r\n');
    for await (const chunk of socket) {
      // Time that the disk takes is not the master's.
      clearTimeout(timer);
      for (const piece of read(payload, chunk, name)) await take(piece, payload.bytes);
      signal.throwIfAborted();
      if (payload.refusal !== undefined) throw refusal(payload.refusal, name);
      if (payload.isWhole) return;
      timer = setTimeout(giveUp, idleTimeout);
    }
    throw new ConnectionError('the peer closed the connection', {
      code: 'CLOSED',
      address: name,
      sent: true,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw isBroken(error) ? brokenOff(error, name) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    socket.destroy();
  }
}

function read(payload: SyncPayload, chunk: Uint8Array, name: string): Uint8Array[] {
  try {
    return payload.push(chunk);
  } catch (error) {
    throw badReply(`${name} answers SYNC with ${messageOf(error)}`, name);
  }
}

function refusal(text: string, name: string): ReplyError {
  return Object.assign(new ReplyError(text), { command: 'SYNC', address: name });
}

// What the socket says, which names no node.
function isBroken(error: unknown): error is Error & { readonly code: string } {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && (error as { syscall?: unknown }).syscall === 'read';
}

function brokenOff(cause: Error & { readonly code: string }, name: string): ConnectionError {
  return new ConnectionError(cause.message, { code: cause.code, address: name, sent: true, cause });
}
