import { LARGEST_INT } from '../model/numbers.ts';
import { readSlotKeys } from './by-migrate/key-feed.ts';
import type { StrayKey } from './by-migrate/stray-keys.ts';
import { askAbout, askTargetIn, countByDatabase, type Ends } from './ends.ts';

/** Keys whose existence is asked for at once. */
const ASKED_AT_ONCE = 1000;

/**
 * Keys of some slots that the target holds and the source does not, which owns these slots. The target must own or import them. Such a
 * key may have been deleted at the source, or have been moved: only a person knows.
 */
export async function onlyAtTarget(ends: Ends, slots: readonly number[]): Promise<StrayKey[]> {
  const found: StrayKey[] = [];
  for (const [db, counts] of await countByDatabase(ends, slots, 'target')) {
    for (const [index, slot] of slots.entries()) {
      if (counts[index] === 0) continue;
      const [list] = await askTargetIn(ends, db, [['CLUSTER', 'GETKEYSINSLOT', slot, LARGEST_INT]]);
      const keys = readSlotKeys(list);
      for (let at = 0; at < keys.length; at += ASKED_AT_ONCE) {
        const some = keys.slice(at, at + ASKED_AT_ONCE);
        const there = await askAbout(ends, 'source', db, ['EXISTS'], some);
        found.push(...some.filter((_, at) => there[at] === 0).map((key) => ({ slot, db, key })));
      }
    }
  }
  return found;
}
