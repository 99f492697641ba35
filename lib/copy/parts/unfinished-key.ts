import { type Command, type Connection, type Reply, ReplyError } from '../../../resp/index.ts';
import { expireCommand, type LifeQuestion } from '../../nodes/server-clock.ts';
import type { PartKind } from './part-kinds.ts';
import { isUnknown, type TimedPart } from './read-parts.ts';
import type { PartedValue } from './write-in-parts.ts';

/** After this time without another part it expires. */
const UNFINISHED_MS = 600_000;

/** The node that takes the key failed, or refused a command: `cause`. */
export class TargetFailure extends Error {
  constructor(cause: unknown) {
    super('', { cause });
  }
}

/** True if an error says that what was written of a stream, or of its groups, is gone. */
export function isUnfinishedGone(error: unknown): boolean {
  const cause = error instanceof TargetFailure && error.cause;
  return cause instanceof ReplyError && ['ERR', 'NOGROUP'].includes(cause.code) && !isUnknown(cause);
}

/** A key of the cluster that is written in parts under another name, over a connection of its own. */
export class UnfinishedKey {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #kind: PartKind;
  #isBegun = false;
  #bytes = 0;
  #hasTimes = false;

  constructor(connection: Connection, name: string, kind: PartKind) {
    this.#connection = connection;
    this.#name = name;
    this.#kind = kind;
  }

  /** Bytes that were written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves to false if what was written before is gone: evicted, flushed or expired. Throws a TargetFailure. */
  async add({ elements, bytes, times }: TimedPart): Promise<boolean> {
    if (elements.length === 0) return true;
    const name = this.#name;
    const write = [...this.#kind.write(name, elements), ...expiries(name, times)];
    const expire: Command = ['PEXPIRE', name, UNFINISHED_MS];
    const isFirst = !this.#isBegun;
    this.#isBegun = true;
    // In a transaction: if we end while it is sent, nothing stays that does not expire.
    if (isFirst) await this.#send([['MULTI'], ['UNLINK', name], ...write, expire, ['EXEC']]);
    const ttl = isFirst ? UNFINISHED_MS : (await this.#send([...write, ['PTTL', name], expire])).at(-2);
    this.#bytes += bytes;
    this.#hasTimes ||= times.size > 0;
    // A key that came into being again has no time to live.
    return Number(ttl) > 0;
  }

  /** Sends more about it, as commands for this name. Throws a TargetFailure. */
  async tell(
    commands: (name: string) => AsyncIterable<Command[]>,
    onReplies: (sent: readonly Command[], replies: readonly Reply[]) => void,
  ): Promise<void> {
    for await (const some of commands(this.#name))
      onReplies(some, await this.#send([...some, ['PEXPIRE', this.#name, UNFINISHED_MS]]));
  }

  /**
   * Gives it its own name and its time to live. Resolves to false if it is not whole, or if the key exists and must not be replaced.
   * Throws a TargetFailure.
   */
  async finish(
    { key, length, ttlNow }: Pick<PartedValue, 'key' | 'length' | 'ttlNow'>,
    life: LifeQuestion,
    replace: boolean,
  ): Promise<boolean> {
    const name = this.#name;
    const [there, left] = await this.#send([
      [this.#kind.length, name],
      ['PTTL', name],
    ]);
    const isWhole = there === length || (this.#hasTimes && Number(there) > 0);
    if (!isWhole || !(Number(left) > 0)) return false;
    const ttlMs = ttlNow();
    const expiry = ttlMs === undefined ? ['PERSIST', name] : expireCommand(name, ttlMs, life);
    // RENAME alone would free a big value at once (dbSyncDelete).
    const rename: Command[] = replace
      ? [
          ['UNLINK', key],
          ['RENAME', name, key],
        ]
      : [['RENAMENX', name, key]];
    const ended = (await this.#send([['MULTI'], expiry, ...rename, ['EXEC']])).at(-1);
    // Of RENAMENX, 0 says that there is such a key.
    return Array.isArray(ended) && ended.at(-1) !== 0;
  }

  /** Deletes what was written of it, if the node still answers. */
  async drop(): Promise<void> {
    if (this.#isBegun) await this.#connection.pipeline([['UNLINK', this.#name]]).catch(() => undefined);
  }

  async #send(commands: readonly Command[]): Promise<readonly Reply[]> {
    const replies = await this.#connection.pipeline(commands).catch((error: unknown) => {
      throw new TargetFailure(error);
    });
    const refused = replies.flat().find((reply) => reply instanceof ReplyError);
    if (refused) throw new TargetFailure(refused);
    return replies;
  }
}

function expiries(name: string, times: ReadonlyMap<string, number>): Command[] {
  const fields = new Map<number, string[]>();
  for (const [field, time] of times) {
    const some = fields.get(time);
    if (some) some.push(field);
    else fields.set(time, [field]);
  }
  return [...fields].map(([time, some]) => ['HPEXPIREAT', name, time, 'FIELDS', some.length, ...some]);
}
