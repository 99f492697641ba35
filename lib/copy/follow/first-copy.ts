import { copyKeys } from '../copy-lot.ts';
import { importFrom } from '../import-source.ts';
import { type KeyLot, scanKeys } from '../scan-keys.ts';
import type { ChangedKeys } from './changed-keys.ts';
import type { ChangeCopier } from './copy-changed.ts';
import type { FollowScene } from './follow-scene.ts';

/** Who else writes to the target, and where keys go. */
interface Copying {
  readonly changed: ChangedKeys;
  readonly copier: ChangeCopier;
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
  { tally }: FollowScene,
  { changed, copier, room }: Copying,
  lot: KeyLot,
): Promise<void> {
  await room();
  const { db, onElsewhere, isAgain, isBig } = lot;
  if (isBig) copier.expectBig();
  changed.hold(lot);
  try {
    const to = { ...copier.destination(db), replace: false };
    const written = await copyKeys(lot, lot, to, { onElsewhere });
    tally.add(written.restored, isAgain ? 0 : written.same.length, 0);
    copier.leave(db, written);
    // An older value, or one that the streams have brought since.
    for (const { key } of written.conflicts) changed.add(db, key);
  } finally {
    changed.release(lot);
  }
}
