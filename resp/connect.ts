import { Buffer } from 'node:buffer';
import type { NetConnectOpts, Socket } from 'node:net';
import type { checkServerIdentity as CheckServerIdentity, ConnectionOptions as TlsOptions } from 'node:tls';
import { Connection } from './connection.ts';
import { MAX_TIMER } from './deadline.ts';
import { ConnectionError, ProtocolError, ReplyError } from './errors.ts';
import { errorCode, onAbort, reasonOf } from './request.ts';
import type { Command, Encoding, Limits } from './types.ts';

export interface ConnectOptions extends Limits {
  /** Name or IP address of the node. @default '127.0.0.1' */
  host?: string | undefined;
  /** @default 6379 */
  port?: number | undefined;
  /** Path of a Unix socket, instead of host and port. */
  path?: string | undefined;
  /** Version of IP to use where the host has both. @default either */
  family?: 4 | 6 | undefined;
  /** User to authenticate as, with the password. @default the default user */
  username?: string | undefined;
  /** Shown in no error. @default no authentication */
  password?: string | undefined;
  /** Name of the connection in `CLIENT LIST`; goes without where the user may not set it. */
  clientName?: string | undefined;
  /** Whether to use TLS, and how. The certificate is verified unless told otherwise. @default false */
  tls?: boolean | TlsOptions | undefined;
  /**
   * The name under which the node is known, where `host` is an IP address: asked for in TLS unless `tls` has a `servername`, and the
   * certificate may be for either.
   */
  hostname?: string | undefined;
  /** What errors call the node, where that is known by another address than it is reached at. @default where it is reached */
  address?: string | undefined;
  /** Milliseconds for all of connecting: look-up, TCP, TLS, authentication; 0 for no limit. @default 5000 */
  connectTimeout?: number | undefined;
  /** Milliseconds the node may take over one command; 0 for no limit. @default 10000 */
  commandTimeout?: number | undefined;
  /**
   * `'latin1'` makes strings hold bytes, one a char, both ways: keys of any bytes survive. A command with a
   * char above 0xff is then refused with a TypeError. Username, password and client name are text always.
   * @default 'utf8'
   */
  encoding?: Encoding | undefined;
  /** Gives up connecting; of no effect afterwards. */
  signal?: AbortSignal | undefined;
}

/**
 * Opens a connection, authenticates and names it, and makes sure that a Redis server answers. Rejects with the
 * server's own ReplyError when it refuses, else a ConnectionError or ProtocolError, or the signal's reason.
 */
export async function connect(options: ConnectOptions = {}): Promise<Connection> {
  return (await openConnection(options, false)).ready;
}

/** A connection that is being opened. */
export interface Opening {
  /** Takes commands already: they leave in one write with those that authenticate and name it. */
  readonly connection: Connection;
  /** Resolves and rejects as `connect()` does. */
  readonly ready: Promise<Connection>;
}

/**
 * Like `connect()`, with a round trip less to the first reply. What is sent before `ready` has resolved runs whether or not the
 * server lets the user in, as the default user if not: only commands that change nothing may be, and their replies count
 * for nothing where `ready` rejects.
 */
export function connectEarly(options: ConnectOptions = {}): Promise<Opening> {
  return openConnection(options, true);
}

async function openConnection(options: ConnectOptions, early: boolean): Promise<Opening> {
  options.signal?.throwIfAborted();
  const socket = await openSocket(options);
  const connection = new Connection(socket, { ...options, address: options.address ?? reachedAt(options) });
  const ready = makeReady(socket, connection, options, early);
  ready.catch(() => {});
  return { connection, ready };
}

async function makeReady(
  socket: Socket,
  connection: Connection,
  options: ConnectOptions,
  early: boolean,
): Promise<Connection> {
  const { signal, connectTimeout = 5000 } = options;
  const { address } = connection;
  const timer =
    connectTimeout > 0
      ? setTimeout(
          () => {
            const reason = `no answer within ${connectTimeout} ms`;
            connection.destroy(new ConnectionError(reason, { code: 'TIMEOUT', address }));
          },
          Math.min(connectTimeout, MAX_TIMER),
        )
      : undefined;
  const unwatch = signal && onAbort(signal, () => connection.destroy());
  try {
    signal?.throwIfAborted();
    await shakeHands(connection, options);
    // Its answer may have come with more than was asked for. What else was sent by then tells of that itself.
    const broken = !early && connection.closed && (await connection.whenClosed);
    if (broken) throw broken;
    return connection;
  } catch (error) {
    connection.destroy();
    throw signal?.aborted
      ? signal.reason
      : cannotConnect(error as Error, address, options, socket.bytesRead === 0);
  } finally {
    clearTimeout(timer);
    unwatch?.();
  }
}

// Built-in modules that take long to load are loaded when there is something to connect to: not by whoever only imports this.
async function openSocket(options: ConnectOptions): Promise<Socket> {
  const { host = '127.0.0.1', port = 6379, path, family } = options;
  const target = path === undefined ? { host, port, ...(family && { family }) } : { path };
  // Node's 250 ms for each address of a host with several are too few for a node far away.
  const settings = { ...target, noDelay: true, keepAlive: true, autoSelectFamilyAttemptTimeout: 1000 };
  const net = await import('node:net');
  if (!options.tls) return net.connect(settings as NetConnectOpts);
  const tls = await import('node:tls');
  const given = options.tls === true ? {} : options.tls;
  const isNamed = path === undefined && net.isIP(host) === 0;
  const { hostname } = options;
  const names = isNamed
    ? { servername: host }
    : hostname === undefined || given.servername !== undefined
      ? {}
      : { servername: hostname, checkServerIdentity: eitherIdentity(tls.checkServerIdentity, host) };
  return tls.connect({ ...names, ...given, ...settings } as TlsOptions);
}

/** Accepts a certificate that is for the name asked for, or else for the host. */
function eitherIdentity(check: typeof CheckServerIdentity, host: string): typeof CheckServerIdentity {
  return (name, certificate) => {
    const error = check(name, certificate);
    return error && check(host, certificate) ? error : undefined;
  };
}

/** One round trip at least: a refusal that the server sends on its own is then in hand. */
async function shakeHands(connection: Connection, options: ConnectOptions): Promise<void> {
  const { username, password, clientName, encoding } = options;
  const text = (value: string): string | Buffer => (encoding === 'latin1' ? Buffer.from(value) : value);
  const commands: Command[] = [];
  if (password !== undefined) {
    commands.push(
      username === undefined ? ['AUTH', text(password)] : ['AUTH', text(username), text(password)],
    );
  }
  if (clientName !== undefined) commands.push(['CLIENT', 'SETNAME', text(clientName)]);
  if (commands.length === 0) commands.push(['PING']);
  try {
    // One by one and not as a pipeline: the server may answer the first with a refusal, and close.
    await Promise.all(commands.map((command) => connection.command(command, { timeout: 0 })));
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    if (password) error.message = error.message.replaceAll(password, '***');
    if (isRefusal(error)) throw error;
  }
}

/**
 * A server that is loading, or short of something, answers PING with an error and is there all the same; and one that
 * does not let this user name connections serves without.
 */
function isRefusal({ command, code, message }: ReplyError): boolean {
  if (command === 'CLIENT') return code !== 'NOPERM' && !message.startsWith('ERR unknown command');
  if (command !== 'PING' || code === 'DENIED' || code === 'NOAUTH') return true;
  return code === 'ERR' && !message.startsWith('ERR unknown command');
}

function cannotConnect(error: Error, address: string, options: ConnectOptions, unanswered: boolean): Error {
  if (error instanceof ReplyError) return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const hint = unanswered ? hintOf(errorCode(cause), Boolean(options.tls)) : '';
  const reached = reachedAt(options);
  const where = reached === address ? address : `${address} at ${reached}`;
  const message = `Cannot connect to ${where}: ${explain(cause)}${hint}`;
  if (cause instanceof ProtocolError) {
    return new ProtocolError(message, { code: cause.code, offset: cause.offset, address, cause });
  }
  return new ConnectionError(message, { code: errorCode(cause), address, cause });
}

/**
 * What to look at when there was not a byte in answer: a server that expects TLS closes when it is not TLS that
 * comes, and one that does not waits for the end of what it takes for a line.
 */
function hintOf(code: string, tls: boolean): string {
  if (tls) return code === 'TIMEOUT' ? ' (the peer may not speak TLS)' : '';
  return ['CLOSED', 'ECONNRESET', 'EPIPE'].includes(code) ? ' (the peer may expect TLS)' : '';
}

function explain(cause: Error): string {
  // OpenSSL's words for bytes that are not TLS; the code that comes with them differs by version of Node.
  if (cause.message.includes('wrong version number')) return 'the peer does not answer in TLS';
  // A host with several addresses fails with one error for each, and no text of its own.
  if (cause instanceof AggregateError) return cause.errors.map((error: Error) => error.message).join(', ');
  return reasonOf(cause);
}

function reachedAt({ host = '127.0.0.1', port = 6379, path }: ConnectOptions): string {
  if (path !== undefined) return path;
  // net.isIPv6 costs milliseconds when it is first called.
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
