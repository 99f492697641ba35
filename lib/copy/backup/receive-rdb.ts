import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { badReply, messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import type { Connections } from '../../nodes/connections.ts';
import type { Server } from '../../nodes/server.ts';
import { DONE, waitUntil } from '../../nodes/wait-until.ts';
import { SyncPayload } from '../../rdb/sync-payload.ts';

/** How to receive a snapshot. */
export interface Receiving {
  /** What the master is. */
  readonly server: Server;
  /** Milliseconds without data before giving up. */
  readonly idleTimeout: number;
  readonly signal: AbortSignal;
  /** Takes the next bytes. `total` is the size of the snapshot, if announced. Nothing more is read until it resolves. */
  readonly take: (bytes: Uint8Array, total: number | undefined) => Promise<void>;
}

const PAUSE_MS = 200;

/**
 * Fetches the snapshot of a master with SYNC, as a replica does, and closes the connection after the last byte. Waits while
 * the master is loading. Rejects with a ReplyError if the master refuses, a ConnectionError if the connection breaks or is
 * idle too long, ClusterError `BAD_REPLY` if the reply is not a snapshot, or the signal's reason.
 */
export async function receiveRdb(
  connections: Connections,
  address: Address,
  receiving: Receiving,
): Promise<void> {
  const { idleTimeout: timeoutMs, signal } = receiving;
  await waitUntil({ what: 'a master to load its data', timeoutMs, pauseMs: PAUSE_MS, signal }, async () => {
    try {
      await sync(connections, address, receiving);
      return DONE;
    } catch (error) {
      if (!(error instanceof ReplyError && error.code === 'LOADING')) throw error;
      return { missing: [error.message], giveUp: () => error };
    }
  });
}

async function sync(
  connections: Connections,
  address: Address,
  { server, idleTimeout, signal, take }: Receiving,
): Promise<void> {
  const name = formatAddress(address);
  const connection = await connections.fresh(address);
  try {
    // Older servers do not know `rdb-only` and send the replication stream too, which goes unread. Valkey uses an old RDB
    // version for a replica that does not send its own, and fails on hashes with expiring fields, as with redis-cli.
    const replies = await connection.pipeline(
      [
        ['REPLCONF', 'capa', 'eof'],
        ['REPLCONF', 'rdb-only', 1],
        ...(server.family === 'valkey' ? [['REPLCONF', 'version', server.version]] : []),
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
      // The time to write to disk does not count.
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

// An error of the socket, which does not name the node.
function isBroken(error: unknown): error is Error & { readonly code: string } {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && (error as { syscall?: unknown }).syscall === 'read';
}

function brokenOff(cause: Error & { readonly code: string }, name: string): ConnectionError {
  return new ConnectionError(cause.message, { code: cause.code, address: name, sent: true, cause });
}
