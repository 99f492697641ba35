import type { Command } from '../../resp/index.ts';
import { convertKeys, type LeftKey } from './conversion.ts';
import { copyInParts } from './parts/copy-in-parts.ts';
import { keyThatLeaves } from './parts/part-name.ts';
import type { Destination } from './parts/write-in-parts.ts';
import { type Lot, type OnElsewhere, readKeys } from './read-keys.ts';
import type { KeyReader } from './scan-keys.ts';
import { type StoredKey, type Written, writeKeys } from './write-keys.ts';

/** What became of the keys of a lot. */
export interface Copied extends Written {
  /** Keys that were not sent, since the cluster cannot hold them. */
  readonly left: readonly LeftKey[];
}

export interface CopyOptions {
  /** The keys are to be deleted at the source: see `readKeys()`. */
  readonly isWatched?: boolean;
  /** Keys that are gone at the source are deleted in the cluster. */
  readonly deletesGone?: boolean;
  readonly onElsewhere?: OnElsewhere | undefined;
}

/** Copies keys, a big one in parts. `from.reader` is for this lot alone. Rejects as `readKeys()` and `writeKeys()` do. */
export async function copyKeys(
  from: KeyReader,
  lot: Lot,
  to: Destination,
  { isWatched = false, deletesGone = false, onElsewhere }: CopyOptions,
): Promise<Copied> {
  const leaving = await leavingAmong(from, lot.keys);
  const names = lot.keys.filter((key) => !leaving.includes(key));
  const inParts = lot.isBig && names[0] !== undefined ? await copyInParts(from, names[0], to) : undefined;
  if (inParts) return inParts;
  const elsewhere = new Set<string>();
  const life = await from.clock.question();
  const onOther = onElsewhere && ((key: string) => elsewhere.add(key));
  const read = await readKeys(from.reader, names, isWatched, life, onOther);
  for (const key of elsewhere) onElsewhere?.(key);
  const { keys, left } = convertKeys(read, to.readers);
  const found = new Set(read.map(({ key }) => key));
  const gone = deletesGone ? names.filter((key) => !found.has(key) && !elsewhere.has(key)) : [];
  const deletions = gone.map(
    (key): StoredKey => ({ key, dump: '', ttlMs: undefined, readAt: 0, isGone: true }),
  );
  return {
    ...(await writeKeys(to.context, to.owners, [...keys, ...deletions], to)),
    left: [...left, ...leaving.map((key): LeftKey => ({ key, why: 'leaving' }))],
  };
}

/** Streams among these keys that are not under their own names: to no other name may they be copied, and only a move may give them that. */
async function leavingAmong({ reader }: KeyReader, keys: readonly string[]): Promise<string[]> {
  const named = keys.filter((key) => keyThatLeaves(key) !== undefined);
  if (named.length === 0) return named;
  const replies = await reader.pipeline(named.map((key): Command => ['EXISTS', key]));
  // The others are gone, or elsewhere: as of every key, that shows when they are read.
  return named.filter((_, index) => replies[index] === 1);
}
