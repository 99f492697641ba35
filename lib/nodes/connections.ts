import {
  type Command,
  type CommandOptions,
  type Connection,
  type ConnectOptions,
  connect,
  connectEarly,
  type Opening,
  type Reply,
  ReplyError,
} from '../../resp/index.ts';
import { type Address, formatAddress, mapAddress } from '../model/address.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';
import { type Settings, settingsOf } from '../settings.ts';
import { eitherSignal, unlessAborted } from './abort.ts';
import { reporting } from './command-channel.ts';

/** Name of this tool's connections in CLIENT LIST while they only look. */
export const CLIENT_NAME = 'redis-trib';
/** Start of their name while they change something. */
export const CHANGE_PREFIX = 'redis-trib:change:';

/** The name for TLS: a string that is not an IP address, from a node. */
const HOSTNAME = /^(?=.{1,253}$)(?!.*\.\d+$)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i;

export interface LaneOptions extends CommandOptions {
  /** Which of several connections to one node. 0 is the shared one, for everything that need not run beside other work. */
  readonly lane?: number;
  /**
   * Sends it together with the commands that open the connection, if it is not open yet: one round trip less. Only for commands
   * that change nothing, since it runs as the default user if the server rejects ours.
   */
  readonly early?: boolean;
}

/**
 * Stands between questions and the nodes: passes them on by `send` and sees the answers, or answers itself. Error replies are values;
 * rejects if the node is not reached.
 */
export interface Between {
  (
    address: Address,
    commands: readonly Command[],
    options: LaneOptions,
    send: () => Promise<Reply[]>,
  ): Promise<Reply[]>;
  /** What `hearsUnlisted()` found: it depends on when the nodes answered, too. */
  unlisted?: boolean;
}

/** Credentials; none for a connection that does not log in. */
export type Login = Pick<ConnectionOptions, 'username' | 'password'>;

/**
 * Connections to nodes, one for each lane, opened on first use and kept until closed. The next request reopens a broken
 * connection; no command is ever sent twice.
 *
 * Strings are binary strings here, one character a byte, so that keys of any bytes survive.
 */
export class Connections {
  /** The name of these connections while an operation on them changes the cluster. */
  readonly changeName: string = `${CHANGE_PREFIX}${randomName()}`;
  readonly #options: ConnectionOptions;
  readonly #settings: Settings;
  readonly #open = new Map<string, Promise<Opening>>();
  /** By address: the host name that a node announces. */
  readonly #hostnames = new Map<string, string>();
  /** Operations that change the cluster, each with the nodes it has told. */
  readonly #claims = new Map<object, Set<string>>();
  readonly #closed = new AbortController();
  /** What `askAll` sends goes through it. */
  readonly between: Between | undefined;
  readonly #onCommands: ConnectOptions['onCommands'];

  constructor(options: ConnectionOptions, between?: Between) {
    this.#options = options;
    this.#settings = settingsOf(options);
    this.between = between;
    this.#onCommands = reporting(options.onCommands);
  }

  /** Options of an operation on these connections, which already determine how the nodes are reached. */
  reaching(options: OperationOptions): OperationOptions {
    return { ...options, ...this.#options };
  }

  /** Records the host name that a node announces: its certificate may be for that, and not for its address. */
  learnHostname(address: Address, hostname: string): void {
    if (this.#settings.tls && HOSTNAME.test(hostname)) this.#hostnames.set(formatAddress(address), hostname);
  }

  /** The connection to a node. Rejects with ConnectionError if it cannot be reached, ReplyError if AUTH fails. */
  async get(address: Address, lane = 0): Promise<Connection> {
    return (await this.#opening(address, lane)).ready;
  }

  async #opening(address: Address, lane: number): Promise<Opening> {
    const name = formatAddress(address);
    const key = `${name} ${lane}`;
    for (let known = this.#open.get(key); known; known = this.#open.get(key)) {
      const opening = await known;
      if (!opening.connection.closed) return opening;
      if (this.#open.get(key) === known) this.#open.delete(key);
    }
    if (this.#closed.signal.aborted)
      throw new Error(`Cannot connect to ${name}: the cluster handle is closed`);
    const opening = connectEarly(this.#optionsFor(address));
    this.#open.set(key, opening);
    const forget = () => {
      if (this.#open.get(key) === opening) this.#open.delete(key);
    };
    opening.then(({ ready }) => ready).catch(forget);
    return opening;
  }

  /** A connection that nothing else uses. The caller must close it. The signal cancels connecting. */
  fresh(address: Address, signal?: AbortSignal): Promise<Connection> {
    const options = this.#optionsFor(address);
    return connect({ ...options, signal: eitherSignal(signal, this.#closed.signal) });
  }

  /** Connects with other credentials than ours, and closes again. Rejects as `connect()` does if the node does not accept them. */
  async tryLogin(address: Address, { username, password }: Login): Promise<void> {
    const connection = await connect({ ...this.#optionsFor(address), username, password });
    await connection.close();
  }

  /** Sends one command. Rejects with ReplyError if the node answers with an error, and with the reason of a signal. */
  async ask(address: Address, command: Command, options: LaneOptions = {}): Promise<Reply> {
    return this.#send(address, options, (connection) => connection.command(command, options));
  }

  /** Like `ask`, for a node that may be lost: waits this many milliseconds for the answer, and as long for the connection. */
  async askSoon(address: Address, command: Command, timeout: number): Promise<Reply> {
    const lost = new AbortController();
    const reason = new Error(`${formatAddress(address)} did not answer within ${timeout} ms`);
    const timer = setTimeout(() => lost.abort(reason), timeout);
    try {
      const connection = await unlessAborted(this.get(address), lost.signal);
      return await connection.command(command, { timeout });
    } finally {
      clearTimeout(timer);
    }
  }

  /** Sends commands in one write. Error replies are values of the array. */
  async askAll(address: Address, commands: readonly Command[], options: LaneOptions = {}): Promise<Reply[]> {
    const send = () => this.#send(address, options, (connection) => connection.pipeline(commands, options));
    return this.between?.(address, commands, options, send) ?? send();
  }

  async #send<Result>(
    address: Address,
    { lane = 0, early, signal }: LaneOptions,
    send: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    if (!early) {
      const connection = await unlessAborted(this.get(address, lane), signal);
      // Another user that is done with it may have ended it since: nothing was sent on it yet.
      return send(connection.closed ? await unlessAborted(this.get(address, lane), signal) : connection);
    }
    const { connection, ready } = await unlessAborted(this.#opening(address, lane), signal);
    const result = send(connection);
    // Why the server rejected the connection says more than how the commands failed.
    result.catch(() => {});
    await unlessAborted(ready, signal);
    return result;
  }

  /** Ends the connections to a node other than lane 0, once pending replies have arrived. */
  async closeLanes(address: Address): Promise<void> {
    const lane0 = `${formatAddress(address)} 0`;
    const prefix = lane0.slice(0, -1);
    const extra = [...this.#open].filter(([key]) => key.startsWith(prefix) && key !== lane0);
    for (const [key] of extra) this.#open.delete(key);
    await Promise.allSettled(extra.map(async ([, connection]) => (await connection).connection.close()));
  }

  /**
   * Gives every connection, including those to these nodes, the name that says that it changes the cluster, until the owner
   * withdraws. Nodes that cannot be reached are left out. Resolves to the reply of a node that does not allow it.
   */
  async announce(
    owner: object,
    addresses: readonly Address[],
    signal?: AbortSignal,
  ): Promise<ReplyError | undefined> {
    const told = this.#claims.get(owner) ?? new Set();
    this.#claims.set(owner, told);
    await unlessAborted(Promise.allSettled(addresses.map((address) => this.get(address))), signal);
    const refused = await unlessAborted(this.#rename(), signal);
    for (const address of addresses) told.add(formatAddress(address));
    return refused;
  }

  /**
   * Takes the name back, unless another operation on these connections continues. Does not wait for the answers after an abort.
   */
  async withdraw(owner: object, signal?: AbortSignal): Promise<void> {
    if (!this.#claims.delete(owner) || this.#claims.size > 0) return;
    const renamed = this.#rename();
    if (!signal?.aborted) await renamed;
  }

  /** True if the owner has told this node, or any, that it changes the cluster. */
  isClaimed(owner: object, address?: string): boolean {
    const told = this.#claims.get(owner);
    return told !== undefined && (address === undefined || told.has(address));
  }

  get #name(): string {
    return this.#claims.size > 0 ? this.changeName : CLIENT_NAME;
  }

  async #rename(): Promise<ReplyError | undefined> {
    const ends = await Promise.allSettled(
      [...this.#open.values()].map(async (opening) => {
        const connection = await (await opening).ready;
        // The name as it is by then: an operation may have begun or ended in the meantime.
        if (!connection.closed) await connection.command(['CLIENT', 'SETNAME', this.#name]);
      }),
    );
    for (const end of ends) {
      if (end.status === 'rejected' && end.reason instanceof ReplyError) return end.reason;
    }
    return undefined;
  }

  /** Waits for pending replies, then ends every connection. Those still being opened are abandoned. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('The cluster handle is closed'));
    const opening = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(opening.map(async (connection) => (await connection).connection.close()));
  }

  /** Ends every connection at once, and rejects what is in flight on them. */
  destroy(): void {
    this.#closed.abort(new Error('The cluster handle is closed'));
    for (const opening of this.#open.values()) {
      opening.then(
        ({ connection }) => connection.destroy(),
        () => undefined,
      );
    }
  }

  #optionsFor(announced: Address): ConnectOptions {
    const { host, port } = mapAddress(this.#options.addressMap, announced);
    const address = formatAddress(announced);
    const hostname = this.#hostnames.get(address);
    const { family, username, password } = this.#options;
    const { tls, connectTimeout, commandTimeout } = this.#settings;
    return {
      host,
      port,
      address,
      clientName: this.#name,
      encoding: 'latin1',
      signal: this.#closed.signal,
      tls,
      connectTimeout,
      commandTimeout,
      ...(family === undefined ? {} : { family }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(hostname === undefined ? {} : { hostname }),
      onCommands: this.#onCommands,
    };
  }
}

// It is not a secret, and loading node:crypto takes longer than looking at a cluster.
function randomName(): string {
  return Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');
}

/** The user name and password that MIGRATE must give the target. */
export function migrateAuth({
  username,
  password,
}: Pick<ConnectionOptions, 'username' | 'password'>): string[] {
  if (password === undefined) return [];
  const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  return username === undefined ? ['AUTH', bytes(password)] : ['AUTH2', bytes(username), bytes(password)];
}
