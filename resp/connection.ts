import type { Socket } from 'node:net';
import { Deadline } from './deadline.ts';
import { Decoder } from './decode.ts';
import { type Encoded, encodeCommand, type PreparedCommands } from './encode.ts';
import { ConnectionError, ProtocolError, ReplyError } from './errors.ts';
import { RequestQueue } from './queue.ts';
import {
  brokenError,
  type CommandOptions,
  locateReplyError,
  type OnCommands,
  onAbort,
  type Request,
  reject,
  settle,
} from './request.ts';
import type { Command, Encoding, Limits, Reply } from './types.ts';

/** Commands are encoded and written in batches of about this many bytes. */
const WRITE_SIZE = 64 * 1024;

export interface ConnectionOptions extends Limits {
  /** Name of the peer in errors: `host:port`, or the path of a socket. */
  address: string;
  /** How string arguments are written and string replies read. @default 'utf8' */
  encoding?: Encoding | undefined;
  /** Milliseconds the node may take for one command; 0 for no limit. @default 10000 */
  commandTimeout?: number | undefined;
  /**
   * Called synchronously with the commands that are to be sent, also with AUTH: they hold secrets. Must be fast and must not throw.
   * @default none
   */
  onCommands?: OnCommands | undefined;
}

/**
 * Sends commands and receives replies over a socket. Commands issued in one tick leave in one write. Replies are matched
 * to commands by order alone, so anything that puts the order in doubt destroys the connection. Nothing is sent twice.
 */
export class Connection {
  /** `host:port`, `[::1]:7000` or the path of a socket. */
  readonly address: string;
  /** Resolves once the socket is closed: to the error that broke the connection, or to undefined after `close()`. */
  readonly whenClosed: Promise<Error | undefined>;

  readonly #socket: Socket;
  readonly #unlisten: () => void;
  readonly #decoder: Decoder;
  readonly #encoding: Encoding;
  readonly #commandTimeout: number;
  readonly #onCommands: ConnectionOptions['onCommands'];
  readonly #queue = new RequestQueue();

  #flushScheduled = false;
  #closing = false;
  #failure: Error | undefined;

  // Times the head of the queue from the moment it became the head.
  readonly #deadline: Deadline;
  // True if a reply arrived since the deadline was started.
  #answered = false;

  /** Takes ownership of a socket, which may still be connecting. */
  constructor(
    socket: Socket,
    { address, encoding = 'utf8', commandTimeout = 10_000, onCommands, ...limits }: ConnectionOptions,
  ) {
    this.address = address;
    this.#socket = socket;
    this.#encoding = encoding;
    this.#commandTimeout = commandTimeout;
    this.#onCommands = onCommands;
    this.#decoder = new Decoder({ ...limits, encoding, onReply: (reply) => this.#onReply(reply) });
    this.#deadline = new Deadline(
      () => socket.bytesRead,
      (timeout) => this.#fail(this.#timedOut(timeout)),
    );
    const listeners = {
      data: (chunk: Uint8Array): void => this.#onData(chunk),
      drain: (): void => this.#flush(),
      error: (error: Error): void => this.#onBreak(error),
      end: (): void => this.#onBreak(this.#closedByPeer()),
    };
    for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
    this.#unlisten = () => {
      for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
    };
    this.whenClosed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#onBreak(this.#closedByPeer());
        resolve(this.#failure);
      });
    });
  }

  /** True if it accepts no more commands: it was closed, destroyed or detached, or it broke. */
  get closed(): boolean {
    return this.#closing || this.#failure !== undefined;
  }

  /**
   * Sends a command and resolves to its reply. Rejects with a ReplyError if the node answers with an error, a
   * ConnectionError or ProtocolError if the connection breaks first, the signal's reason if aborted, and a TypeError if the
   * command cannot be encoded. Byte arrays must not change until the promise settles.
   */
  command(command: Command, options?: CommandOptions): Promise<Reply> {
    return new Promise((resolve, reject) =>
      this.#push([command], undefined, undefined, options, resolve, reject),
    );
  }

  /**
   * Sends many commands at once and resolves to all their replies, in order; error replies are values among them. Rejects
   * as `command()` does, except for error replies. A command that cannot be encoded ends the pipeline after the commands
   * before it, which may have been sent. Prepared commands must be in the encoding of the connection; they are written
   * immediately, not at the end of the tick.
   */
  pipeline(commands: readonly Command[] | PreparedCommands, options?: CommandOptions): Promise<Reply[]> {
    const prepared = 'bytes' in commands ? commands : { commands, bytes: undefined };
    if (prepared.commands.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const resolveAll = resolve as (replies: Reply) => void;
      this.#push(prepared.commands, prepared.bytes, [], options, resolveAll, reject);
    });
  }

  /** Accepts no more commands, waits for the replies that callers still wait for, then closes the socket. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#queue.isIdle) this.#socket.destroySoon();
    await this.whenClosed;
  }

  /** Closes the socket immediately. Commands in flight reject, with `error` as their cause if given. */
  destroy(error?: Error): void {
    this.#closing = true;
    this.#fail(error ?? new Error('the connection was destroyed'));
  }

  /**
   * Returns the socket, paused, for a protocol other than commands and replies, such as replication. The connection accepts
   * no more commands. Throws an Error if it is closed or a reply is due.
   */
  detach(): Socket {
    if (this.closed) throw this.#failure ?? new Error('Cannot detach the socket: the connection is closed');
    if (this.#queue.head !== undefined) throw new Error('Cannot detach the socket: a reply is due');
    this.#socket.pause();
    this.#unlisten();
    this.#deadline.stop();
    this.#closing = true;
    return this.#socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #push(
    commands: readonly Command[],
    bytes: Uint8Array | undefined,
    replies: Reply[] | undefined,
    options: CommandOptions | undefined,
    resolve: (reply: Reply) => void,
    rejectWith: (reason: unknown) => void,
  ): void {
    const request: Request = {
      commands,
      bytes,
      total: commands.length,
      sent: 0,
      received: 0,
      replies,
      as: options?.as ?? 'string',
      timeout: options?.timeout ?? this.#commandTimeout,
      resolve,
      reject: rejectWith,
      settled: false,
      unwatch: undefined,
      onEnded: undefined,
    };
    const signal = options?.signal;
    if (this.closed || signal?.aborted) {
      reject(request, signal?.aborted ? signal.reason : this.#brokenError(request));
      return;
    }
    const onEnded = this.#onCommands?.(commands, this.address);
    if (typeof onEnded === 'function') request.onEnded = onEnded;
    if (signal !== undefined) request.unwatch = onAbort(signal, () => this.#drop(request, signal.reason));
    if (this.#queue.head === undefined) {
      this.#decoder.as = request.as;
      this.#deadline.start(request.timeout);
    }
    this.#queue.push(request);
    if (bytes !== undefined) {
      this.#flush();
      return;
    }
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // The global process: importing node:process makes Node open stdin, stdout and stderr.
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Writes until nothing is unsent or the socket's buffer is full; the 'drain' event continues. */
  #flush(): void {
    while (this.#queue.unsent !== undefined && !this.#socket.writableNeedDrain) this.#writeBatch();
  }

  #writeBatch(): void {
    const queue = this.#queue;
    const pieces: (string | Uint8Array)[] = [];
    let text = '';
    let size = 0;
    for (let request = queue.unsent; request !== undefined && size < WRITE_SIZE; request = queue.unsent) {
      let encoded: Encoded;
      if (request.bytes !== undefined) {
        encoded = [request.bytes];
        request.sent = request.total;
      } else {
        try {
          encoded = encodeCommand(request.commands[request.sent] as Command, this.#encoding);
        } catch (error) {
          this.#drop(request, error);
          continue;
        }
        request.sent++;
      }
      if (typeof encoded === 'string') {
        text += encoded;
        size += encoded.length;
      } else {
        for (const piece of encoded) {
          size += piece.length;
          if (typeof piece === 'string') {
            text += piece;
          } else {
            if (text !== '') pieces.push(text);
            pieces.push(piece);
            text = '';
          }
        }
      }
      if (request.sent === request.total) queue.markSent();
    }
    if (text !== '') pieces.push(text);
    if (pieces.length > 1) this.#socket.cork();
    for (const piece of pieces) {
      if (typeof piece === 'string') this.#socket.write(piece, 'latin1');
      else this.#socket.write(piece);
    }
    if (pieces.length > 1) this.#socket.uncork();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      this.#decoder.write(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
    if (this.#failure !== undefined) return;
    if (this.#decoder.midReply && !isDue(this.#queue.head)) this.#fail(this.#unrequested());
    else if (this.#answered) this.#onProgress();
  }

  #onReply(reply: Reply): void {
    if (this.#failure !== undefined) return;
    const request = this.#queue.head;
    if (!isDue(request)) {
      this.#fail(this.#unrequested(reply));
      return;
    }
    if (reply instanceof ReplyError)
      locateReplyError(reply, request.commands[request.received], this.address);
    this.#answered = true;
    if (request.replies !== undefined) request.replies.push(reply);
    if (++request.received < request.total) return;
    this.#shift();
    settle(request, reply);
  }

  /** Removes the head of the queue. */
  #shift(): void {
    this.#decoder.as = this.#queue.shift()?.as ?? 'string';
  }

  /** After replies arrived or a request was dropped: times the new head of the queue. */
  #onProgress(): void {
    this.#answered = false;
    const { head } = this.#queue;
    if (head !== undefined) {
      this.#deadline.start(head.timeout);
      return;
    }
    this.#deadline.pause();
    if (this.#closing) this.#socket.destroySoon();
  }

  /** Abandons a request. Replies to the part already sent will be discarded; the rest is never sent. */
  #drop(request: Request, reason: unknown): void {
    reject(request, reason);
    request.total = request.sent;
    if (this.#closing && this.#queue.isIdle) this.#socket.destroySoon();
    if (request.received < request.total) {
      if (this.#queue.unsent === request) this.#queue.markSent();
      return;
    }
    if (this.#queue.head !== request) {
      this.#queue.remove(request);
      return;
    }
    this.#shift();
    this.#onProgress();
  }

  /** The socket has closed or failed. After a `close()` with no reply to wait for, that is not an error. */
  #onBreak(error: Error): void {
    this.#fail(this.#closing && this.#queue.isIdle ? undefined : error);
  }

  /** Ends the connection, once: rejects all requests and destroys the socket. */
  #fail(error: Error | undefined): void {
    if (this.#failure !== undefined) return;
    this.#deadline.stop();
    this.#socket.destroy();
    this.#failure = error;
    for (const request of this.#queue.clear()) reject(request, this.#brokenError(request));
  }

  #brokenError(request: Request): Error {
    return brokenError(request, this.#failure ?? new Error('the connection is closed'), this.address);
  }

  #timedOut(timeout: number): Error {
    const message = `no reply within ${timeout} ms`;
    return new ConnectionError(message, { code: 'TIMEOUT', address: this.address, sent: true });
  }

  #closedByPeer(): Error {
    const place = this.#decoder.midReply ? ' in the middle of a reply' : '';
    const message = `the peer closed the connection${place}`;
    return new ConnectionError(message, { code: 'CLOSED', address: this.address });
  }

  #unrequested(reply?: Reply): Error {
    const text = reply instanceof ReplyError ? `: ${reply.message}` : '';
    const message = `The peer sent a reply although no command was waiting for one${text}`;
    return new ProtocolError(message, {
      code: 'RESP_UNREQUESTED',
      offset: this.#decoder.offset,
      address: this.address,
    });
  }
}

function isDue(request: Request | undefined): request is Request {
  return request !== undefined && request.received < request.sent;
}
