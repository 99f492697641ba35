import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import type { KeyState } from '../../model/key-difference.ts';
import { isExpiredHash, valueDifference } from '../../rdb/dump.ts';
import { type Expiry, type ExpiryCommand, expiriesOf, NEVER, sameExpiry } from './expiry.ts';

/** A key as one side has it. */
export interface Reading extends Expiry {
  /** Its value as DUMP; undefined if there is no such key. */
  readonly dump: string | undefined;
}

/** Why a key could not be read: its node does not serve it now. */
export type Unread = ReplyError;

/** What to send to read keys; all of it in one write. */
export function readingCommands(keys: readonly string[], expiry: ExpiryCommand): Command[] {
  if (expiry === 'INFO') return [['INFO', 'keyspace'], ...keys.map((key): Command => ['DUMP', key])];
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
  const expiryOf = expiriesOf(clock, expiry, sentAt, answeredAt);
  const stride = expiry === 'INFO' ? 1 : 2;
  const readings: (Reading | Unread)[] = [];
  for (let at = 0; at < rest.length; at += stride) {
    const [when = null, dump = null] = stride === 1 ? [null, rest[at]] : [rest[at], rest[at + 1]];
    if (when instanceof ReplyError || dump instanceof ReplyError) {
      readings.push(when instanceof ReplyError ? when : (dump as ReplyError));
      continue;
    }
    const isThere = typeof dump === 'string';
    readings.push({ dump: isThere ? dump : undefined, ...(isThere ? expiryOf(when) : NEVER) });
  }
  return readings;
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
    const only = one.dump ?? other.dump;
    // A source whose writes are paused keeps it.
    if (only === undefined || isExpiredHash(only, now)) return undefined;
    return one.dump === undefined ? 'surplus' : 'missing';
  }
  return valueDifference(one.dump, other.dump, now) ?? (sameExpiry(one, other) ? undefined : 'expiry');
}
