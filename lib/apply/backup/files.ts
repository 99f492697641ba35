import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError, messageOf } from '../../errors.ts';

/** Of the owner alone: the files hold all there is in the cluster. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/**
 * A directory that a backup is made in, which has to be empty or not to be there. What was made in it can be taken away again.
 * Every method rejects with ClusterError `FILE_FAILED` where the file system does not go along.
 */
export class BackupFolder {
  readonly path: string;
  readonly #made: string[] = [];
  #isNew = false;

  constructor(path: string) {
    this.path = path;
  }

  /** Makes it, or makes sure that it is empty. Rejects with ClusterError `DIRECTORY_NOT_EMPTY` where it is not. */
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
        hint: `Nothing was changed. Name a directory that is empty or not there yet${isLeft ? ', or delete these files' : ''}`,
      },
    );
  }

  /** Begins a file, which has its name only once it is whole. */
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

  // So that the names last, where directories can be synced.
  async #sync(): Promise<void> {
    const handle = await open(this.path, 'r').catch(() => undefined);
    await handle?.sync().catch(() => undefined);
    await handle?.close();
  }

  /** Takes away all that was made, the directory too if it is new. */
  async clear(): Promise<void> {
    await Promise.allSettled(this.#made.map((path) => rm(path, { force: true })));
    if (this.#isNew) await rmdir(this.path).catch(() => undefined);
  }
}

/** The file that says what the others are; written last. */
export const MANIFEST = 'manifest.json';
const PART = '.part';
/** What is there without a manifest where a process was killed. */
const OWN_FILE = /^(redis-node-.*\.rdb(\.part)?|manifest\.json\.part)$/;

/** A file that is being written. */
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

  /** Makes it last and gives it its name. */
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

/** Does something with a file, and says which where that fails. */
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
      hint: 'See that the directory is there, that it may be written to and read, and that there is room',
      cause: error,
    });
  }
}
