import {
  type Command,
  type Connection,
  ConnectionError,
  type Reply,
  ReplyError,
} from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { nodeError } from '../../nodes/context.ts';
import { fromDatabase, inDatabase } from '../../nodes/node-info.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { askServer } from '../../nodes/server.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import { type KeySource, nodesToRead } from '../key-source.ts';
import { Owners } from '../owners.ts';
import { PASSING } from '../write-keys.ts';
import { type ExpiryCommand, type Reading, readingCommands, readingsIn, type Unread } from './reading.ts';

const PAUSE_MS = 100;
/** A lane of its own, so that looking at the cluster on lane 0 does not wait for large values. */
const LANE = 1;

/** Who has a key: the owner of its slot, or the only server. */
interface KeyOwners {
  ownerOf(key: string): Address | undefined;
  refresh(): Promise<unknown>;
}

/** One of two servers or clusters that are compared. */
export class Side {
  readonly source: KeySource;
  readonly #owners: KeyOwners;
  readonly #expiry: ExpiryCommand;
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
  async readOn(reader: Connection, keys: readonly string[]): Promise<(Reading | Unread)[]> {
    const sentAt = performance.now();
    const replies = await reader.pipeline(readingCommands(keys, this.#expiry));
    return readingsIn(replies, this.#expiry, sentAt, performance.now());
  }

  /** Reads keys from their owners. Those that are not served now are undefined. */
  async read(db: number, keys: readonly string[]): Promise<(Reading | undefined)[]> {
    return this.#ofOwners(keys, async (owner, some) => {
      const sentAt = performance.now();
      const replies = await this.#ask(owner, db, readingCommands(some, this.#expiry));
      return readingsIn(replies, this.#expiry, sentAt, performance.now());
    });
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

  /** Bytes that keys take, by MEMORY USAGE; 0 for those that are gone or that the user may not measure. */
  async sizes(db: number, keys: readonly string[]): Promise<number[]> {
    const found = await this.#ofOwners(keys, async (owner, some) => {
      const replies = await this.#ask(
        owner,
        db,
        some.map((key): Command => ['MEMORY', 'USAGE', key]),
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

  async #ofOwners<Answer>(
    keys: readonly string[],
    ask: (owner: Address, some: readonly string[]) => Promise<(Answer | ReplyError)[]>,
  ): Promise<(Answer | undefined)[]> {
    const groups = new Map<string, { readonly owner: Address; readonly places: number[] }>();
    for (const [place, key] of keys.entries()) {
      const owner = this.#owners.ownerOf(key);
      if (!owner) {
        this.#refusal = new Error('no node owns its slot');
        continue;
      }
      const name = formatAddress(owner);
      const group = groups.get(name);
      if (group) group.places.push(place);
      else groups.set(name, { owner, places: [place] });
    }
    const answers: (Answer | undefined)[] = new Array(keys.length).fill(undefined);
    await Promise.all(
      [...groups.values()].map(async ({ owner, places }) => {
        try {
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
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          this.#refusal = error;
        }
      }),
    );
    return answers;
  }

  async #ask(owner: Address, db: number, commands: readonly Command[]): Promise<Reply[]> {
    const { connections, signal } = this.source.context;
    return fromDatabase(
      db,
      await connections.askAll(owner, inDatabase(db, commands), { lane: LANE, signal }),
    );
  }
}
