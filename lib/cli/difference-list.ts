import { closeSync, openSync, writeSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { KeyDifference } from '../model/key-difference.ts';
import { UsageError } from './io.ts';
import { type JsonKey, jsonKey } from './key-list.ts';

/** A line of the file. */
export type DifferenceLine = Omit<KeyDifference, 'key'> & { readonly key: JsonKey };

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
    const line: DifferenceLine = { db, state, key: jsonKey(key) };
    try {
      writeSync(this.#file, `${JSON.stringify(line)}\n`);
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
