import type { RdbKey } from '../../model/rdb.ts';
import { keySlot, parseSlotRange, slotsWhere } from '../../model/slot.ts';
import type { Context } from '../context.ts';
import { inParallelToEnd } from '../parallel.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import { invalid, verifyFile } from './read-files.ts';

/** What is in the files of a backup. */
export interface BackupContent {
  /** Keys by database, those that have expired left out. */
  readonly databases: ReadonlyMap<number, number>;
  /** Keys that had expired when the files were looked at. */
  readonly expired: number;
  /** Keys in the file of a master that did not own their slot. */
  readonly strays: number;
  /** Code of the libraries of functions by name. */
  readonly functions: ReadonlyMap<string, string>;
}

/** Says of a key whether the master of the file owned its slot. */
export function ownership({ slots }: BackupFile): (key: RdbKey) => boolean {
  const ranges = slots.split(' ').filter(Boolean).map(parseSlotRange);
  const owned = new Set(slotsWhere((slot) => ranges.some(([first, last]) => slot >= first && slot <= last)));
  return ({ key }) => owned.has(keySlot(Buffer.from(key, 'latin1')));
}

export function isExpired({ expiresAt }: RdbKey): boolean {
  return expiresAt !== undefined && expiresAt <= Date.now();
}

/** Verifies every file of a backup, and counts. Rejects with ClusterError `BACKUP_INVALID` or `FILE_FAILED`. */
export async function surveyFiles(
  { signal }: Context,
  dir: string,
  { masters }: BackupManifest,
): Promise<BackupContent> {
  const databases = new Map<number, number>();
  const functions = new Map<string, string>();
  let [expired, strays] = [0, 0];
  const look = async (file: BackupFile, either: AbortSignal): Promise<void> => {
    const isOwned = ownership(file);
    await verifyFile(dir, file, either, (item) => {
      if (item.kind === 'functions') {
        functions.set(libraryName(item.code, file), item.code);
      } else if (isExpired(item)) {
        expired += 1;
      } else {
        databases.set(item.db, (databases.get(item.db) ?? 0) + 1);
        if (!isOwned(item)) strays += 1;
      }
    });
  };
  await inParallelToEnd(masters, look, 2, signal);
  return { databases: new Map([...databases].sort(([a], [b]) => a - b)), expired, strays, functions };
}

// `#!lua name=mylib` (functionsCreateWithLibraryCtx)
function libraryName(code: string, { file }: BackupFile): string {
  const [, name] = /^#!.*?\bname=(\w+)/.exec(code) ?? [];
  if (name === undefined) throw invalid(file, 'it has a library of functions without a name');
  return name;
}
