import { type Command, type CommandOptions, type Connection, connect, type Reply } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { ConnectionOptions } from '../options.ts';

/** Name that connections of this tool carry in CLIENT LIST. */
export const CLIENT_NAME = 'redis-trib';

/** Which of several connections to one node. 0 is the one that everything uses which need not run beside others. */
export interface LaneOptions extends CommandOptions {
  readonly lane?: number;
}

/**
 * Connections to nodes, one for each lane, opened when first asked for and kept until closed. A connection that broke is
 * opened anew by the next request; no command is ever sent twice.
 *
 * Strings are binary strings here: one character a byte, so that keys of any bytes survive.
 */
export class Connections {
  readonly #options: ConnectionOptions;
  readonly #open = new Map<string, Promise<Connection>>();
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** The connection to a node. Rejects with ConnectionError where it cannot be reached, ReplyError where AUTH fails. */
  async get(address: Address, lane = 0): Promise<Connection> {
    const name = formatAddress(address);
    const key = `${name} ${lane}`;
    for (let known = this.#open.get(key); known; known = this.#open.get(key)) {
      const connection = await known;
      if (!connection.closed) return connection;
      if (this.#open.get(key) === known) this.#open.delete(key);
    }
    if (this.#closed) throw new Error(`Cannot connect to ${name}: the cluster handle is closed`);
    const opening = this.#connect(address);
    this.#open.set(key, opening);
    opening.catch(() => {
      if (this.#open.get(key) === opening) this.#open.delete(key);
    });
    return opening;
  }

  /** A connection that nothing else uses. It belongs to the caller, who closes it. */
  fresh(address: Address): Promise<Connection> {
    return this.#connect(address);
  }

  /** Sends one command. Rejects with ReplyError where the node answers with an error. */
  async ask(address: Address, command: Command, options: LaneOptions = {}): Promise<Reply> {
    const connection = await this.get(address, options.lane);
    return connection.command(command, options);
  }

  /** Sends commands in one write. Error replies are values of the array. */
  async askAll(address: Address, commands: readonly Command[], options: LaneOptions = {}): Promise<Reply[]> {
    const connection = await this.get(address, options.lane);
    return connection.pipeline(commands, options);
  }

  /** Ends the connections to a node that ran beside lane 0, once the replies under way are there. */
  async closeLanes(address: Address): Promise<void> {
    const lane0 = `${formatAddress(address)} 0`;
    const prefix = lane0.slice(0, -1);
    const extra = [...this.#open].filter(([key]) => key.startsWith(prefix) && key !== lane0);
    for (const [key] of extra) this.#open.delete(key);
    await Promise.allSettled(extra.map(async ([, connection]) => (await connection).close()));
  }

  /** Waits for replies under way, then ends every connection. */
  async close(): Promise<void> {
    this.#closed = true;
    const opening = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(opening.map(async (connection) => (await connection).close()));
  }

  #connect({ host, port }: Address): Promise<Connection> {
    const { username, password, tls, connectTimeout, commandTimeout } = this.#options;
    return connect({
      host,
      port,
      clientName: CLIENT_NAME,
      encoding: 'latin1',
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
      ...(connectTimeout === undefined ? {} : { connectTimeout }),
      ...(commandTimeout === undefined ? {} : { commandTimeout }),
    });
  }
}

/** The username and password that MIGRATE has to give the target. */
export function migrateAuth({ username, password }: ConnectionOptions): string[] {
  if (password === undefined) return [];
  const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');
  return username === undefined ? ['AUTH', bytes(password)] : ['AUTH2', bytes(username), bytes(password)];
}
