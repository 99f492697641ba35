import type { Socket } from 'node:net';
import { Deadline } from './deadline.ts';
import { Decoder } from './decode.ts';
import { encodeCommand } from './encode.ts';
import { ConnectionError, ProtocolError, ReplyError } from './errors.ts';
import {
  brokenError,
  type CommandOptions,
  locateReplyError,
  onAbort,
  type Request,
  reject,
  settle,
} from './request.ts';
import type { Command, Encoding, Limits, Reply } from './types.ts';

/** Commands are encoded and handed to the socket in pieces of about this many bytes. */
const WRITE_SIZE = 64 * 1024;

export interface ConnectionOptions extends Limits {
  /** Name of the peer in errors: `host:port` or a path. */
  address: string;
  /** How string arguments are written and string replies read. @default 'utf8' */
  encoding?: Encoding | undefined;
  /** Milliseconds the node may take over one command; 0 for no limit. @default 10000 */
  commandTimeout?: number | undefined;
}

/**
 * Commands out, replies in, over a socket. Commands issued in one tick leave in one write; replies are matched
 * to them by order alone, so whatever puts that order in doubt ends the connection. Nothing is ever sent twice.
 */
export class Connection {
  /** `host:port`, `[::1]:7000` or the path of a socket. */
  readonly address: string;
  /** Fulfilled once the socket is closed: with what broke the connection, or undefined after `close()`. */
  readonly whenClosed: Promise<Error | undefined>;

  readonly #socket: Socket;
  readonly #unlisten: () => void;
  readonly #decoder: Decoder;
  readonly #encoding: Encoding;
  readonly #commandTimeout: number;

  // Requests in order. Those before #head are answered and gone; those from #unsent on are not wholly written.
  #queue: (Request | undefined)[] = [];
  #head = 0;
  #unsent = 0;

  #flushScheduled = false;
  #closing = false;
  #failure: Error | undefined;

  // How long the head of the queue may wait, counted from when it became that; and whether it has to be counted anew.
  readonly #deadline: Deadline;
  #answered = false;

  /** Takes over a socket, which may still be connecting. */
  constructor(
    socket: Socket,
    { address, encoding = 'utf8', commandTimeout = 10_000, ...limits }: ConnectionOptions,
  ) {
    this.address = address;
    this.#socket = socket;
    this.#encoding = encoding;
    this.#commandTimeout = commandTimeout;
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

  /** Whether it takes no more commands: it was closed, destroyed, or broke. */
  get closed(): boolean {
    return this.#closing || this.#failure !== undefined;
  }

  /**
   * Sends a command and resolves to its reply. Rejects with a ReplyError when the node answers with an error,
   * a ConnectionError or ProtocolError when the connection does not last until then, the signal's reason when
   * aborted, and a TypeError when the command cannot be encoded. Byte arrays must not change until then.
   */
  command(command: Command, options?: CommandOptions): Promise<Reply> {
    return new Promise((resolve, reject) => this.#push([command], undefined, options, resolve, reject));
  }

  /**
   * Sends many commands at once and resolves to all their replies, in order, with errors of the node as values
   * among them. Rejects only as `command()` does without a reply; a command that cannot be encoded stops the
   * pipeline there, with those before it sent.
   */
  pipeline(commands: readonly Command[], options?: CommandOptions): Promise<Reply[]> {
    if (commands.length === 0) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      this.#push(commands, [], options, resolve as (replies: Reply) => void, reject);
    });
  }

  /** Takes no more commands, waits for the replies that somebody waits for, then closes the socket. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#isIdle) this.#socket.destroySoon();
    await this.whenClosed;
  }

  /** Closes the socket at once; commands in flight reject, with `error` as their cause if given. */
  destroy(error?: Error): void {
    this.#closing = true;
    this.#fail(error ?? new Error('the connection was destroyed'));
  }

  /**
   * Gives the socket away, paused, for what follows another protocol than commands and replies, such as replication. The connection
   * takes no more commands. Throws an Error where it is closed or a reply is due.
   */
  detach(): Socket {
    if (this.closed) throw this.#failure ?? new Error('Cannot detach the socket: the connection is closed');
    if (this.#head < this.#queue.length) throw new Error('Cannot detach the socket: a reply is due');
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
    replies: Reply[] | undefined,
    options: CommandOptions | undefined,
    resolve: (reply: Reply) => void,
    rejectWith: (reason: unknown) => void,
  ): void {
    const request: Request = {
      commands,
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
    };
    const signal = options?.signal;
    if (this.closed || signal?.aborted) {
      reject(request, signal?.aborted ? signal.reason : this.#brokenError(request));
      return;
    }
    if (signal !== undefined) request.unwatch = onAbort(signal, () => this.#drop(request, signal.reason));
    if (this.#head === this.#queue.length) {
      this.#decoder.as = request.as;
      this.#deadline.start(request.timeout);
    }
    this.#queue.push(request);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // The global process: to import node:process makes Node open stdin, stdout and stderr for what it exports.
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** Writes until nothing waits or the socket has enough; the rest follows when it has drained. */
  #flush(): void {
    while (this.#unsent < this.#queue.length && !this.#socket.writableNeedDrain) this.#writeSome();
  }

  #writeSome(): void {
    const pieces: Uint8Array[] = [];
    const texts: string[] = [];
    let text = '';
    let size = 0;
    while (this.#unsent < this.#queue.length && size < WRITE_SIZE) {
      const request = this.#queue[this.#unsent] as Request;
      try {
        const encoded = encodeCommand(request.commands[request.sent] as Command, this.#encoding);
        if (typeof encoded === 'string') {
          text += encoded;
          size += encoded.length;
        } else {
          for (const piece of encoded) {
            size += piece.length;
            if (typeof piece === 'string') {
              text += piece;
            } else {
              texts.push(text);
              pieces.push(piece);
              text = '';
            }
          }
        }
      } catch (error) {
        this.#drop(request, error);
        continue;
      }
      if (++request.sent === request.total) this.#unsent++;
    }
    if (pieces.length > 0) this.#socket.cork();
    for (const [index, piece] of pieces.entries()) {
      this.#socket.write(texts[index] as string, 'latin1');
      this.#socket.write(piece);
    }
    if (text !== '') this.#socket.write(text, 'latin1');
    if (pieces.length > 0) this.#socket.uncork();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      this.#decoder.write(chunk);
    } catch (error) {
      this.#fail(error as Error);
    }
    if (this.#failure !== undefined) return;
    if (this.#decoder.midReply && !isDue(this.#queue[this.#head])) this.#fail(this.#unrequested());
    else if (this.#answered) this.#onProgress();
  }

  #onReply(reply: Reply): void {
    if (this.#failure !== undefined) return;
    const request = this.#queue[this.#head];
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

  /** Takes the head off the queue. */
  #shift(): void {
    this.#queue[this.#head++] = undefined;
    if (this.#unsent < this.#head) this.#unsent = this.#head;
    this.#decoder.as = this.#queue[this.#head]?.as ?? 'string';
  }

  /** After replies came in, or a request was given up: tidies the queue and times its new head. */
  #onProgress(): void {
    this.#answered = false;
    const head = this.#queue[this.#head];
    if (head === undefined) {
      this.#queue = [];
      this.#head = 0;
      this.#unsent = 0;
      this.#deadline.pause();
      if (this.#closing) this.#socket.destroySoon();
      return;
    }
    this.#deadline.start(head.timeout);
    if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#unsent -= this.#head;
      this.#head = 0;
    }
  }

  /** Gives a request up: what is sent of it will be answered, and that is dropped; the rest is never sent. */
  #drop(request: Request, reason: unknown): void {
    reject(request, reason);
    request.total = request.sent;
    if (this.#closing && this.#isIdle) this.#socket.destroySoon();
    if (request.received < request.total) {
      if (this.#queue[this.#unsent] === request) this.#unsent++;
      return;
    }
    const index = this.#queue.indexOf(request, this.#head);
    if (index > this.#head) {
      this.#queue.splice(index, 1);
      return;
    }
    this.#shift();
    this.#onProgress();
  }

  /** Nobody waits for a reply, though some may be due to those that have given up. */
  get #isIdle(): boolean {
    return this.#queue.every((request) => request === undefined || request.settled);
  }

  /** What the socket says after a `close()` that waits for nothing more is no failure. */
  #onBreak(error: Error): void {
    this.#fail(this.#closing && this.#isIdle ? undefined : error);
  }

  /** Ends the connection, once: rejects all that waits, and lets go of the socket. */
  #fail(error: Error | undefined): void {
    if (this.#failure !== undefined) return;
    this.#deadline.stop();
    this.#socket.destroy();
    this.#failure = error;
    const waiting = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    this.#unsent = 0;
    for (const request of waiting) {
      if (request !== undefined) reject(request, this.#brokenError(request));
    }
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
    const message = `The peer sent a reply that nobody asked for${text}`;
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
