import {
  type Connection,
  type PreparedCommands,
  prepareCommands,
  type Reply,
  ReplyError,
} from '../../../resp/index.ts';
import { countCommand } from '../../nodes/count-keys.ts';
import { fromDatabase, inDatabase, serverTime } from '../../nodes/node-info.ts';
import { askAbout, type Ends } from '../ends.ts';

/** Keys of one slot that are moved by one MIGRATE. */
export interface Batch {
  readonly slot: number;
  /** Database, on Valkey with `cluster-databases`; otherwise 0. */
  readonly db: number;
  readonly keys: readonly string[];
}

/** How a batch ended. */
export type BatchEnd =
  /**
   * MIGRATE succeeded. `gone` keys have left the source, not counting keys that had expired or were deleted; if `isLoose`, with those that
   * clients deleted between the counts.
   */
  | { readonly type: 'moved'; readonly gone: number; readonly stallMs: number; readonly isLoose?: true }
  /** MIGRATE did not run. */
  | { readonly type: 'refused'; readonly error: ReplyError }
  /**
   * MIGRATE stopped. At most `gone` keys have left the source; the target may have a copy of the others. A source reports only the first
   * error: one of the target hides that it then stopped answering (migrateCommand). `isLate` if it took long enough for that.
   */
  | {
      readonly type: 'failed';
      readonly error: ReplyError;
      readonly gone: number;
      readonly stallMs: number;
      readonly isLate: boolean;
      readonly isLoose?: true;
    }
  /** MIGRATE was not sent, because the batch before it on the lane failed. */
  | { readonly type: 'held' }
  /** No answer arrived: MIGRATE may have run, may be running, or may still run. */
  | { readonly type: 'lost'; readonly error: Error };

/** Of its timeout: a MIGRATE that takes longer may have waited for the target in vain. */
const LATE = 0.5;

/** How a batch ended that did not succeed. */
export type BatchFailure = Extract<BatchEnd, { readonly error: Error }>;

export interface BatchOptions {
  /** Overwrites what the target holds. */
  readonly replace: boolean;
  /** Milliseconds: MIGRATE's own timeout. */
  readonly timeoutMs: number;
  /** The target may hold copies of keys: those that have vanished from the source must be told apart. @default false */
  readonly mayHaveCopies?: boolean;
}

/**
 * A connection to the source with one batch in flight at a time. Another batch may be handed over in the meantime: it is encoded,
 * and sent as soon as the one before it has succeeded, so that the source hardly waits for us.
 * Rules 3, 17 and 18 (docs/moving-slots.md).
 */
export class Lane {
  readonly #ends: Ends;
  readonly #number: number;
  #connection: Connection | undefined;
  /** CLIENT ID of that connection. */
  #id = 0;
  /** The shortest round trip to the source in milliseconds: the duration of a batch less the time that the source spent on it. */
  roundTripMs: number = Number.POSITIVE_INFINITY;
  /** Milliseconds until the replies to the last batch arrived. */
  #elapsedMs = 0;
  #isBusy = false;
  /** Lets the batch that waits for the one in flight go, or holds it back. */
  #release: ((isToGo: boolean) => void) | undefined;

  constructor(ends: Ends, number: number) {
    this.#ends = ends;
    this.#number = number;
  }

  /**
   * Sends a batch. The slot's keys are counted before and after it in the same transaction. MIGRATE deletes keys in the order
   * given, so if it stops, the counts say how many it has deleted. At most one batch may wait for the one in flight.
   */
  async send(
    { slot, db, keys }: Batch,
    { replace, timeoutMs, mayHaveCopies = false }: BatchOptions,
  ): Promise<BatchEnd> {
    const { migrateTo, auth, context } = this.#ends;
    const migrate = [
      ...['MIGRATE', migrateTo.host, migrateTo.port, '', db, timeoutMs],
      ...(replace ? ['REPLACE'] : []),
      ...[...auth, 'KEYS', ...keys],
    ];
    const count = countCommand(slot);
    // TIME stays outside: newer servers stop the clock within a transaction. ASKING lasts until EXEC, and is needed for keys on a
    // node that imports the slot.
    const commands = [['TIME'], ['ASKING'], ['MULTI'], count, migrate, count, ['EXEC'], ['TIME']];
    const prepared = prepareCommands(inDatabase(db, commands), 'latin1');
    if (this.#isBusy && !(await this.#isReleased())) return { type: 'held' };
    this.#isBusy = true;
    // The timeout of MIGRATE applies to connecting and again to the transfer.
    const timeout = 2 * timeoutMs + context.settings.commandTimeout;
    const patience = { timeout, lateMs: LATE * timeoutMs };
    let end = await this.#exchange(db, prepared, patience, readTransaction);
    if (end.type === 'refused' && end.error.code === 'OOM') {
      // A Redis before 7.2 that is full queues no command (processCommand), and moving keys away is what makes room.
      const loose = [['TIME'], count, ['ASKING'], migrate, count, ['TIME']];
      const sent = prepareCommands(inDatabase(db, loose), 'latin1');
      const lacking = mayHaveCopies ? await this.#lacks(db, keys) : undefined;
      end = lacking ?? (await this.#exchange(db, sent, patience, readInTurn));
      // At the least, one has vanished since.
      if (end.type === 'moved' && mayHaveCopies && end.gone < keys.length) end = HAS_VANISHED;
    }
    const release = this.#release;
    this.#isBusy = release !== undefined && end.type === 'moved';
    this.#release = undefined;
    release?.(this.#isBusy);
    return end;
  }

  // As a transaction would end if the source does not have all of these keys.
  async #lacks(db: number, keys: readonly string[]): Promise<BatchEnd | undefined> {
    try {
      const found = await askAbout(this.#ends, 'source', db, ['EXISTS'], keys);
      return found.every((reply) => reply === 1) ? undefined : HAS_VANISHED;
    } catch (error) {
      return { type: 'lost', error: error as Error };
    }
  }

  #isReleased(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  async #exchange(
    db: number,
    prepared: PreparedCommands,
    { timeout, lateMs }: { readonly timeout: number; readonly lateMs: number },
    read: (replies: readonly Reply[]) => BatchEnd,
  ): Promise<BatchEnd> {
    try {
      const replies = await this.#ask(prepared, timeout);
      const end = read(fromDatabase(db, replies));
      if (end.type === 'moved') this.#measured(this.#elapsedMs - end.stallMs);
      // The source's clock may have been set back in the meantime.
      return end.type === 'failed' ? { ...end, isLate: this.#elapsedMs >= lateMs } : end;
    } catch (error) {
      if (error instanceof ReplyError) return { type: 'refused', error };
      return { type: 'lost', error: error as Error };
    }
  }

  /**
   * After a lost answer: makes sure that nothing already sent will still run, since a server runs what it has received of a
   * client that is gone. Rejects with ReplyError if the node does not allow that. Rule 21 (docs/moving-slots.md).
   */
  async fence(): Promise<void> {
    const connection = this.#connection;
    if (connection === undefined || !connection.closed) return;
    const { context, sourceAddress } = this.#ends;
    try {
      await context.connections.ask(sourceAddress, ['CLIENT', 'KILL', 'ID', this.#id]);
    } catch (error) {
      // The server already knows that the connection is gone.
      if (!(error instanceof ReplyError && error.message.includes('No such client'))) throw error;
    }
    this.#connection = undefined;
  }

  async #ask(commands: PreparedCommands, timeout: number): Promise<Reply[]> {
    const { context, sourceAddress } = this.#ends;
    const known = this.#connection;
    const connection =
      known?.closed === false ? known : await context.connections.get(sourceAddress, this.#number);
    if (connection !== known) {
      // Without a transaction MIGRATE would run anyway, and nothing would show how it ended.
      const [id, ...replies] = await connection.pipeline([['CLIENT', 'ID'], ['MULTI'], ['EXEC']], {
        timeout,
      });
      for (const reply of replies) if (reply instanceof ReplyError) throw reply;
      // If `rename-command` has taken CLIENT away, keys still move. Only a lost answer then ends the move: it takes the fence.
      if (id instanceof ReplyError && !id.message.startsWith('ERR unknown command')) throw id;
      this.#id = id instanceof ReplyError ? 0 : Number(id);
      this.#connection = connection;
    }
    const sent = performance.now();
    const replies = await connection.pipeline(commands, { timeout });
    this.#elapsedMs = performance.now() - sent;
    return replies;
  }

  // Negative if the source's clock was set forward.
  #measured(roundTripMs: number): void {
    if (roundTripMs > 0) this.roundTripMs = Math.min(this.roundTripMs, roundTripMs);
  }
}

/** What a transaction answers of which a key is not there (getNodeByQuery). */
const HAS_VANISHED: BatchEnd = {
  type: 'refused',
  error: new ReplyError('TRYAGAIN Multiple keys request during rehashing of slot'),
};

/** The end of a batch in a transaction. */
function readTransaction(replies: readonly Reply[]): BatchEnd {
  const refusal = replies.slice(1, -1).find((reply) => reply instanceof ReplyError);
  if (refusal) return { type: 'refused', error: refusal };
  const [begun] = replies;
  const [result, ended] = replies.slice(-2);
  return endOf(Array.isArray(result) ? result : [], begun, ended);
}

/** The end of the same commands one by one. */
function readInTurn([begun, before, , answer, after, ended]: readonly Reply[]): BatchEnd {
  const end = endOf([before, answer, after], begun, ended);
  return end.type === 'moved' || end.type === 'failed' ? { ...end, isLoose: true } : end;
}

function endOf(
  [before, answer, after]: readonly (Reply | undefined)[],
  begun: Reply | undefined,
  ended: Reply | undefined,
): BatchEnd {
  if (typeof before !== 'number' || typeof after !== 'number' || answer === undefined)
    return { type: 'lost', error: new TypeError('No counts were given') };
  const gone = Math.max(0, before - after);
  // 0 if the user may not ask for the time.
  const stallMs = Math.max(0, (serverTime(ended) ?? 0) - (serverTime(begun) ?? 0));
  if (answer instanceof ReplyError) return { type: 'failed', error: answer, gone, stallMs, isLate: false };
  return { type: 'moved', gone, stallMs };
}
