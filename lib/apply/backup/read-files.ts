import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError, messageOf } from '../../errors.ts';
import { type RdbItem, RdbWalker } from '../../model/rdb.ts';
import { RdbFault } from '../../model/rdb-bytes.ts';
import { inFile, MANIFEST } from './files.ts';
import { type BackupFile, type BackupManifest, parseManifest } from './manifest.ts';

const CHUNK_BYTES = 1024 * 1024;
/** A manifest of a thousand masters is not as long. */
const MOST_MANIFEST_BYTES = 16 * 1024 * 1024;

/** Reads the manifest of a directory. Rejects with ClusterError `FILE_FAILED`, or `BACKUP_INVALID` for what is none. */
export async function readManifest(dir: string): Promise<BackupManifest> {
  const path = join(dir, MANIFEST);
  const text = await inFile('read', path, async () => {
    const { size } = await stat(path);
    if (size > MOST_MANIFEST_BYTES) throw invalid(MANIFEST, `it has ${size} bytes`);
    const file = await open(path, 'r');
    try {
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  });
  try {
    return parseManifest(text);
  } catch (error) {
    throw invalid(MANIFEST, messageOf(error));
  }
}

/** The error for a file that is not what was saved. */
export function invalid(file: string, why: string, cause?: unknown): ClusterError {
  return new ClusterError('BACKUP_INVALID', `Cannot restore "${file}": ${why}`, {
    hint: 'Nothing was changed. Take another backup, or another copy of this one',
    ...(cause === undefined ? {} : { cause }),
  });
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const file = await inFile('read', path, () => open(path, 'r'));
  try {
    const buffer = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await inFile('read', path, () => file.read(buffer, 0, CHUNK_BYTES));
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * Reads a file from end to end and has everything in it looked at: that it is what was saved, byte by byte, and can be read.
 * Rejects with ClusterError `BACKUP_INVALID`, which names the file and the place, or `FILE_FAILED`.
 */
export async function verifyFile(
  dir: string,
  { file, bytes, sha256 }: BackupFile,
  signal: AbortSignal,
  onItem: (item: RdbItem) => void,
): Promise<void> {
  const path = join(dir, file);
  const { size } = await inFile('read', path, () => stat(path));
  if (size !== bytes) throw invalid(file, `it has ${size} bytes, and ${bytes} were saved`);
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const walker = new RdbWalker();
  let fault: RdbFault | undefined;
  // A file that was changed is told as that, whatever its parts look like then.
  const look = (read: () => RdbItem[]): void => {
    try {
      if (!fault) for (const item of read()) onItem(item);
    } catch (error) {
      if (!(error instanceof RdbFault)) throw error;
      fault = error;
    }
  };
  for await (const chunk of chunksOf(path)) {
    signal.throwIfAborted();
    hash.update(chunk);
    look(() => walker.push(chunk));
  }
  look(() => walker.end());
  const where = fault ? `at byte ${fault.offset} it has ${fault.message}` : '';
  const isSame = hash.digest('hex') === sha256;
  if (!isSame) throw invalid(file, `its SHA-256 is not that of what was saved${where && `; ${where}`}`);
  if (fault) throw invalid(file, where, fault);
}

/** The items of a file that was verified, and the version of its format with each. */
export async function* itemsOf(
  dir: string,
  { file }: BackupFile,
): AsyncGenerator<{ readonly items: readonly RdbItem[]; readonly version: number }> {
  const walker = new RdbWalker(false);
  try {
    for await (const chunk of chunksOf(join(dir, file)))
      yield { items: walker.push(chunk), version: walker.version };
    yield { items: walker.end(), version: walker.version };
  } catch (error) {
    if (!(error instanceof RdbFault)) throw error;
    throw invalid(file, `it was changed meanwhile: at byte ${error.offset} it has ${error.message}`, error);
  }
}
