import { type Command, type Connection, type Reply, ReplyError } from '../../../resp/index.ts';
import { fromDatabase, inDatabase } from '../node-info.ts';
import type { Link } from './link.ts';

/** Keys of one slot that are moved by one MIGRATE. */
export interface Batch {
  readonly slot: number;
  /** Database, on Valkey with `cluster-databases`; else 0. */
  readonly db: number;
  readonly keys: readonly string[];
}

/** What became of a batch. */
export type BatchEnd =
  /** MIGRATE is done; `gone` keys have left the source, a key that had expired or was deleted not counted. */
  | { readonly type: 'moved'; readonly gone: number; readonly stallMs: number }
  /** MIGRATE did not run. */
  | { readonly type: 'refused'; readonly error: ReplyError }
  /** MIGRATE stopped. The first `gone` keys at most have left the source; of the others the target may have a copy. */
  | { readonly type: 'failed'; readonly error: ReplyError; readonly gone: number; readonly stallMs: number }
  /** No answer came: whether MIGRATE ran, runs or is still going to is not known. */
  | { readonly type: 'lost'; readonly error: Error };

export interface BatchOptions {
  /** Overwrites what the target holds. */
  readonly replace: boolean;
  /** Milliseconds: MIGRATE's own timeout. */
  readonly timeoutMs: number;
}

/** What a node may take for a command, where nothing is said. */
const DEFAULT_COMMAND_TIMEOUT_MS = 10_000;

/** A connection to the source on which one batch is under way at a time. */
export class Lane {
  readonly #link: Link;
  readonly #number: number;
  #connection: Connection | undefined;
  /** CLIENT ID of that connection. */
  #id = 0;
  /** Milliseconds to the source and back, at best: what a batch took beside the time that the source was at it. */
  roundTripMs: number = Number.POSITIVE_INFINITY;
  /** Milliseconds until the replies to the last batch were there. */
  #elapsedMs = 0;

  constructor(link: Link, number: number) {
    this.#link = link;
    this.#number = number;
  }

  /**
   * Sends a batch. The slot's keys are counted before and after in the same transaction: MIGRATE deletes keys in the order
   * they are given, so where it stops, the count says which it has not.
   */
  async send({ slot, db, keys }: Batch, { replace, timeoutMs }: BatchOptions): Promise<BatchEnd> {
    const { migrateTo, auth, context } = this.#link;
    const migrate = [
      ...['MIGRATE', migrateTo.host, migrateTo.port, '', db, timeoutMs],
      ...(replace ? ['REPLACE'] : []),
      ...[...auth, 'KEYS', ...keys],
    ];
    const count = ['CLUSTER', 'COUNTKEYSINSLOT', slot];
    // TIME stands outside: within a transaction newer servers stop the clock. ASKING, for keys that lie on a node which
    // imports the slot, holds until EXEC.
    const commands = [['TIME'], ['ASKING'], ['MULTI'], count, migrate, count, ['EXEC'], ['TIME']];
    try {
      // The timeout of MIGRATE counts for connecting and again for the transfer.
      const slack = context.options.commandTimeout ?? DEFAULT_COMMAND_TIMEOUT_MS;
      const replies = await this.#ask(inDatabase(db, commands), 2 * timeoutMs + slack);
      const end = readEnd(fromDatabase(db, replies));
      if (end.type === 'moved') this.#measured(this.#elapsedMs - end.stallMs);
      return end;
    } catch (error) {
      if (error instanceof ReplyError) return { type: 'refused', error };
      return { type: 'lost', error: error as Error };
    }
  }

  /**
   * After a lost answer: makes sure that nothing that was sent is still going to run, which a server does with what it has
   * received of a client that is gone. Rejects with ReplyError where the node does not allow that.
   */
  async fence(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || !connection.closed) return;
    const { context, sourceAddress } = this.#link;
    try {
      await context.connections.ask(sourceAddress, ['CLIENT', 'KILL', 'ID', this.#id]);
    } catch (error) {
      // The server knows already that the connection is gone.
      if (!(error instanceof ReplyError && error.message.includes('No such client'))) throw error;
    }
    this.#connection = undefined;
  }

  async #ask(commands: readonly Command[], timeout: number): Promise<Reply[]> {
    const { context, sourceAddress } = this.#link;
    const known = this.#connection;
    const connection =
      known?.closed === false ? known : await context.connections.get(sourceAddress, this.#number);
    if (connection !== known) {
      // Without a transaction MIGRATE would run all the same, and nobody could tell what became of it.
      const replies = await connection.pipeline([['CLIENT', 'ID'], ['MULTI'], ['EXEC']], { timeout });
      for (const reply of replies) if (reply instanceof ReplyError) throw reply;
      this.#id = Number(replies[0]);
      this.#connection = connection;
    }
    const sent = performance.now();
    const replies = await connection.pipeline(commands, { timeout });
    this.#elapsedMs = performance.now() - sent;
    return replies;
  }

  // Less than nothing, where somebody has put the source's clock forward.
  #measured(roundTripMs: number): void {
    if (roundTripMs > 0) this.roundTripMs = Math.min(this.roundTripMs, roundTripMs);
  }
}

function readEnd(replies: readonly Reply[]): BatchEnd {
  const refusal = replies.slice(1, -1).find((reply) => reply instanceof ReplyError);
  if (refusal) return { type: 'refused', error: refusal };
  const [begun] = replies;
  const [result, ended] = replies.slice(-2);
  const [before, answer, after] = Array.isArray(result) ? result : [];
  if (typeof before !== 'number' || typeof after !== 'number' || answer === undefined) {
    return { type: 'lost', error: new TypeError('EXEC gave no counts') };
  }
  const gone = Math.max(0, before - after);
  const stallMs = Math.max(0, timeOf(ended) - timeOf(begun));
  if (answer instanceof ReplyError) return { type: 'failed', error: answer, gone, stallMs };
  return { type: 'moved', gone, stallMs };
}

/** Milliseconds by the server's clock, from the reply of TIME; 0 where it gave none. */
function timeOf(reply: Reply | undefined): number {
  if (!Array.isArray(reply)) return 0;
  return Number(reply[0]) * 1000 + Number(reply[1]) / 1000;
}
