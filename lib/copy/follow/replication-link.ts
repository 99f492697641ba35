import type { Socket } from 'node:net';
import { type Connection, ConnectionError, ReplyError } from '../../../resp/index.ts';
import { badReply, messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import type { Connections } from '../../nodes/connections.ts';
import { type NodeInfo, numberOf, parseInfo } from '../../nodes/node-info.ts';
import type { Server } from '../../nodes/server.ts';
import { SyncPayload } from '../../rdb/sync-payload.ts';
import { CommandStream } from './command-stream.ts';
import { type Change, changeOf, databaseIn, type KnownCommands, mayBeKey } from './key-positions.ts';
import { PsyncReply } from './psync-reply.ts';

/**
 * A replica that says nothing is cut off. It does not say how far it is: WAIT would count it among those that have a write, and it keeps
 * none.
 */
const ACK: string = ackOf(0);
const ACK_EVERY_MS = 1000;
/** A master sends something every ten seconds (repl-ping-replica-period). */
const SILENT_MS = 60_000;

/** How far a replication stream was read, by which a master that has what comes after it continues. */
export interface StreamPosition {
  /** Replication id: 40 hex digits. */
  readonly id: string;
  /** Bytes that were read. */
  readonly offset: number;
  /** The database of the next command; undefined if that says so itself. */
  readonly db: number | undefined;
}

export interface LinkOptions {
  readonly server: Server;
  readonly known: KnownCommands;
  /** Positions to continue from; the first that the master can continue is. */
  readonly from: readonly StreamPosition[];
  /** Every key is in database 0: a stream need not be read from where it says which. */
  readonly isOneDatabase: boolean;
  readonly signal: AbortSignal;
  /** Called synchronously with what may have changed in a database. */
  readonly onChange: (change: Change, db: number) => void;
}

/** The replication stream of one master, which it sends to us as to a replica. */
export interface ReplicationLink {
  readonly address: string;
  /** The position that it continued from; undefined if what was before is not known. */
  readonly continued: StreamPosition | undefined;
  /** Where it is now. Undefined once the stream is not what it should be. */
  readonly position: StreamPosition | undefined;
  /** Resolves when it is over, to the reason. */
  readonly whenEnded: Promise<unknown>;
  close(): void;
}

/**
 * Opens the replication stream of a master. Unless it can go on from where it was read before, it is read from now on: without a
 * snapshot if the master keeps a backlog, with an empty one if the server can leave out keys, else with one that goes unread.
 * Rejects with a ReplyError if the master refuses, a ConnectionError if the connection breaks, and ClusterError `BAD_REPLY`.
 */
export async function openLink(
  connections: Connections,
  address: Address,
  options: LinkOptions,
): Promise<ReplicationLink> {
  const { server, from, isOneDatabase, signal } = options;
  const connection = await connections.fresh(address);
  try {
    const [info, ...replies] = await connection.pipeline(
      [
        ['INFO', 'replication'],
        ['REPLCONF', 'capa', 'eof', 'capa', 'psync2'],
        // Before 7.0 servers do not know it.
        ['REPLCONF', 'rdb-filter-only', ''],
        ...(server.family === 'valkey' ? [['REPLCONF', 'version', server.version]] : []),
      ],
      { signal },
    );
    const refused = [info, ...replies].find((reply) => reply instanceof ReplyError && reply.code !== 'ERR');
    if (refused) throw refused;
    const start = chooseStart(parseInfo(String(info)), from, isOneDatabase);
    return await Link.start(connection, formatAddress(address), start, options);
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

interface Start {
  /** What to ask for; undefined for a full resync. */
  readonly at: StreamPosition | undefined;
  readonly isContinued: boolean;
}

/** Chooses where to read from: asking for more than the master has makes it fork. */
export function chooseStart(info: NodeInfo, from: readonly StreamPosition[], isOneDatabase: boolean): Start {
  if (info.get('repl_backlog_active') !== '1') return { at: undefined, isContinued: false };
  const [id = '', former] = [info.get('master_replid'), info.get('master_replid2')];
  const end = numberOf(info, 'master_repl_offset');
  const first = numberOf(info, 'repl_backlog_first_byte_offset');
  const formerEnd = numberOf(info, 'second_repl_offset');
  const known = from.find(
    (one) =>
      (one.id === id || (one.id === former && one.offset + 1 <= formerEnd)) &&
      one.offset + 1 >= first &&
      one.offset <= end,
  );
  if (known) return { at: known, isContinued: true };
  return { at: isOneDatabase ? { id, offset: end, db: 0 } : undefined, isContinued: false };
}

class Link implements ReplicationLink {
  readonly address: string;
  readonly whenEnded: Promise<unknown>;
  readonly #socket: Socket;
  readonly #options: LinkOptions;
  readonly #start: Start;
  readonly #reply = new PsyncReply();
  #snapshot: SyncPayload | undefined;
  #stream: CommandStream | undefined;
  #position: StreamPosition | undefined;
  #isContinued = false;
  #heardAt: number = performance.now();
  #end: (reason: unknown) => void = () => {};
  #begun: () => void = () => {};

  private constructor(socket: Socket, address: string, start: Start, options: LinkOptions) {
    this.#socket = socket;
    this.address = address;
    this.#start = start;
    this.#options = options;
    this.whenEnded = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  static async start(
    connection: Connection,
    address: string,
    start: Start,
    options: LinkOptions,
  ): Promise<Link> {
    const link = new Link(connection.detach(), address, start, options);
    const begun = new Promise<undefined>((resolve) => {
      link.#begun = () => resolve(undefined);
    });
    link.#listen();
    const failed = await Promise.race([begun, link.whenEnded]);
    if (failed !== undefined) throw failed;
    return link;
  }

  get continued(): StreamPosition | undefined {
    return this.#isContinued ? this.#start.at : undefined;
  }

  get position(): StreamPosition | undefined {
    return this.#position;
  }

  close(): void {
    this.#socket.destroy();
  }

  #listen(): void {
    const { signal } = this.#options;
    const socket = this.#socket;
    const stop = (): void => this.#fail(signal.reason);
    const timer = setInterval(() => this.#tick(), ACK_EVERY_MS);
    signal.addEventListener('abort', stop, { once: true });
    socket.on('data', (chunk: Uint8Array) => this.#take(chunk));
    socket.on('error', (error: Error & { code?: string }) =>
      this.#fail(
        new ConnectionError(error.message, {
          code: error.code ?? 'CLOSED',
          address: this.address,
          sent: true,
          cause: error,
        }),
      ),
    );
    socket.on('close', () => {
      clearInterval(timer);
      signal.removeEventListener('abort', stop);
      const text = 'the peer closed the connection';
      this.#end(new ConnectionError(text, { code: 'CLOSED', address: this.address, sent: true }));
    });
    if (signal.aborted) stop();
    const { at } = this.#start;
    const [id, offset] = at ? [at.id, String(at.offset + 1)] : ['?', '-1'];
    socket.write(`*3\r\n$5\r\nPSYNC\r\n$${id.length}\r\n${id}\r\n$${offset.length}\r\n${offset}\r\n`);
    socket.resume();
  }

  #fail(reason: unknown): void {
    this.#end(reason);
    this.#socket.destroy();
  }

  #tick(): void {
    if (this.#stream) this.#socket.write(ACK);
    if (performance.now() - this.#heardAt < SILENT_MS) return;
    const text = `no byte within ${SILENT_MS} ms`;
    this.#fail(new ConnectionError(text, { code: 'TIMEOUT', address: this.address, sent: true }));
  }

  #take(chunk: Uint8Array): void {
    this.#heardAt = performance.now();
    try {
      this.#read(chunk);
    } catch (error) {
      // What comes after it cannot be read either.
      this.#position = undefined;
      this.#fail(
        error instanceof TypeError
          ? badReply(`${this.address} sends no replication stream: ${messageOf(error)}`, this.address)
          : error,
      );
    }
  }

  #read(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#stream) this.#stream.push(chunk);
    else if (this.#snapshot) this.#skip(this.#snapshot, chunk);
    else this.#readAnswer(chunk);
  }

  #readAnswer(chunk: Uint8Array): void {
    const found = this.#reply.push(chunk);
    if (!found) return;
    const { answer, rest } = found;
    if (answer.kind === 'refused') throw this.#refusal(answer.message);
    if (answer.kind === 'full') {
      this.#snapshot = new SyncPayload();
      this.#position = { id: answer.id, offset: answer.offset, db: undefined };
    } else {
      const { at } = this.#start;
      if (!at) throw new TypeError('it continues what was not asked for');
      this.#isContinued = this.#start.isContinued;
      this.#begin({ ...at, id: answer.id ?? at.id });
    }
    this.#read(rest);
  }

  #skip(snapshot: SyncPayload, chunk: Uint8Array): void {
    snapshot.push(chunk);
    if (snapshot.refusal !== undefined) throw this.#refusal(snapshot.refusal);
    if (!snapshot.isWhole || !this.#position) return;
    this.#begin(this.#position);
    // A master that sends a snapshot without a file sends the rest once it hears from us.
    this.#socket.write(ACK);
    this.#read(snapshot.rest);
  }

  #refusal(message: string): ReplyError {
    return Object.assign(new ReplyError(message), { command: 'PSYNC', address: this.address });
  }

  #begin(position: StreamPosition): void {
    this.#position = position;
    const { known } = this.#options;
    this.#stream = new CommandStream(position.offset, {
      isWanted: (before, count) => mayBeKey(before, count, known),
      onCommand: (words, offset) => this.#onCommand(words, offset),
    });
    this.#begun();
  }

  #onCommand(words: readonly string[], offset: number): void {
    if (!this.#position) return;
    const { id } = this.#position;
    let { db } = this.#position;
    const [name = '', second] = words;
    if (name.toLowerCase() === 'select') db = databaseIn(second);
    else {
      const change = changeOf(words, this.#options.known);
      if (change.what !== 'nothing') {
        if (db === undefined) throw new TypeError(`"${name}" before a database is selected`);
        this.#options.onChange(change, db);
      }
    }
    this.#position = { id, offset, db };
    // Valkey refuses SETSLOT unless all its replicas say that they have it (clusterCommandSetSlot).
    if (name.toLowerCase() === 'cluster' && second?.toLowerCase() === 'setslot')
      this.#socket.write(ackOf(offset));
  }
}

function ackOf(offset: number): string {
  const text = String(offset);
  return `*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$${text.length}\r\n${text}\r\n`;
}
