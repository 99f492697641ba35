import { parseSlotRange, slotOfKey, slotsWhere } from '../../model/slot.ts';
import type { Context } from '../../nodes/context.ts';
import { inParallelToEnd } from '../../nodes/parallel.ts';
import { dumpOf } from '../../rdb/dump.ts';
import type { RdbKey } from '../../rdb/rdb.ts';
import { readsRdb } from '../../rdb/versions.ts';
import { convertKeys, type Outlook, OutlookTally } from '../conversion.ts';
import type { StoredKey } from '../write-keys.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import { invalid, verifyFile } from './read-files.ts';

/** The content of the files of a backup. */
export interface BackupContent {
  /** By database: the number of keys, without expired ones. */
  readonly databases: ReadonlyMap<number, number>;
  /** Number of expired keys. */
  readonly expired: number;
  /** Number of keys in the file of a master that did not own their slot. */
  readonly strays: number;
  /** By name of a function library: its code. */
  readonly functions: ReadonlyMap<string, string>;
  /** How the keys would be written. */
  readonly outlook: Outlook;
}

/** Returns a function that says whether the master of the file owned the slot of a key. */
export function ownership({ slots }: BackupFile): (key: RdbKey) => boolean {
  const ranges = slots.split(' ').filter(Boolean).map(parseSlotRange);
  const owned = new Set(slotsWhere((slot) => ranges.some(([first, last]) => slot >= first && slot <= last)));
  return ({ key }) => owned.has(slotOfKey(key));
}

export function isExpired({ expiresAt }: RdbKey, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now;
}

/** A key of a file as a DUMP payload. */
export function storedKey({ key, type, value, expiresAt }: RdbKey, version: number): StoredKey {
  const readAt = performance.now();
  const dump = dumpOf(type, value, version);
  if (expiresAt === undefined) return { key, dump, ttlMs: undefined, readAt };
  return { key, dump, ttlMs: expiresAt - Date.now(), readAt, expiresAt };
}

/**
 * Verifies every file of a backup, counts its keys, and finds out how they would be written for servers of these RDB versions. `now`: the
 * time by which keys have expired.
 * Rejects with ClusterError `BACKUP_INVALID` or `FILE_FAILED`.
 */
export async function surveyFiles(
  { signal }: Context,
  dir: string,
  { masters }: BackupManifest,
  readers: readonly number[],
  now: () => number,
): Promise<BackupContent> {
  const tally = new OutlookTally();
  const databases = new Map<number, number>();
  const functions = new Map<string, string>();
  let [expired, strays] = [0, 0];
  const look = async (file: BackupFile, either: AbortSignal): Promise<void> => {
    const isOwned = ownership(file);
    await verifyFile(dir, file, either, (item, version) => {
      if (item.kind === 'functions') {
        functions.set(libraryName(item.code, file), item.code);
      } else if (isExpired(item, now())) {
        expired += 1;
      } else {
        databases.set(item.db, (databases.get(item.db) ?? 0) + 1);
        if (!isOwned(item)) strays += 1;
        if (!readers.every((reader) => readsRdb(reader, version)))
          tally.add(convertKeys([storedKey(item, version)], readers));
      }
    });
  };
  await inParallelToEnd(masters, look, 2, signal);
  return {
    databases: new Map([...databases].sort(([a], [b]) => a - b)),
    expired,
    strays,
    functions,
    outlook: tally.outlook,
  };
}

// `#!lua name=mylib` (functionsCreateWithLibraryCtx)
function libraryName(code: string, { file }: BackupFile): string {
  const [, name] = /^#!.*?\bname=(\w+)/.exec(code) ?? [];
  if (name === undefined) throw invalid(file, 'it has a function library without a name');
  return name;
}
