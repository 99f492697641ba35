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
import type { ConnectionOptions } from '../options.ts';
import { unlessAborted } from './abort.ts';

/** Name that connections of this tool carry in CLIENT LIST while they only look. */
export const CLIENT_NAME = 'redis-trib';
/** How the name begins that they carry while they change something. */
export const CHANGE_PREFIX = 'redis-trib:change:';

/** A name as TLS may ask for it: an IP address is none, and it comes from a node. */
const HOSTNAME = /^(?=.{1,253}$)(?!.*\.\d+$)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/i;

export interface LaneOptions extends CommandOptions {
  /** Which of several connections to one node. 0 is the one that everything uses which need not run beside others. */
  readonly lane?: number;
  /**
   * Sends it with what opens the connection, where that is not open yet: a round trip less. Only for what changes nothing,
   * since it runs as the default user where the server turns ours away.
   */
  readonly early?: boolean;
}

/**
 * Connections to nodes, one for each lane, opened when first asked for and kept until closed. A connection that broke is
 * opened anew by the next request; no command is ever sent twice.
 *
 * Strings are binary strings here: one character a byte, so that keys of any bytes survive.
 */
export class Connections {
  /** The name of these connections while an operation on them changes the cluster. */
  readonly changeName: string = `${CHANGE_PREFIX}${randomName()}`;
  readonly #options: ConnectionOptions;
  readonly #open = new Map<string, Promise<Opening>>();
  /** By address: the name that a node announces. */
  readonly #hostnames = new Map<string, string>();
  /** Operations that change the cluster, each with the nodes it has told. */
  readonly #claims = new Map<object, Set<string>>();
  readonly #closed = new AbortController();

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Takes note of the name that a node announces: its certificate may be for that, and not for its address. */
  learnHostname(address: Address, hostname: string): void {
    if (this.#options.tls && HOSTNAME.test(hostname)) this.#hostnames.set(formatAddress(address), hostname);
  }

  /** The connection to a node. Rejects with ConnectionError where it cannot be reached, ReplyError where AUTH fails. */
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

  /** A connection that nothing else uses. It belongs to the caller, who closes it. */
  fresh(address: Address): Promise<Connection> {
    return connect(this.#optionsFor(address));
  }

  /** Sends one command. Rejects with ReplyError where the node answers with an error, and with the reason of a signal. */
  async ask(address: Address, command: Command, options: LaneOptions = {}): Promise<Reply> {
    return this.#send(address, options, (connection) => connection.command(command, options));
  }

  /** Sends commands in one write. Error replies are values of the array. */
  async askAll(address: Address, commands: readonly Command[], options: LaneOptions = {}): Promise<Reply[]> {
    return this.#send(address, options, (connection) => connection.pipeline(commands, options));
  }

  async #send<Result>(
    address: Address,
    { lane = 0, early, signal }: LaneOptions,
    send: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    if (!early) {
      const connection = await unlessAborted(this.get(address, lane), signal);
      // Somebody else may have ended it since, who is done with it: nothing was sent on it yet.
      return send(connection.closed ? await unlessAborted(this.get(address, lane), signal) : connection);
    }
    const { connection, ready } = await unlessAborted(this.#opening(address, lane), signal);
    const result = send(connection);
    // Why the server turned it away says more than what became of what was sent.
    result.catch(() => {});
    await unlessAborted(ready, signal);
    return result;
  }

  /** Ends the connections to a node that ran beside lane 0, once the replies under way are there. */
  async closeLanes(address: Address): Promise<void> {
    const lane0 = `${formatAddress(address)} 0`;
    const prefix = lane0.slice(0, -1);
    const extra = [...this.#open].filter(([key]) => key.startsWith(prefix) && key !== lane0);
    for (const [key] of extra) this.#open.delete(key);
    await Promise.allSettled(extra.map(async ([, connection]) => (await connection).connection.close()));
  }

  /**
   * Gives every connection, those to these nodes among them, the name that says that it changes the cluster, until the
   * owner withdraws. Nodes that cannot be reached are left out. Resolves to what a node says that does not allow it.
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

  /** Takes the name back, unless another operation on these connections goes on. Whoever stops does not wait for the answers. */
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
        // The name as it is by then: an operation may have begun, or ended, meanwhile.
        if (!connection.closed) await connection.command(['CLIENT', 'SETNAME', this.#name]);
      }),
    );
    for (const end of ends) {
      if (end.status === 'rejected' && end.reason instanceof ReplyError) return end.reason;
    }
    return undefined;
  }

  /** Waits for replies under way, then ends every connection. Those that are still being opened are given up. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('The cluster handle is closed'));
    const opening = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(opening.map(async (connection) => (await connection).connection.close()));
  }

  /** Ends every connection at once: what is under way on them is rejected. */
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
    const { family, username, password, tls, connectTimeout, commandTimeout } = this.#options;
    return {
      host,
      port,
      address,
      clientName: this.#name,
      encoding: 'latin1',
      signal: this.#closed.signal,
      ...(family === undefined ? {} : { family }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
      ...(hostname === undefined ? {} : { hostname }),
      ...(connectTimeout === undefined ? {} : { connectTimeout }),
      ...(commandTimeout === undefined ? {} : { commandTimeout }),
    };
  }
}

// Not a secret, and node:crypto takes longer to load than an operation to look at a cluster.
function randomName(): string {
  return Math.floor(Math.random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');
}

/** The username and password that MIGRATE has to give the target. */
export function migrateAuth({ username, password }: ConnectionOptions): string[] {
  if (password === undefined) return [];
  const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  return username === undefined ? ['AUTH', bytes(password)] : ['AUTH2', bytes(username), bytes(password)];
}
