import type { Reply } from '../../../resp/index.ts';
import { sameTtl } from '../../nodes/key-content.ts';
import { expiringKeys, parseInfo, serverTime } from '../../nodes/node-info.ts';

/** When a key expires, as one side says. */
export interface Expiry {
  /** By `performance.now()`; undefined if it does not. */
  readonly expiresAt: number | undefined;
  /** The same by the clock of its server, in milliseconds since 1970, if the server can say so. */
  readonly serverExpiresAt: number | undefined;
  /** How many milliseconds off `expiresAt` may be, due to the time that the commands took. */
  readonly slackMs: number;
}

export const NEVER: Expiry = { expiresAt: undefined, serverExpiresAt: undefined, slackMs: 0 };

/**
 * How expiries are asked for: as times, if all servers on a side can, or as times to live. With INFO the node is to say that no key of
 * the database expires, which saves a command for each: `someExpire` reads what it said.
 */
export type ExpiryCommand = 'PEXPIRETIME' | 'PTTL' | 'INFO';

/** True unless a node's INFO says that no key of this database expires. */
export function someExpire(reply: Reply | undefined, db: number): boolean {
  return typeof reply !== 'string' || expiringKeys(parseInfo(reply), db) > 0;
}

/** Reads replies to PEXPIRETIME or PTTL, with the one to TIME. */
export function expiriesOf(
  clock: Reply,
  expiry: ExpiryCommand,
  sentAt: number,
  answeredAt: number,
): (when: Reply) => Expiry {
  const isTime = expiry === 'PEXPIRETIME';
  const serverNow = isTime ? (serverTime(clock) ?? Date.now()) : 0;
  const middle = (sentAt + answeredAt) / 2;
  const slackMs = (answeredAt - sentAt) / 2;
  const never = { ...NEVER, slackMs };
  return (when) => {
    const number = Number(when ?? -1);
    if (!(number >= 0)) return never;
    return {
      expiresAt: middle + number - serverNow,
      serverExpiresAt: isTime ? number : undefined,
      slackMs,
    };
  };
}

/** Expiries are the same if they are by the clocks of the servers or by what is left of them: clocks differ, and what copied the key went by one or the other. */
export function sameExpiry(one: Expiry, other: Expiry): boolean {
  if (sameTtl(one.expiresAt, other.expiresAt, one.slackMs + other.slackMs)) return true;
  if (one.serverExpiresAt === undefined || other.serverExpiresAt === undefined) return false;
  return sameTtl(one.serverExpiresAt, other.serverExpiresAt);
}
