import { setMaxListeners } from 'node:events';
import { ConnectionError, ProtocolError, ReplyError } from './errors.ts';
import type { Command, Reply, ReplyForm } from './types.ts';

export interface CommandOptions {
  /** Form of bulk and simple strings in the reply. @default 'string' */
  as?: ReplyForm | undefined;
  /**
   * Milliseconds the node may take for this command, counted from when all earlier ones are answered; 0 for no limit. If
   * data is still arriving by then, it may take as long again. On timeout the connection is destroyed, because a late
   * reply would be taken for the reply to the next command.
   * @default the connection's commandTimeout
   */
  timeout?: number | undefined;
  /** Stops waiting: the reply is discarded when it arrives, and commands not sent yet are never sent. */
  signal?: AbortSignal | undefined;
}

/**
 * Called when a call has ended: with the reason if it is rejected, with the first error among the replies of a pipeline, or with undefined.
 * Must be fast and must not throw.
 */
export type OnEnded = (error: unknown) => void;

/** Called with the commands of a call. What it returns is called when they have been answered, or will not be. */
export type OnCommands =
  | ((commands: readonly Command[], address: string) => void)
  | ((commands: readonly Command[], address: string) => OnEnded | undefined);

/** One call in progress: a command, or the commands of a pipeline. */
export interface Request {
  readonly commands: readonly Command[];
  /** The encoded commands, if prepared in advance. */
  readonly bytes: Uint8Array | undefined;
  /** Commands to send and to wait for: fewer than all if the request was aborted after some were sent. */
  total: number;
  sent: number;
  received: number;
  /** Replies so far; undefined for a single command. */
  readonly replies: Reply[] | undefined;
  readonly as: ReplyForm;
  readonly timeout: number;
  readonly resolve: (value: Reply) => void;
  readonly reject: (reason: unknown) => void;
  /** True once the caller's promise is settled. Replies may still be due. */
  settled: boolean;
  unwatch: (() => void) | undefined;
  onEnded: OnEnded | undefined;
}

/** Settles the caller's promise unless it is settled already, and stops listening to the signal. */
export function settle(request: Request, reply: Reply): void {
  if (request.settled) return;
  request.settled = true;
  request.unwatch?.();
  request.onEnded?.((request.replies ?? [reply]).find((one) => one instanceof ReplyError));
  if (request.replies === undefined && reply instanceof ReplyError) request.reject(reply);
  else request.resolve(request.replies ?? reply);
}

/** Rejects the caller's promise unless it is settled already, and stops listening to the signal. */
export function reject(request: Request, reason: unknown): void {
  if (request.settled) return;
  request.settled = true;
  request.unwatch?.();
  request.onEnded?.(reason);
  request.reject(reason);
}

/** Calls `listener` when the signal aborts. Returns a function that removes it. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  // One signal often serves many commands: suppress Node's warning after the tenth listener.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}

/** Container commands, whose first word does not say what was asked, with their subcommands. */
const SUBCOMMANDS: Readonly<Record<string, string>> = {
  ACL: 'CAT DELUSER DRYRUN GENPASS GETUSER LIST LOAD LOG SAVE SETUSER USERS WHOAMI',
  CLIENT:
    'CACHING CAPA GETNAME GETREDIR ID INFO KILL LIST NO-EVICT NO-TOUCH PAUSE REPLY SETINFO SETNAME TRACKING TRACKINGINFO UNBLOCK UNPAUSE',
  CLUSTER:
    'ADDSLOTS ADDSLOTSRANGE BUMPEPOCH CANCELSLOTMIGRATIONS COUNT-FAILURE-REPORTS COUNTKEYSINSLOT DELSLOTS DELSLOTSRANGE FAILOVER FLUSHSLOTS FORGET GETKEYSINSLOT GETSLOTMIGRATIONS INFO KEYSLOT LINKS MEET MIGRATESLOTS MIGRATION MYID MYSHARDID NODES REPLICAS REPLICATE RESET SAVECONFIG SET-CONFIG-EPOCH SETSLOT SHARDS SLAVES SLOT-STATS SLOTS',
  COMMAND: 'COUNT DOCS GETKEYS GETKEYSANDFLAGS INFO LIST',
  COMMANDLOG: 'GET LEN RESET',
  CONFIG: 'GET RESETSTAT REWRITE SET',
  DEBUG: 'JMAP OBJECT RELOAD SEGFAULT SLEEP',
  FUNCTION: 'DELETE DUMP FLUSH KILL LIST LOAD RESTORE STATS',
  LATENCY: 'DOCTOR GRAPH HISTOGRAM HISTORY LATEST RESET',
  MEMORY: 'DOCTOR MALLOC-STATS PURGE STATS USAGE',
  MODULE: 'LIST LOAD LOADEX UNLOAD',
  OBJECT: 'ENCODING FREQ IDLETIME REFCOUNT',
  PUBSUB: 'CHANNELS NUMPAT NUMSUB SHARDCHANNELS SHARDNUMSUB',
  SCRIPT: 'DEBUG EXISTS FLUSH KILL LOAD SHOW',
  SLOWLOG: 'GET LEN RESET',
  XGROUP: 'CREATE CREATECONSUMER DELCONSUMER DESTROY SETID',
  XINFO: 'CONSUMERS GROUPS STREAM',
};

/**
 * Name of a command: `SET`, `CLUSTER SETSLOT`. Errors show nothing else of it, since arguments may be secret; neither a second word
 * that is not a known subcommand.
 */
export function commandName(command: Command | undefined): string {
  const name = wordOf(command?.[0]);
  const subcommands = SUBCOMMANDS[name.toUpperCase()];
  if (subcommands === undefined) return name;
  const second = wordOf(command?.[1]);
  return subcommands.split(' ').includes(second.toUpperCase()) ? `${name} ${second}` : name;
}

function wordOf(word: Command[number] | undefined): string {
  return typeof word === 'string' ? word : word instanceof Uint8Array ? new TextDecoder().decode(word) : '';
}

/** Adds command and address to an error reply, and removes the arguments that some servers repeat: they may be secret. */
export function locateReplyError(error: ReplyError, command: Command | undefined, address: string): void {
  error.command = commandName(command);
  error.address = address;
  const echo = error.message.indexOf(', with args beginning with:');
  if (echo !== -1) error.message = error.message.slice(0, echo);
}

/** The error for a request that will get no reply because the connection broke. */
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

/** The message of an error, for use at the end of another sentence. */
export function reasonOf({ message }: Error): string {
  return /^[A-Z][a-z ]/.test(message) ? message.charAt(0).toLowerCase() + message.slice(1) : message;
}

/** Node's code of a system or TLS error; `CLOSED` if it has none. */
export function errorCode(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' ? code : 'CLOSED';
}
