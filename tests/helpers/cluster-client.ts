import { setTimeout as sleep } from 'node:timers/promises';
import { keySlot } from '../../lib/model/slot.ts';
import { type Connection, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { connectTo, type Target } from '../bed/client.ts';

/**
 * A cluster client as the specification describes it: it follows MOVED and remembers it, follows ASK once with ASKING, and
 * repeats what a changing cluster refuses for a moment. Strings are binary strings, one byte for each character.
 */
export class ClusterClient {
  /** Asked about slots whose owner is not known: the first of them, until that serves none. */
  readonly #seeds: Target[];
  readonly #owners = new Map<number, string>();
  readonly #connections = new Map<string, Promise<Connection>>();
  /** How often a node redirected it. */
  redirects = { moved: 0, ask: 0, tryAgain: 0 };

  constructor(...seeds: [Target, ...Target[]]) {
    this.#seeds = seeds;
  }

  get #seed(): Target {
    const [seed] = this.#seeds;
    if (!seed) throw new Error('No node to ask');
    return seed;
  }

  // A node that has left the cluster serves no slot, and says not who does.
  #askAnother(slot: number): void {
    if (!this.#owners.delete(slot)) this.#seeds.push(...this.#seeds.splice(0, 1));
  }

  /** Sends a command about this key to the node that serves it, and tries for `timeoutMs`. */
  async command(key: string, command: readonly string[], timeoutMs = 20_000): Promise<Reply> {
    const slot = keySlot(Buffer.from(key, 'latin1'));
    const deadline = performance.now() + timeoutMs;
    let asking: string | undefined;
    for (;;) {
      const address = asking ?? this.#owners.get(slot) ?? `${this.#seed.host}:${this.#seed.port}`;
      try {
        const connection = await this.#connect(address);
        if (asking === undefined) return await connection.command(command);
        asking = undefined;
        const [, reply] = await connection.pipeline([['ASKING'], command]);
        if (reply instanceof Error) throw reply;
        return reply ?? null;
      } catch (error) {
        if (performance.now() > deadline) throw error;
        asking = await this.#next(slot, error);
      }
    }
  }

  /** The node to ask next, if only this once. Throws an error that repeating would not help. */
  async #next(slot: number, error: unknown): Promise<string | undefined> {
    if (error instanceof ConnectionError) {
      this.#askAnother(slot);
      await sleep(50);
      return undefined;
    }
    if (!(error instanceof ReplyError)) throw error;
    const [, , to = ''] = error.message.split(' ');
    switch (error.code) {
      case 'MOVED':
        this.redirects.moved++;
        this.#owners.set(slot, to);
        return undefined;
      case 'ASK':
        this.redirects.ask++;
        return to;
      case 'CLUSTERDOWN':
      case 'TRYAGAIN':
      case 'LOADING':
        this.redirects.tryAgain++;
        // A node that loads may have given the slot away before.
        if (error.code !== 'TRYAGAIN') this.#askAnother(slot);
        await sleep(20);
        return undefined;
      default:
        throw error;
    }
  }

  #connect(address: string): Promise<Connection> {
    const known = this.#connections.get(address);
    if (known) return known;
    const cut = address.lastIndexOf(':');
    const connection = connectTo({
      ...this.#seed,
      host: address.slice(0, cut) || this.#seed.host,
      port: Number(address.slice(cut + 1)),
    });
    this.#connections.set(address, connection);
    const forget = () => this.#connections.delete(address);
    connection.then(({ whenClosed }) => whenClosed).then(forget, forget);
    return connection;
  }

  async get(key: string): Promise<Reply> {
    return this.command(key, ['GET', key]);
  }

  async set(key: string, value: string): Promise<Reply> {
    return this.command(key, ['SET', key, value]);
  }

  async close(): Promise<void> {
    const connections = [...this.#connections.values()];
    await Promise.allSettled(connections.map(async (connection) => (await connection).destroy()));
  }
}
