import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { UsageError } from './io.ts';

/**
 * Writes a file that must not exist yet: `exists` makes the error if it does. Without `exists` it replaces one. Written under a temporary
 * name first, so that a reader never sees half of it; with `isKept` it is on the disk afterwards. Throws a UsageError that names the
 * option.
 */
export function writeNew(
  path: string,
  text: string,
  option: string,
  {
    exists,
    mode = 0o666,
    isKept = false,
  }: {
    readonly exists?: (path: string) => UsageError;
    readonly mode?: number;
    readonly isKept?: boolean;
  } = {},
): void {
  const beside = `${path}.${globalThis.crypto.randomUUID()}.tmp`;
  try {
    const file = openSync(beside, 'wx', mode);
    try {
      for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(file, rest));
      if (isKept) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    if (exists) giveName(beside, path, exists);
    else renameSync(beside, path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`Cannot write ${option} "${path}": ${messageOf(error)}. Nothing was changed`);
  } finally {
    rmSync(beside, { force: true });
  }
}

// A link, unlike a rename, replaces nothing.
function giveName(from: string, to: string, exists: (path: string) => UsageError): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' || existsSync(to)) throw exists(to);
    // Some file systems do not support links.
    renameSync(from, to);
  }
}
