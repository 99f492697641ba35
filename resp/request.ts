import { setMaxListeners } from 'node:events';
import { ConnectionError, ProtocolError, ReplyError } from './errors.ts';
import type { Command, Reply, ReplyForm } from './types.ts';

export interface CommandOptions {
  /** Whether bulk and simple strings come back as strings or as Buffers. @default 'string' */
  as?: ReplyForm | undefined;
  /**
   * Milliseconds the node may take over this command, from when all before it are answered; 0 for no limit.
   * When they pass the connection is destroyed, for a reply that comes late would be taken for the next one's.
   * @default the connection's commandTimeout
   */
  timeout?: number | undefined;
  /** Stops waiting for the reply, which is dropped when it comes; what is not sent by then never is. */
  signal?: AbortSignal | undefined;
}

/** What one call is waiting for: a command, or the commands of a pipeline. */
export interface Request {
  readonly commands: readonly Command[];
  /** How many of the commands count; fewer than all once it is aborted half sent. */
  total: number;
  sent: number;
  received: number;
  /** Replies so far, when it is a pipeline. */
  readonly replies: Reply[] | undefined;
  readonly as: ReplyForm;
  readonly timeout: number;
  readonly resolve: (value: Reply) => void;
  readonly reject: (reason: unknown) => void;
  /** Set once the caller has had an answer, while replies may still be due. */
  settled: boolean;
  unwatch: (() => void) | undefined;
}

/** Settles the caller's promise unless that is done, and stops listening to the signal. */
export function settle(request: Request, reply: Reply): void {
  if (request.settled) return;
  request.settled = true;
  request.unwatch?.();
  if (request.replies === undefined && reply instanceof ReplyError) request.reject(reply);
  else request.resolve(request.replies ?? reply);
}

/** Rejects the caller's promise unless it is settled, and stops listening to the signal. */
export function reject(request: Request, reason: unknown): void {
  if (request.settled) return;
  request.settled = true;
  request.unwatch?.();
  request.reject(reason);
}

/** Calls back when the signal aborts; returns how to stop that. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  // One signal for many commands is what signals are for: no warning after the tenth.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/** First word of a command, which is all of it that an error may show. */
export function commandName(command: Command | undefined): string {
  const name = command?.[0];
  return typeof name === 'string' ? name : name instanceof Uint8Array ? new TextDecoder().decode(name) : '';
}

/** Adds what the decoder cannot know, and drops the arguments that some servers repeat: they may be secret. */
export function locateReplyError(error: ReplyError, command: Command | undefined, address: string): void {
  error.command = commandName(command);
  error.address = address;
  const echo = error.message.indexOf(', with args beginning with:');
  if (echo !== -1) error.message = error.message.slice(0, echo);
}

/** The error for a request that will have no reply because the connection broke. */
export function brokenError(request: Request, cause: Error, address: string): Error {
  const command = commandName(request.commands[Math.min(request.received, request.total - 1)]);
  const sent = request.sent > request.received;
  const outcome = sent ? ' (it was sent, so its outcome is unknown)' : ' (it was not sent)';
  const message = `Cannot complete ${command} on ${address}: ${reasonOf(cause)}${outcome}`;
  if (cause instanceof ProtocolError) {
    return new ProtocolError(message, { code: cause.code, offset: cause.offset, address, command, cause });
  }
  return new ConnectionError(message, { code: errorCode(cause), address, command, sent, cause });
}

/** The message of an error as the end of another's sentence. */
export function reasonOf({ message }: Error): string {
  return /^[A-Z][a-z ]/.test(message) ? message.charAt(0).toLowerCase() + message.slice(1) : message;
}

/** Node's code of a system or TLS error; `CLOSED` when it has none. */
export function errorCode(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : 'CLOSED';
}
