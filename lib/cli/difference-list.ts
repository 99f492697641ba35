import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { KeyDifference } from '../model/key-difference.ts';
import { UsageError } from './io.ts';
import { jsonKey } from './key-list.ts';

/** A file of the keys that differ, a JSON line each. */
export class DifferenceList {
  readonly #path: string;
  readonly #file: number;

  /** Throws a UsageError if the file cannot be written: this is found before anything is compared. */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#file = openSync(path, 'w', 0o600);
    } catch (error) {
      throw this.#refused(error);
    }
  }

  readonly add = ({ db, key, state }: KeyDifference): void => {
    try {
      writeSync(this.#file, `${JSON.stringify({ db, state, key: jsonKey(key) })}\n`);
    } catch (error) {
      throw this.#refused(error);
    }
  };

  close(): void {
    closeSync(this.#file);
  }

  #refused(error: unknown): UsageError {
    return new UsageError(`Cannot write --list "${this.#path}": ${messageOf(error)}`);
  }
}
