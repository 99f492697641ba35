import { askInfo, persistentKeys } from '../../nodes/node-info.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { pause } from '../../nodes/wait-until.ts';
import { compareLot } from '../compare/both-sides.ts';
import type { Side } from '../compare/side.ts';
import { lots } from '../read-keys.ts';
import type { ChangedLot } from './changed-keys.ts';
import type { Follower } from './follower.ts';
import { type PausedWrites, writableMasters } from './paused-writes.ts';

/** Most keys that changed last that are compared while writes are paused. */
const MOST_COMPARED = 2000;
/** How often a key that differs is read: an expiry may fall in between. */
const [ROUNDS, BETWEEN_ROUNDS_MS] = [3, 50];

/** The keys that were copied last. */
export class RecentKeys {
  readonly #keys = new Map<string, { readonly db: number; readonly key: string }>();

  add({ db, keys }: ChangedLot): void {
    for (const key of keys) {
      const name = `${db} ${key}`;
      this.#keys.delete(name);
      this.#keys.set(name, { db, key });
    }
    for (const name of this.#keys.keys()) {
      if (this.#keys.size <= MOST_COMPARED) return;
      this.#keys.delete(name);
    }
  }

  get lots(): ChangedLot[] {
    const found = new Map<number, string[]>();
    for (const { db, key } of this.#keys.values()) found.set(db, [...(found.get(db) ?? []), key]);
    return [...found].map(([db, keys]) => ({ db, keys }));
  }
}

export interface Verified {
  readonly compared: number;
  /** True if anything differed: it is copied again. */
  readonly differed: boolean;
}

/** Compares the keys that changed last, and how many keys do not expire. */
export async function verifyLastChanges(
  follower: Follower,
  [one, other]: readonly [Side, Side],
  recent: RecentKeys,
  paused: PausedWrites,
): Promise<Verified> {
  const { seen } = follower.changed;
  const { databases } = follower.scene;
  let compared = 0;
  for (const { db, keys } of recent.lots) {
    const to = databases.find((some) => some.db === db)?.to ?? 0;
    const sizes = await one.sizes(db, keys);
    for (const { keys: lot, isBig } of lots(keys, sizes)) {
      compared += lot.length;
      let left = lot;
      for (let round = 1; left.length > 0; round++) {
        if (round > 1) await pause(BETWEEN_ROUNDS_MS);
        const states = await compareLot({ one, other, db, to }, { keys: left, isBig });
        // Of modules, the bytes of one value may differ.
        left = left.filter((_, at) => states[at] !== undefined && states[at] !== 'unknown');
        if (round < ROUNDS) continue;
        for (const key of left) follower.changed.add(db, key);
        break;
      }
    }
  }
  const counts = await Promise.all(
    [one, other].map(async ({ source }, side) => {
      const view = source.view;
      const infos = await inParallel(view ? writableMasters(view) : [], ({ address }) =>
        askInfo(source.context.connections, address, ['keyspace']),
      );
      const numbers = databases.map(({ db, to }) => (side === 0 ? db : to));
      return infos.reduce((sum, info) => sum + persistentKeys(info, numbers), 0);
    }),
  );
  // Also keys of slots that were given away count. What they are, a comparison shows.
  if (counts[0] !== counts[1] && paused.timeLeftMs > 0) await follower.compare();
  return { compared, differed: follower.changed.seen > seen };
}
