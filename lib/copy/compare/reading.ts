import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import type { KeyState } from '../../model/key-difference.ts';
import { sameTtl } from '../../nodes/key-content.ts';
import { valueDifference } from '../../rdb/dump.ts';

/** A key as one side has it. */
export interface Reading {
  /** Its value as DUMP; undefined if there is no such key. */
  readonly dump: string | undefined;
  /** When it expires, by `performance.now()`; undefined if it does not. */
  readonly expiresAt: number | undefined;
  /** The same by the clock of its server, in milliseconds since 1970, if the server can say so. */
  readonly serverExpiresAt: number | undefined;
  /** How many milliseconds off `expiresAt` may be, due to the time that the commands took. */
  readonly slackMs: number;
}

/** Why a key could not be read: its node does not serve it now. */
export type Unread = ReplyError;

/** How expiries are asked for: as times, if all servers on a side can, or as times to live. */
export type ExpiryCommand = 'PEXPIRETIME' | 'PTTL';

/** What to send to read keys; all of it in one write. */
export function readingCommands(keys: readonly string[], expiry: ExpiryCommand): Command[] {
  return [
    ['TIME'],
    ...keys.flatMap((key): Command[] => [
      [expiry, key],
      ['DUMP', key],
    ]),
  ];
}

/** Reads the replies to these commands, which were sent and answered at these times by `performance.now()`. */
export function readingsIn(
  replies: readonly Reply[],
  expiry: ExpiryCommand,
  sentAt: number,
  answeredAt: number,
): (Reading | Unread)[] {
  const [clock = null, ...rest] = replies;
  const serverNow = expiry === 'PEXPIRETIME' ? timeOf(clock) : undefined;
  const middle = (sentAt + answeredAt) / 2;
  const slackMs = (answeredAt - sentAt) / 2;
  const readings: (Reading | Unread)[] = [];
  for (let at = 0; at < rest.length; at += 2) {
    const [when = null, dump = null] = [rest[at], rest[at + 1]];
    if (when instanceof ReplyError || dump instanceof ReplyError) {
      readings.push(when instanceof ReplyError ? when : (dump as ReplyError));
      continue;
    }
    const isThere = typeof dump === 'string';
    const number = isThere && Number(when) >= 0 ? Number(when) : undefined;
    const isTime = expiry === 'PEXPIRETIME';
    const left = number === undefined ? undefined : isTime ? number - (serverNow ?? Date.now()) : number;
    readings.push({
      dump: isThere ? dump : undefined,
      expiresAt: left === undefined ? undefined : middle + left,
      serverExpiresAt: isTime ? number : undefined,
      slackMs,
    });
  }
  return readings;
}

function timeOf(reply: Reply): number | undefined {
  return Array.isArray(reply) ? 1000 * Number(reply[0]) + Number(reply[1]) / 1000 : undefined;
}

/**
 * How a key differs between two sides; undefined if it is the same, or gone from both. Expiries are the same if they are by the
 * clocks of the servers or by what is left of them: clocks differ, and what copied the key went by one or the other.
 */
export function compareReadings(
  one: Reading,
  other: Reading,
  now: number = Date.now(),
): KeyState | undefined {
  if (one.dump === undefined || other.dump === undefined) {
    if (one.dump === other.dump) return undefined;
    return one.dump === undefined ? 'surplus' : 'missing';
  }
  return valueDifference(one.dump, other.dump, now) ?? (sameExpiry(one, other) ? undefined : 'expiry');
}

function sameExpiry(one: Reading, other: Reading): boolean {
  if (sameTtl(one.expiresAt, other.expiresAt, one.slackMs + other.slackMs)) return true;
  if (one.serverExpiresAt === undefined || other.serverExpiresAt === undefined) return false;
  return sameTtl(one.serverExpiresAt, other.serverExpiresAt);
}
