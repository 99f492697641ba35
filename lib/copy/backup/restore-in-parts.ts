import { holdStreamCounts } from '../../rdb/convert.ts';
import { readDump } from '../../rdb/dump.ts';
import { RdbFault, Shortage } from '../../rdb/rdb-bytes.ts';
import { decodedValue } from '../parts/decoded-value.ts';
import { type HeldValue, held, sameHeld } from '../parts/same-in-parts.ts';
import { writeTail } from '../parts/stream-tail.ts';
import {
  type CopiedInParts,
  compareWithOwner,
  type Destination,
  failed,
  inParts,
  onOwner,
  writeInParts,
} from '../parts/write-in-parts.ts';
import { nothing, type StoredKey } from '../write-keys.ts';

/**
 * Writes a big value of a file in parts, so that the owner of the key is not held up by it; with `comparesOnly` only looks whether it is
 * there. Resolves to undefined if that cannot be done, and nothing was changed: the value is of a module or damaged, or a stream that commands
 * cannot write, or the user may not run one of the commands. Rejects as `writeKeys()` does.
 */
export async function restoreInParts(
  stored: StoredKey,
  to: Destination,
  comparesOnly: boolean,
  now: number,
): Promise<CopiedInParts | undefined> {
  try {
    const value = readDump(stored.dump);
    const decoded = value && decodedValue(value, now);
    return decoded && (await restoreDecoded(decoded, stored, to, comparesOnly));
  } catch (error) {
    if (error instanceof RdbFault || error instanceof Shortage) return undefined;
    throw error;
  }
}

async function restoreDecoded(
  value: HeldValue,
  stored: StoredKey,
  to: Destination,
  comparesOnly: boolean,
): Promise<CopiedInParts | undefined> {
  const tail = await value.tail?.();
  if (tail?.facts.isBeyondCommands && !comparesOnly) return undefined;
  const { key, expiresAt } = stored;
  const bytes = stored.dump.length;
  return inParts(key, to, async (owner, name) => {
    const clock = to.owners.clockOf(owner);
    const { offsetMs } = await clock.question().catch(failed);
    const ttlNow = () => {
      const now = offsetMs === undefined ? Date.now() : offsetMs + performance.now();
      return expiresAt === undefined ? undefined : Math.max(1, Math.round(expiresAt - now));
    };
    return onOwner(to, owner, async (connection) => {
      const isSame =
        to.replace && !comparesOnly
          ? undefined
          : await compareWithOwner(connection, owner, to, { key, ttlNow }, (other) =>
              sameHeld(value, held(other)),
            );
      const copied = { ...stored, bytes };
      if (isSame !== undefined) return { ...nothing(), left: [], [isSame ? 'same' : 'conflicts']: [copied] };
      if (comparesOnly) return { ...nothing(), left: [], missing: [copied] };
      return writeInParts(connection, name, { key, ...value, ttlNow }, to, clock, async (unfinished) =>
        !tail || (await writeTail(unfinished, tail, holdStreamCounts(to.readers))) ? 'written' : undefined,
      );
    });
  });
}
