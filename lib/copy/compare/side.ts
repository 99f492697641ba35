import {
  type Command,
  type Connection,
  ConnectionError,
  type Reply,
  ReplyError,
} from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import type { Address } from '../../model/address.ts';
import { nodeError } from '../../nodes/context.ts';
import { fromDatabase, inDatabase } from '../../nodes/node-info.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { askServer } from '../../nodes/server.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import { type KeySource, nodesToRead } from '../key-source.ts';
import { Owners } from '../owners.ts';
import type { Ask } from '../parts/read-parts.ts';
import { PASSING } from '../write-keys.ts';
import { type Expiry, type ExpiryCommand, expiriesOf, someExpire } from './expiry.ts';
import { type Reading, readingCommands, readingsIn, type Unread } from './reading.ts';
import { type Strings, stringCommands, stringsIn } from './strings.ts';

const PAUSE_MS = 100;
/** A lane of its own, so that looking at the cluster on lane 0 does not wait for large values. */
const LANE = 1;

/** Who has a key: the owner of its slot, or the only server. */
interface KeyOwners {
  ownerOf(key: string, slot?: number): Address | undefined;
  refresh(): Promise<unknown>;
}

/** One of two servers or clusters that are compared. */
export class Side {
  readonly source: KeySource;
  readonly #owners: KeyOwners;
  readonly #expiry: ExpiryCommand;
  /** Databases in which some key expires, as far as is known. */
  readonly #expiring = new Set<number>();
  /** Why keys were not served when they were last asked for. */
  #refusal: unknown;

  private constructor(source: KeySource, owners: KeyOwners, expiry: ExpiryCommand) {
    this.source = source;
    this.#owners = owners;
    this.#expiry = expiry;
  }

  static async of(source: KeySource): Promise<Side> {
    const { context, view, address } = source;
    const owners = view
      ? new Owners(context, view.seed)
      : { ownerOf: () => address, refresh: () => Promise.resolve() };
    await owners.refresh();
    const nodes = await nodesToRead(source, view);
    const servers = await inParallel(nodes, (node) => askServer(context.connections, node.address));
    const canSay = servers.every(({ capabilities }) => capabilities.hasExpireTime);
    return new Side(source, owners, canSay ? 'PEXPIRETIME' : 'PTTL');
  }

  /** Reads keys that are on the node of this connection, in the database that is selected there. */
  async readOn(reader: Connection, db: number, keys: readonly string[]): Promise<(Reading | Unread)[]> {
    return this.#read((commands) => reader.pipeline(commands), db, keys);
  }

  /** Reads keys from their owners. Those that are not served now are undefined. */
  async read(db: number, keys: readonly string[]): Promise<(Reading | undefined)[]> {
    return this.#ofOwners(keys, (owner, some) =>
      this.#read((commands) => this.#ask(owner, db, commands), db, some),
    );
  }

  /** Reads the strings among keys of these slots that are on the node of this connection, as `readOn` does. */
  async stringsOn(
    reader: Connection,
    db: number,
    keys: readonly string[],
    slots: readonly number[],
  ): Promise<Strings> {
    return this.#readStrings((commands) => reader.pipeline(commands), db, keys, slots);
  }

  /** Reads the strings among keys of these slots from their owners. */
  async strings(db: number, keys: readonly string[], slots: readonly number[]): Promise<Strings> {
    const found: Strings = { values: new Array(keys.length).fill(undefined), expiries: [], isRefused: false };
    const groups = this.#byOwner(keys, slots);
    await this.#fromEach(groups, async (owner, places) => {
      const [some, theirs] = [
        places.map((place) => keys[place] ?? ''),
        places.map((place) => slots[place] ?? 0),
      ];
      const own = await this.#readStrings((commands) => this.#ask(owner, db, commands), db, some, theirs);
      found.isRefused ||= own.isRefused;
      for (const [index, place] of places.entries()) {
        found.values[place] = own.values[index];
        if (own.expiries[index]) found.expiries[place] = own.expiries[index];
      }
    });
    return found;
  }

  /** Sends commands about a key to its owner; undefined if its slot has none. */
  asking(db: number, key: string): Ask | undefined {
    const owner = this.#owners.ownerOf(key);
    return owner && ((commands) => this.#ask(owner, db, commands));
  }

  /** When a key expires. Throws a ReplyError if its node refuses. */
  async expiryOf(ask: Ask, key: string): Promise<Expiry> {
    const sentAt = performance.now();
    const [clock = null, when = null] = await ask([['TIME'], [this.#expiry, key]]);
    if (when instanceof ReplyError) throw when;
    return expiriesOf(clock, this.#expiry, sentAt, performance.now())(when);
  }

  /** True for each key that exists; undefined for those that are not served now. */
  async have(db: number, keys: readonly string[]): Promise<(boolean | undefined)[]> {
    return this.#ofOwners(keys, async (owner, some) => {
      const replies = await this.#ask(
        owner,
        db,
        some.map((key): Command => ['EXISTS', key]),
      );
      return replies.map((reply) => (reply instanceof ReplyError ? reply : reply === 1));
    });
  }

  /** Bytes that keys take, by MEMORY USAGE or another command; 0 for those that are gone or that the user may not measure. */
  async sizes(db: number, keys: readonly string[], by: Command = ['MEMORY', 'USAGE']): Promise<number[]> {
    const found = await this.#ofOwners(keys, async (owner, some) => {
      const replies = await this.#ask(
        owner,
        db,
        some.map((key): Command => [...by, key]),
      );
      return replies.map((reply) => (typeof reply === 'number' ? reply : 0));
    });
    return found.map((size) => size ?? 0);
  }

  /** The same as `read`, but waits until each key is served. Rejects if that takes too long. */
  async readAll(db: number, keys: readonly string[]): Promise<Reading[]> {
    const { context, name, view } = this.source;
    const found = new Map<string, Reading>();
    let left = keys;
    const timeoutMs = view ? context.settings.agreeTimeout : 0;
    const wait = { what: 'keys to be served', timeoutMs, pauseMs: PAUSE_MS, signal: context.signal };
    return waitUntil({ ...wait, emit: context.emit }, async () => {
      if (left !== keys) await this.#owners.refresh().catch(() => undefined);
      const readings = await this.read(db, left);
      for (const [index, key] of left.entries()) {
        const reading = readings[index];
        if (reading) found.set(key, reading);
      }
      left = left.filter((key) => !found.has(key));
      if (left.length === 0) return { done: keys.map((key) => found.get(key) as Reading) };
      const reason = this.#refusal;
      return {
        missing: [`${left.length} keys of ${name}`],
        giveUp: (elapsedMs) => {
          if (!view && reason instanceof Error) return reason;
          const at = reason instanceof Error && 'address' in reason ? String(reason.address) : name;
          const since = `for ${Math.round(elapsedMs / 1000)} s`;
          return nodeError('NODE_UNREACHABLE', at, `Cannot read from ${at} ${since}: ${messageOf(reason)}`, {
            resumable: 'same-call',
            cause: reason,
          });
        },
      };
    });
  }

  async #read(send: Ask, db: number, keys: readonly string[]): Promise<(Reading | Unread)[]> {
    const { expiry, sentAt, replies } = await this.#send(send, db, (by) => readingCommands(keys, by));
    return readingsIn(replies, expiry, sentAt, performance.now());
  }

  async #readStrings(
    send: Ask,
    db: number,
    keys: readonly string[],
    slots: readonly number[],
  ): Promise<Strings> {
    const { expiry, sentAt, commands, replies } = await this.#send(send, db, (by) =>
      stringCommands(keys, this.source.view ? slots : undefined, by),
    );
    return stringsIn(replies, commands, expiry, sentAt, performance.now());
  }

  /** Sends commands that do not ask for expiries for as long as no key of the database expires, then those that do. */
  async #send(
    send: Ask,
    db: number,
    commandsBy: (expiry: ExpiryCommand) => Command[],
  ): Promise<{
    readonly expiry: ExpiryCommand;
    readonly sentAt: number;
    readonly commands: readonly Command[];
    readonly replies: readonly Reply[];
  }> {
    const expiry = this.#expiring.has(db) ? this.#expiry : 'INFO';
    const commands = commandsBy(expiry);
    const sentAt = performance.now();
    const replies = await send(commands);
    if (expiry !== 'INFO' || !someExpire(replies[0], db)) return { expiry, sentAt, commands, replies };
    this.#expiring.add(db);
    return this.#send(send, db, commandsBy);
  }

  async #ofOwners<Answer>(
    keys: readonly string[],
    ask: (owner: Address, some: readonly string[]) => Promise<(Answer | ReplyError)[]>,
  ): Promise<(Answer | undefined)[]> {
    const answers: (Answer | undefined)[] = new Array(keys.length).fill(undefined);
    await this.#fromEach(this.#byOwner(keys), async (owner, places) => {
      const found = await ask(
        owner,
        places.map((place) => keys[place] ?? ''),
      );
      for (const [index, place] of places.entries()) {
        const answer = found[index];
        if (!(answer instanceof ReplyError)) answers[place] = answer;
        else if (PASSING.has(answer.code)) this.#refusal = answer;
        else throw answer;
      }
    });
    return answers;
  }

  /** Places of keys, by the owner of their slot. */
  #byOwner(keys: readonly string[], slots?: readonly number[]): Map<Address, number[]> {
    const groups = new Map<Address, number[]>();
    for (const [place, key] of keys.entries()) {
      const owner = this.#owners.ownerOf(key, slots?.[place]);
      if (!owner) {
        this.#refusal = new Error('no node owns its slot');
        continue;
      }
      const group = groups.get(owner);
      if (group) group.push(place);
      else groups.set(owner, [place]);
    }
    return groups;
  }

  /** Asks all of these at once. One that does not answer is left out. */
  async #fromEach(
    groups: ReadonlyMap<Address, readonly number[]>,
    ask: (owner: Address, places: readonly number[]) => Promise<void>,
  ): Promise<void> {
    await Promise.all(
      [...groups].map(async ([owner, places]) => {
        try {
          await ask(owner, places);
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          this.#refusal = error;
        }
      }),
    );
  }

  async #ask(owner: Address, db: number, commands: readonly Command[]): Promise<Reply[]> {
    const { connections, signal } = this.source.context;
    return fromDatabase(
      db,
      await connections.askAll(owner, inDatabase(db, commands), { lane: LANE, signal }),
    );
  }
}
