import type { Reply } from '../../resp/index.ts';

/** Where a command has its keys, as COMMAND says it: the first, the last (negative: from the end), and the step. */
export type KeyPlaces = ReadonlyMap<string, readonly [first: number, last: number, step: number]>;

/** Reads the reply of COMMAND. Commands whose keys are not at fixed places are left out. */
export function readKeyPlaces(reply: Reply | undefined): KeyPlaces {
  const places = new Map<string, readonly [number, number, number]>();
  if (!Array.isArray(reply)) return places;
  for (const item of reply) {
    if (!Array.isArray(item)) continue;
    const [name, , , ...numbers] = item;
    const [first = 0, last = 0, step = 0] = numbers.slice(0, 3).map(Number);
    if (typeof name === 'string' && first > 0 && step > 0)
      places.set(name.toLowerCase(), [first, last, step]);
  }
  return places;
}

/** Most keys of one command that count. */
const MOST_KEYS = 16;

/**
 * The keys in a line of MONITOR, in latin1; undefined for a command without keys, and for anything else. Nothing else of the line is
 * kept. The end of the line may be missing: keys that are not whole do not count.
 */
export function keysInLine(line: string, places: KeyPlaces): string[] | undefined {
  const at = line.indexOf('] "');
  if (at < 0) return undefined;
  const words = wordsIn(line, at + 2);
  const found = places.get((words[0] ?? '').toLowerCase());
  if (!found) return undefined;
  const [first, last, step] = found;
  const end = last < 0 ? words.length + last : last;
  const keys: string[] = [];
  for (let index = first; index <= end && keys.length < MOST_KEYS; index += step) {
    const key = words[index];
    if (key !== undefined) keys.push(key);
  }
  return keys.length > 0 ? keys : undefined;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', a: '\x07', b: '\b' };

/** Words in quotes, as sdscatrepr writes them. */
function wordsIn(line: string, from: number): string[] {
  const words: string[] = [];
  const pattern = /"((?:[^"\\]|\\.)*)"/gy;
  for (pattern.lastIndex = from; ; ) {
    const match = pattern.exec(line);
    if (!match) return words;
    words.push(
      (match[1] ?? '').replace(/\\(?:x([0-9a-f]{2})|(.))/gi, (_, hex?: string, character = '') =>
        hex === undefined ? (ESCAPES[character] ?? character) : String.fromCharCode(Number.parseInt(hex, 16)),
      ),
    );
    pattern.lastIndex += 1;
    if (line[pattern.lastIndex - 1] !== ' ') return words;
  }
}

/** How many counts are kept. */
const MOST_COUNTED = 2000;

/** Counts what comes up often, in bounded memory: a count is too low by at most the number of all, divided by 2000 (Misra and Gries). */
export class FrequentKeys {
  readonly #counts = new Map<string, number>();

  add(key: string): void {
    const known = this.#counts.get(key);
    if (known !== undefined || this.#counts.size < MOST_COUNTED) {
      this.#counts.set(key, (known ?? 0) + 1);
      return;
    }
    for (const [other, count] of this.#counts) {
      if (count === 1) this.#counts.delete(other);
      else this.#counts.set(other, count - 1);
    }
  }

  /** The most frequent first. */
  top(most: number): [key: string, count: number][] {
    return [...this.#counts].sort(([, one], [, other]) => other - one).slice(0, most);
  }
}
