import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import type { KeyState } from '../../model/key-difference.ts';
import { ANY_LIFE } from '../../nodes/server-clock.ts';
import { openValue } from '../parts/open-value.ts';
import { sameInParts } from '../parts/same-in-parts.ts';
import type { Lot } from '../read-keys.ts';
import { sameExpiry } from './expiry.ts';
import { compareReadings } from './reading.ts';
import type { Side } from './side.ts';

/** Two sides, and the database of each. */
export interface BothSides {
  readonly one: Side;
  readonly other: Side;
  readonly db: number;
  readonly to: number;
}

/** How each key of a lot differs; undefined for those that are the same or gone. Waits until each is served, as `Side.readAll()` does. */
export async function compareLot(sides: BothSides, lot: Lot): Promise<(KeyState | undefined)[]> {
  const { one, other, db, to } = sides;
  const big = lot.isBig ? await compareBigKey(sides, lot.keys[0] ?? '') : undefined;
  if (big !== undefined) return [big === 'same' || big === 'gone' ? undefined : big];
  const [mine, theirs] = await Promise.all([one.readAll(db, lot.keys), other.readAll(to, lot.keys)]);
  return lot.keys.map((_, index) => {
    const [own, their] = [mine[index], theirs[index]];
    return own && their ? compareReadings(own, their) : undefined;
  });
}

/**
 * Compares a big key in parts. One that is written in the meantime may differ. Resolves to undefined if it has to be read whole: its type is
 * not read in parts, or one of the servers refuses or does not answer.
 */
export async function compareBigKey(
  { one, other, db, to }: BothSides,
  key: string,
): Promise<KeyState | 'same' | 'gone' | undefined> {
  const [asking, askingOther] = [one.asking(db, key), other.asking(to, key)];
  if (!asking || !askingOther) return undefined;
  try {
    const [mine, theirs] = await Promise.all([
      openValue(asking, key, false, ANY_LIFE),
      openValue(askingOther, key, false, ANY_LIFE),
    ]);
    if (!mine || !theirs) return mine ? 'missing' : theirs ? 'surplus' : 'gone';
    if (!mine.kind || !theirs.kind) return mine.kind === theirs.kind ? undefined : 'type';
    if (mine.kind !== theirs.kind) return 'type';
    if (!(await sameInParts({ ...mine, kind: mine.kind }, { ...theirs, kind: theirs.kind }))) return 'value';
    const [expiry, theirExpiry] = await Promise.all([
      one.expiryOf(asking, key),
      other.expiryOf(askingOther, key),
    ]);
    return sameExpiry(expiry, theirExpiry) ? 'same' : 'expiry';
  } catch (error) {
    if (error instanceof ReplyError || error instanceof ConnectionError) return undefined;
    throw error;
  }
}
