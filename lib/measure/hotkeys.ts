import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { HotNote } from '../model/hot-spots.ts';
import { unlessAborted } from '../nodes/abort.ts';
import type { Context } from '../nodes/context.ts';
import { type HotkeysSession, readHotkeys } from './hotkeys-reply.ts';

/** The server ends a session on its own so long after the time that was asked for, should this process not be able to. */
const GRACE_SECONDS = 5;
/** Results of a session that ended longer ago were read, or are forgotten. */
const FRESH_MS = 10 * 60_000;
/** The server takes no more. */
const MOST_KEYS = 64;

const GET: Command = ['HOTKEYS', 'GET'];

/**
 * Counts the keys of a server with HOTKEYS, which knows one session at a time and keeps the results of the last. A session of someone
 * else is read and left alone, and so are results that someone may still want.
 */
export class HotkeysCount {
  readonly notes: HotNote[] = [];
  readonly #context: Context;
  readonly #address: Address;
  #own: 'none' | 'asked' | number = 'none';
  #others: HotkeysSession | undefined;

  constructor(context: Context, address: Address) {
    this.#context = context;
    this.#address = address;
  }

  /** Begins. Resolves to false if nothing is counted: the server cannot, or may not be asked to. */
  async begin(forMs: number, top: number): Promise<boolean> {
    const [reply, time] = await this.#ask([GET, ['TIME']]);
    if (reply instanceof ReplyError) return this.#refused(reply);
    const session = readHotkeys(reply);
    // Another HOTKEYS than that of Redis 8.6.
    if (!session && reply !== null) return false;
    if (session?.isActive) return this.#share(session);
    if (session && isFresh(session, time)) {
      this.notes.push(this.#kept());
      return false;
    }
    const seconds = Math.ceil(forMs / 1000) + GRACE_SECONDS;
    const count = Math.min(MOST_KEYS, Math.max(10, top));
    // Its answer may be lost: from here on it may have begun.
    this.#own = 'asked';
    const options = ['METRICS', 2, 'CPU', 'NET', 'COUNT', count, 'DURATION', seconds];
    const [started, found] = await this.#ask([['HOTKEYS', 'START', ...options], GET]);
    const now = readHotkeys(found);
    if (started instanceof ReplyError) {
      this.#own = 'none';
      return now?.isActive ? this.#share(now) : this.#refused(started);
    }
    if (now) this.#own = now.startedAt;
    return true;
  }

  /** What was counted so far, or by someone else. */
  async read(): Promise<HotkeysSession | undefined> {
    if (this.#own === 'none' && !this.#others) return undefined;
    const [reply] = await this.#ask([GET]);
    const session = readHotkeys(reply);
    if (this.#others) return session?.startedAt === this.#others.startedAt ? session : this.#others;
    return session && this.#isOwn(session) ? session : undefined;
  }

  /** Ends the session that this began, if there is one, and frees its results. */
  async end(timeout: number): Promise<void> {
    if (this.#own === 'none') return;
    const { connections } = this.#context;
    const found = readHotkeys(await connections.askSoon(this.#address, GET, timeout));
    if (found && this.#isOwn(found)) {
      const connection = await connections.get(this.#address);
      await connection.pipeline(
        [
          ['HOTKEYS', 'STOP'],
          ['HOTKEYS', 'RESET'],
        ],
        { timeout },
      );
    }
    this.#own = 'none';
  }

  // If its answer was lost, a session that is active was begun by this: there was none a moment before.
  #isOwn({ startedAt, isActive }: HotkeysSession): boolean {
    return this.#own === 'asked' ? isActive : startedAt === this.#own;
  }

  #ask(commands: readonly Command[]): Promise<Reply[]> {
    const { connections, signal } = this.#context;
    return unlessAborted(connections.askAll(this.#address, commands), signal);
  }

  #share(session: HotkeysSession): true {
    this.#others = session;
    const since = Math.round(session.durationMs / 1000);
    this.notes.push({
      kind: 'session-shared',
      message: `A HOTKEYS session of someone else is active since ${since} s: its figures are those of all that time`,
    });
    return true;
  }

  #kept(): HotNote {
    const node = formatAddress(this.#address);
    return {
      kind: 'results-kept',
      message: 'The results of a HOTKEYS session of someone else are still there, and were left there',
      next: [{ do: 'command', node, command: ['HOTKEYS', 'RESET'], when: 'not-needed' }],
    };
  }

  #refused(error: ReplyError): false {
    if (!/unknown command/i.test(error.message))
      this.notes.push({ kind: 'refused', message: `HOTKEYS was refused: ${error.message}` });
    return false;
  }
}

function isFresh({ startedAt, durationMs }: HotkeysSession, time: Reply | undefined): boolean {
  const [seconds] = Array.isArray(time) ? time : [];
  const now = 1000 * Number(seconds);
  return !(now - (startedAt + durationMs) > FRESH_MS);
}
