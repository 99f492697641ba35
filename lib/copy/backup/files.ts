import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError, messageOf } from '../../errors.ts';

/** For the owner only: the files hold all data of the cluster. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * The directory of a new backup, which must be empty or not exist. Files created in it can be removed again.
 * Every method rejects with ClusterError `FILE_FAILED` if the file system reports an error.
 */
export class BackupFolder {
  readonly path: string;
  readonly #made: string[] = [];
  #isNew = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Creates the directory or checks that it is empty. Rejects with ClusterError `DIRECTORY_NOT_EMPTY` if it is not. */
  async claim(): Promise<void> {
    await inFile('make the directory', this.path, async () => {
      this.#isNew = await mkdir(this.path, { mode: FOLDER_MODE }).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'EEXIST') return false;
          throw error;
        },
      );
    });
    const names = await inFile('read the directory', this.path, () => readdir(this.path));
    if (names.length === 0) return;
    const isLeft = names.every((name) => OWN_FILE.test(name));
    const holds = isLeft ? 'it holds the files of one that was interrupted' : 'it is not empty';
    throw new ClusterError(
      'DIRECTORY_NOT_EMPTY',
      `Cannot write a backup to "${this.path}": ${names.includes(MANIFEST) ? 'it holds one already' : holds}`,
      {
        hint: `Nothing was changed. Name a directory that is empty or does not exist${isLeft ? ', or delete these files' : ''}`,
      },
    );
  }

  /** Creates a file under a temporary name. It gets its name when it is finished. */
  async begin(name: string): Promise<PartFile> {
    const path = join(this.path, name);
    const part = `${path}${PART}`;
    const handle = await inFile('write', part, () => open(part, 'wx', FILE_MODE));
    this.#made.push(part, path);
    return new PartFile(handle, part, path);
  }

  /** Writes a whole file. */
  async write(name: string, text: string): Promise<void> {
    const file = await this.begin(name);
    try {
      await file.write(Buffer.from(text));
      await file.finish();
    } finally {
      await file.close();
    }
    await this.#sync();
  }

  // Makes the names durable, on systems that can sync a directory.
  async #sync(): Promise<void> {
    const handle = await open(this.path, 'r').catch(() => undefined);
    await handle?.sync().catch(() => undefined);
    await handle?.close();
  }

  /** Removes all files created, and the directory if it was created too. */
  async clear(): Promise<void> {
    await Promise.allSettled(this.#made.map((path) => rm(path, { force: true })));
    if (this.#isNew) await rmdir(this.path).catch(() => undefined);
  }
}

/** The file that describes the others. Written last. */
export const MANIFEST = 'manifest.json';
const PART = '.part';
/** Files that a killed process leaves behind without a manifest. */
const OWN_FILE = /^(redis-node-.*\.rdb(\.part)?|manifest\.json\.part)$/;

/** A file being written. */
export class PartFile {
  readonly #handle: FileHandle;
  readonly #part: string;
  readonly #path: string;
  #isOpen = true;

  constructor(handle: FileHandle, part: string, path: string) {
    this.#handle = handle;
    this.#part = part;
    this.#path = path;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await inFile('write', this.#part, async () => {
      for (let rest = bytes; rest.length > 0; ) {
        const { bytesWritten } = await this.#handle.write(rest);
        rest = rest.subarray(bytesWritten);
      }
    });
  }

  /** Syncs the file to disk and gives it its name. */
  async finish(): Promise<void> {
    await inFile('write', this.#path, async () => {
      await this.#handle.sync();
      await this.close();
      await rename(this.#part, this.#path);
    });
  }

  async close(): Promise<void> {
    if (this.#isOpen) await this.#handle.close();
    this.#isOpen = false;
  }
}

/** Runs `work` and turns a system error into ClusterError `FILE_FAILED`, which names the file. */
export async function inFile<Result>(
  what: string,
  path: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ClusterError || typeof (error as NodeJS.ErrnoException).code !== 'string')
      throw error;
    throw new ClusterError('FILE_FAILED', `Cannot ${what} "${path}": ${messageOf(error)}`, {
      hint: 'Make sure that the directory exists, that it is readable and writable, and that there is free space',
      cause: error,
    });
  }
}
