import { Buffer } from 'node:buffer';
import type { NetConnectOpts, Socket } from 'node:net';
import type { checkServerIdentity as CheckServerIdentity, ConnectionOptions as TlsOptions } from 'node:tls';
import { Connection, type ConnectionOptions } from './connection.ts';
import { MAX_TIMER } from './deadline.ts';
import { ConnectionError, ProtocolError, ReplyError, type TlsFault } from './errors.ts';
import { errorCode, onAbort, reasonOf } from './request.ts';
import type { Command, Encoding, Limits } from './types.ts';

export interface ConnectOptions extends Limits {
  /** Host name or IP address of the node. @default '127.0.0.1' */
  host?: string | undefined;
  /** @default 6379 */
  port?: number | undefined;
  /** Path of a Unix socket; replaces host and port. */
  path?: string | undefined;
  /** IP version to use if the host name resolves to both. @default either */
  family?: 4 | 6 | undefined;
  /** ACL user that the password belongs to. @default the default user */
  username?: string | undefined;
  /** See `ConnectionOptions`. @default none */
  onCommands?: ConnectionOptions['onCommands'];
  /** Never shown in an error. @default no authentication */
  password?: string | undefined;
  /** Name of the connection in `CLIENT LIST`. Skipped if the user may not run CLIENT SETNAME. */
  clientName?: string | undefined;
  /** `true`, or options of `tls.connect()`. Certificates are verified unless these say otherwise. @default false */
  tls?: boolean | TlsOptions | undefined;
  /**
   * Host name of the node if `host` is an IP address. Sent as the TLS server name unless `tls` has a `servername`; the
   * certificate may be for either.
   */
  hostname?: string | undefined;
  /** Name of the node in errors, if it differs from the address connected to. @default the address connected to */
  address?: string | undefined;
  /** Milliseconds for DNS lookup, TCP, TLS and authentication together; 0 for no limit. @default 5000 */
  connectTimeout?: number | undefined;
  /** Milliseconds the node may take for one command; 0 for no limit. @default 10000 */
  commandTimeout?: number | undefined;
  /**
   * With `'latin1'` each char of a string is one byte, in commands and in replies, so that binary keys survive. A
   * command with a char above 0xff then throws a TypeError. Username, password and client name are always text.
   * @default 'utf8'
   */
  encoding?: Encoding | undefined;
  /** Cancels connecting. Has no effect once connected. */
  signal?: AbortSignal | undefined;
}

/**
 * Opens a connection, authenticates, names it, and checks that a Redis server answers. Rejects with the server's own
 * ReplyError if it refuses, with a ConnectionError or ProtocolError if it cannot be reached, or with the signal's reason.
 */
export async function connect(options: ConnectOptions = {}): Promise<Connection> {
  return (await openConnection(options, false)).ready;
}

/** A connection being opened. */
export interface Opening {
  /** Already accepts commands, which leave in one write with AUTH and CLIENT SETNAME. */
  readonly connection: Connection;
  /** Settles as `connect()` does. */
  readonly ready: Promise<Connection>;
}

/**
 * Like `connect()`, but saves a round trip before the first reply. Commands sent before `ready` resolves run even if the
 * server rejects the password, then as the default user. So send only commands that change nothing, and discard their
 * replies if `ready` rejects.
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
    // The peer may have sent more than the replies due. With `early`, the caller's own commands report that.
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

// `node:net` and `node:tls` are slow to load, so load them on the first connection and not when this file is imported.
async function openSocket(options: ConnectOptions): Promise<Socket> {
  const { host = '127.0.0.1', port = 6379, path, family } = options;
  const target = path === undefined ? { host, port, ...(family && { family }) } : { path };
  // Node gives each address of a host with several 250 ms by default: too little for a distant node.
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

/** Accepts a certificate for the server name or for the host. */
function eitherIdentity(check: typeof CheckServerIdentity, host: string): typeof CheckServerIdentity {
  return (name, certificate) => {
    const error = check(name, certificate);
    return error && check(host, certificate) ? error : undefined;
  };
}

/** Makes at least one round trip, so that an error the server sends unasked has arrived. */
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
    // Separate commands and not a pipeline: the server may refuse the first and close.
    await Promise.all(commands.map((command) => connection.command(command, { timeout: 0 })));
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    if (password) error.message = error.message.replaceAll(password, '***');
    if (isRefusal(error)) throw error;
  }
}

/**
 * A server that is loading or short of memory answers PING with an error but is usable, and so is one that does not let
 * this user set a connection name.
 */
function isRefusal({ command, code, message }: ReplyError): boolean {
  if (command === 'CLIENT SETNAME') return code !== 'NOPERM' && !message.startsWith('ERR unknown command');
  if (command !== 'PING' || code === 'DENIED' || code === 'NOAUTH') return true;
  return code === 'ERR' && !message.startsWith('ERR unknown command');
}

function cannotConnect(error: Error, address: string, options: ConnectOptions, unanswered: boolean): Error {
  if (error instanceof ReplyError) return error;
  const cause = error.cause instanceof Error ? error.cause : error;
  const code = errorCode(cause);
  const tls = tlsFault(cause, code, Boolean(options.tls), unanswered);
  const reached = reachedAt(options);
  const where = reached === address ? address : `${address} at ${reached}`;
  const message = `Cannot connect to ${where}: ${explain(cause, code, tls)}`;
  if (cause instanceof ProtocolError) {
    return new ProtocolError(message, { code: cause.code, offset: cause.offset, address, cause });
  }
  return new ConnectionError(message, { code, address, cause, tls });
}

/**
 * `unanswered`: there was not a byte in answer. A server that expects TLS closes when it is not TLS that comes, and one that does
 * not waits for the end of what it takes for a line.
 */
function tlsFault(cause: Error, code: string, tls: boolean, unanswered: boolean): TlsFault | undefined {
  // OpenSSL's words; the codes that come with them differ by version of Node.
  if (cause.message.includes('wrong version number')) return 'not-spoken';
  if (cause.message.includes('certificate required')) return 'certificate-required';
  if (/CERT|ALTNAME|SIGNATURE|ISSUER/.test(code)) return 'untrusted';
  if (!unanswered) return undefined;
  if (tls) return code === 'TIMEOUT' ? 'not-spoken' : undefined;
  return ['CLOSED', 'ECONNRESET', 'EPIPE'].includes(code) ? 'expected' : undefined;
}

function explain(cause: Error, code: string, tls: TlsFault | undefined): string {
  if (tls === 'expected') return `${explainCause(cause)} (the peer may expect TLS)`;
  if (tls !== 'not-spoken') return explainCause(cause);
  return code === 'TIMEOUT'
    ? `${explainCause(cause)} (the peer may not speak TLS)`
    : 'the peer does not answer in TLS';
}

function explainCause(cause: Error): string {
  // A host with several addresses fails with an AggregateError: one error per address and no message of its own.
  if (cause instanceof AggregateError) return cause.errors.map((error: Error) => error.message).join(', ');
  return reasonOf(cause);
}

function reachedAt({ host = '127.0.0.1', port = 6379, path }: ConnectOptions): string {
  if (path !== undefined) return path;
  // The first call of net.isIPv6 costs milliseconds.
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
