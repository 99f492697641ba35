import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { PASSING } from '../write-keys.ts';
import { type Expiry, type ExpiryCommand, expiriesOf, NEVER, sameExpiry } from './expiry.ts';

/** Keys that are read with one MGET. Nothing else runs on their node in the meantime. */
const MOST_STRINGS = 100;

/** The strings among some keys, by the place of the key. */
export interface Strings {
  /** Undefined for a key that is not a string, does not exist or is not served. */
  readonly values: (string | undefined)[];
  /** Undefined for a key that does not expire. */
  readonly expiries: (Expiry | undefined)[];
  /** True if the user may not run MGET, or the server does not know it by that name. */
  isRefused: boolean;
}

/**
 * What to send to read the strings among keys, several with one command: of one slot unless `slots` is undefined. The bytes of strings
 * are their value in any version, and to send them costs half as much as a DUMP.
 */
export function stringCommands(
  keys: readonly string[],
  slots: readonly number[] | undefined,
  expiry: ExpiryCommand,
): Command[] {
  const commands: Command[] =
    expiry === 'INFO' ? [['INFO', 'keyspace']] : [['TIME'], ...keys.map((key): Command => [expiry, key])];
  let some: string[] = [];
  for (const [index, key] of keys.entries()) {
    const isNext = index > 0 && slots?.[index] === slots?.[index - 1] && some.length <= MOST_STRINGS;
    if (isNext) some.push(key);
    else {
      some = ['MGET', key];
      commands.push(some);
    }
  }
  return commands;
}

/** Reads the replies to these commands. */
export function stringsIn(
  replies: readonly Reply[],
  commands: readonly Command[],
  expiry: ExpiryCommand,
  sentAt: number,
  answeredAt: number,
): Strings {
  const found: Strings = { values: [], expiries: [], isRefused: false };
  const { values } = found;
  const expiryOf = expiriesOf(replies[0] ?? null, expiry, sentAt, answeredAt);
  const times: Reply[] = [];
  for (const [index, command] of commands.entries()) {
    if (index === 0) continue;
    const reply = replies[index] ?? null;
    if (command[0] !== 'MGET') times.push(reply);
    else {
      if (reply instanceof ReplyError && !PASSING.has(reply.code)) found.isRefused = true;
      for (let place = 0; place < command.length - 1; place++) {
        const value = Array.isArray(reply) ? reply[place] : undefined;
        values.push(typeof value === 'string' ? value : undefined);
      }
    }
  }
  for (const [place, when] of times.entries()) {
    if (when instanceof ReplyError) values[place] = undefined;
    else if (Number(when) >= 0) found.expiries[place] = expiryOf(when);
  }
  return found;
}

/** True if a key is a string on both sides, with the same value and expiry. */
export function sameString(one: Strings, other: Strings, place: number): boolean {
  const value = one.values[place];
  if (value === undefined || value !== other.values[place]) return false;
  const [mine, theirs] = [one.expiries[place], other.expiries[place]];
  return mine === theirs || sameExpiry(mine ?? NEVER, theirs ?? NEVER);
}
