import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError, messageOf } from '../../errors.ts';
import { type RdbItem, RdbWalker } from '../../rdb/rdb.ts';
import { RdbFault } from '../../rdb/rdb-bytes.ts';
import { inFile, MANIFEST } from './files.ts';
import { type BackupFile, type BackupManifest, parseManifest } from './manifest.ts';

const CHUNK_BYTES = 1024 * 1024;
/** More than a manifest for a thousand masters takes. */
const MOST_MANIFEST_BYTES = 16 * 1024 * 1024;

/** Reads the manifest in a directory. Rejects with ClusterError `FILE_FAILED`, or `BACKUP_INVALID` if it is not a manifest. */
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

/** The error for a file that differs from the one saved. */
export function invalid(file: string, why: string, cause?: unknown): ClusterError {
  return new ClusterError('BACKUP_INVALID', `Cannot read "${file}" of the backup: ${why}`, {
    hint: 'Nothing was changed. Use another backup, or another copy of this one',
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
 * Reads a whole file, checks that it is the file saved and can be parsed, and calls `onItem` for each item in it. Rejects
 * with ClusterError `BACKUP_INVALID`, which names the file and the position, or `FILE_FAILED`.
 */
export async function verifyFile(
  dir: string,
  { file, bytes, sha256 }: BackupFile,
  signal: AbortSignal,
  onItem: (item: RdbItem, version: number) => void,
): Promise<void> {
  const path = join(dir, file);
  const { size } = await inFile('read', path, () => stat(path));
  if (size !== bytes) throw invalid(file, `it has ${size} bytes, but ${bytes} were saved`);
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const walker = new RdbWalker();
  let fault: RdbFault | undefined;
  // If the file was changed, that is the error to report, so keep reading after a parse error.
  const look = (read: () => RdbItem[]): void => {
    try {
      if (!fault) for (const item of read()) onItem(item, walker.version);
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
  if (!isSame) throw invalid(file, `its SHA-256 differs from the one saved${where && `; ${where}`}`);
  if (fault) throw invalid(file, where, fault);
}

/** The items of a verified file, each time with its RDB version. */
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
    throw invalid(
      file,
      `it was changed in the meantime: at byte ${error.offset} it has ${error.message}`,
      error,
    );
  }
}
