import { convertKeys } from '../conversion.ts';
import { importFrom } from '../import-source.ts';
import type { Owners } from '../owners.ts';
import { readKeys } from '../read-keys.ts';
import { type KeyLot, scanKeys } from '../scan-keys.ts';
import { writeKeys } from '../write-keys.ts';
import type { ChangedKeys } from './changed-keys.ts';
import type { ChangeCopier } from './copy-changed.ts';
import type { FollowScene } from './follow-scene.ts';

/** Who else writes to the target, and where keys go. */
interface Copying {
  readonly targetOwners: Owners;
  readonly changed: ChangedKeys;
  readonly copier: ChangeCopier;
  /** The database of the target for one of the source. */
  readonly databaseFor: (db: number) => number;
  /** Resolves when changed keys leave room for more. */
  readonly room: () => Promise<void>;
}

/** Copies every key that the target does not have. What it has with another value counts as changed. */
export async function copyEveryKey(scene: FollowScene, copying: Copying): Promise<void> {
  const { source, databases } = scene;
  await scanKeys(source, {
    what: importFrom(source.name),
    databases: databases.map(({ db }) => db),
    listing: {},
    visit: (lot) => copyLot(scene, copying, lot),
  });
}

async function copyLot(
  { target, formats, tally }: FollowScene,
  { targetOwners, changed, copier, databaseFor, room }: Copying,
  { db, keys: names, reader, onElsewhere, isAgain }: KeyLot,
): Promise<void> {
  await room();
  const lot = { db, keys: names };
  changed.hold(lot);
  try {
    const { keys, left } = convertKeys(await readKeys(reader, names, false, onElsewhere), formats);
    const to = databaseFor(db);
    const written = await writeKeys(target.context, targetOwners, keys, { db: to, replace: false });
    tally.add(written.restored, isAgain ? 0 : written.same.length, 0);
    copier.leave(db, [...left, ...written.unread.map(({ key }) => ({ key, why: 'refused' as const }))]);
    // An older value, or one that the streams have brought since.
    for (const { key } of written.conflicts) changed.add(db, key);
  } finally {
    changed.release(lot);
  }
}
