import { writeFileSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import type { StrayKeys } from '../events.ts';
import { UsageError } from './io.ts';

/** A file of the keys that stay on nodes which do not own their slot, a JSON line each. */
export class KeyList {
  readonly #path: string;

  /** Throws a UsageError if the file cannot be written: this is found before anything is changed. */
  constructor(path: string) {
    this.#path = path;
    this.write([]);
  }

  write(settled: readonly StrayKeys[]): void {
    try {
      writeFileSync(this.#path, keyLines(settled), { mode: 0o600 });
    } catch (error) {
      throw new UsageError(`Cannot write --list "${this.#path}": ${messageOf(error)}`);
    }
  }
}

/** A line of such a file. */
export interface StrayKeyLine {
  /** The node that has the key. */
  readonly node: string;
  /** The node that owns its slot. */
  readonly owner: string;
  /** `differs`: the owner has another value. `only-there`: the owner does not have the key. */
  readonly state: 'differs' | 'only-there';
  readonly key: JsonKey;
}

/** The lines of such a file. */
export function keyLines(settled: readonly StrayKeys[]): string {
  const lines = settled.flatMap(({ node, owner, differing, onlyThere }): StrayKeyLine[] => [
    ...differing.map((key) => ({ node, owner, state: 'differs' as const, key: jsonKey(key) })),
    ...onlyThere.map((key) => ({ node, owner, state: 'only-there' as const, key: jsonKey(key) })),
  ]);
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** A key as text, or its bytes if they are not text. */
export type JsonKey = string | { readonly base64: string };

/** A key is bytes, and JSON has none. */
export function jsonKey(key: string): JsonKey {
  const bytes = Buffer.from(key, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : { base64: bytes.toString('base64') };
}
