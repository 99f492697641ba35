import { type Command, type Reply, ReplyError } from '../../resp/index.ts';
import type { Address } from '../model/address.ts';
import type { Connections } from './connections.ts';
import { ttlOf } from './key-content.ts';
import { serverTime } from './node-info.ts';
import { inParallel } from './parallel.ts';

/** How often a clock is read at most, until an answer takes no longer than this. The soonest counts: the others waited for what the server did before. */
const [SAMPLES, SOON_MS] = [5, 1];
/** A key that has less to live is not given a time: if that has passed by then, the key is deleted at once. */
const SHORT_MS = 1000;
/** After this time it is read again. Clocks drift apart by some milliseconds in it. */
const FRESH_MS = 60_000;

/** How to ask a server what is left of the life of a key. */
export interface LifeQuestion {
  /** As many for each key. */
  readonly commands: (key: string) => readonly Command[];
  /**
   * What is left when `performance.now()` is `readAt`, in milliseconds; undefined for a key that does not expire. Throws a ReplyError if the
   * server refuses.
   */
  readonly left: (replies: readonly Reply[], readAt: number) => number | undefined;
  /** What to add to `performance.now()` for what the server's clock says, in milliseconds since 1970; undefined if that is not known. */
  readonly offsetMs: number | undefined;
}

/**
 * What is copied of an expiry is what is left of the key's life, as with MIGRATE: clients see that, whatever the clocks of the servers say. But
 * it is asked for, and written, as a time by the clock of each: a DUMP or a RESTORE of a large value, and all that is in between, may take seconds, which must
 * not count. `canSayWhen`: the server has PEXPIRETIME.
 */
export function lifeQuestion(offsetMs: number | undefined, canSayWhen: boolean): LifeQuestion {
  const isTime = offsetMs !== undefined && canSayWhen;
  return {
    offsetMs,
    commands: (key) =>
      isTime ? [['PEXPIRETIME', key]] : [...(offsetMs === undefined ? [] : [['TIME']]), ['PTTL', key]],
    left: (replies, readAt) => {
      const reply = replies.at(-1) ?? null;
      if (reply instanceof ReplyError) throw reply;
      const number = ttlOf(reply);
      if (number === undefined || offsetMs === undefined) return number;
      const from = isTime ? 0 : (serverTime(replies[0]) ?? offsetMs + readAt);
      return from + number - offsetMs - readAt;
    },
  };
}

/** Gives a key so much time to live from now on, in milliseconds. */
export function expireCommand(key: string, leftMs: number, { offsetMs }: LifeQuestion): Command {
  if (offsetMs === undefined || leftMs < SHORT_MS) return ['PEXPIRE', key, leftMs];
  return ['PEXPIREAT', key, Math.round(offsetMs + performance.now() + leftMs)];
}

/** For a server whose clock does not matter. */
export const ANY_LIFE: LifeQuestion = lifeQuestion(undefined, false);

/** The clock of a server, which may differ from ours. */
export class ServerClock {
  readonly #connections: Connections;
  readonly #address: Address;
  #question: Promise<LifeQuestion> | undefined;
  #readAt = 0;

  constructor(connections: Connections, address: Address) {
    this.#connections = connections;
    this.#address = address;
  }

  /** How to ask this server. Without the right to run TIME, what it answers is taken as of when the answer comes. */
  question(): Promise<LifeQuestion> {
    const now = performance.now();
    if (this.#question && now - this.#readAt < FRESH_MS) return this.#question;
    this.#readAt = now;
    const question = this.#read();
    this.#question = question;
    question.catch(() => {
      this.#question = undefined;
    });
    return question;
  }

  async #read(): Promise<LifeQuestion> {
    let [offsetMs, shortest]: [number | undefined, number] = [undefined, Number.POSITIVE_INFINITY];
    let canSayWhen = false;
    for (let sample = 0; sample < SAMPLES && shortest > SOON_MS; sample++) {
      const sentAt = performance.now();
      const [time, when] = await this.#connections.askAll(this.#address, [['TIME'], ['PEXPIRETIME', '']]);
      const tookMs = performance.now() - sentAt;
      const now = serverTime(time);
      // Another node may have the slot of that key. A refusal is of the command.
      canSayWhen = !(when instanceof ReplyError && ['ERR', 'NOPERM'].includes(when.code));
      if (now === undefined) break;
      if (tookMs < shortest) [offsetMs, shortest] = [now - sentAt - tookMs / 2, tookMs];
    }
    return lifeQuestion(offsetMs, canSayWhen);
  }
}

/** What time it is, in milliseconds since 1970, by the clock of these servers that is behind the others; by ours if one does not say. */
export async function earliestClock(
  connections: Connections,
  addresses: readonly Address[],
): Promise<() => number> {
  const offsets = await inParallel(addresses, async (address) => {
    const { offsetMs } = await new ServerClock(connections, address).question();
    return offsetMs ?? Date.now() - performance.now();
  });
  const offset = Math.min(...offsets);
  return () => offset + performance.now();
}
