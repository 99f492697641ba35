/** Most names that are held, and most of their bytes. */
const [MOST_KEYS, MOST_BYTES] = [250_000, 16 * 1024 * 1024];

/** Names of one database to be copied. */
export interface ChangedLot {
  readonly db: number;
  readonly keys: readonly string[];
}

/**
 * Names of keys that have changed at the source since they were copied last: each once, however often it changed. Bounded: if there
 * are more, they are forgotten, and `isFull` says that names were lost.
 *
 * A key that is being copied is not given out again until that is done: of two writes the older one must not come last. What `hold`
 * names is being copied, too.
 */
export class ChangedKeys {
  /** By database: the names with the time of the first change that was not copied. */
  readonly #changed = new Map<number, Map<string, number>>();
  /** Names that are given out, with the time of their change. */
  readonly #copying = new Map<string, number>();
  /** By name: how many others are copying it. */
  readonly #held = new Map<string, number>();
  readonly #most: number;
  readonly #now: () => number;
  #count = 0;
  #bytes = 0;
  #isFull = false;
  #seen = 0;

  constructor(most: number = MOST_KEYS, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** Keys that are to be copied, or are being copied. */
  get size(): number {
    return this.#count + this.#copying.size;
  }

  /** Changes that were seen, also of keys that are known to have changed. */
  get seen(): number {
    return this.#seen;
  }

  /** Age in milliseconds of the oldest change that is not copied; 0 if there is none. */
  get behindMs(): number {
    let oldest = this.#now();
    const now = oldest;
    for (const changed of this.#changed.values()) oldest = Math.min(oldest, oldestOf(changed));
    for (const since of this.#copying.values()) oldest = Math.min(oldest, since);
    return now - oldest;
  }

  /** True if half of the names that fit are taken: whoever looks for changes can wait. */
  get isHalfFull(): boolean {
    return this.#count > this.#most / 2 || this.#bytes > MOST_BYTES / 2;
  }

  /** True once names were lost, until `takeFull` is called. */
  get isFull(): boolean {
    return this.#isFull;
  }

  takeFull(): boolean {
    const was = this.#isFull;
    this.#isFull = false;
    return was;
  }

  /** A key has changed. */
  add(db: number, key: string): void {
    this.#seen += 1;
    this.#put(db, key, this.#now());
  }

  #put(db: number, key: string, since: number): void {
    let changed = this.#changed.get(db);
    if (!changed) {
      changed = new Map();
      this.#changed.set(db, changed);
    }
    if (changed.has(key)) return;
    if (this.#count >= this.#most || this.#bytes + key.length > MOST_BYTES) {
      this.clear();
      this.#isFull = true;
      return;
    }
    changed.set(key, since);
    this.#count += 1;
    this.#bytes += key.length;
  }

  /** Forgets what is to be copied: every key is to be looked at. */
  clear(): void {
    this.#changed.clear();
    this.#count = 0;
    this.#bytes = 0;
  }

  /** Gives out at most so many names, the oldest first; undefined if there are none that can be copied now. */
  take(most: number): ChangedLot | undefined {
    // A database that is written all the time keeps no other waiting.
    const byAge = [...this.#changed].sort(([, one], [, other]) => oldestOf(one) - oldestOf(other));
    for (const [db, changed] of byAge) {
      const keys: string[] = [];
      for (const [key, since] of changed) {
        const name = nameOf(db, key);
        if (this.#copying.has(name) || this.#held.has(name)) continue;
        this.#copying.set(name, since);
        keys.push(key);
        if (keys.length >= most) break;
      }
      for (const key of keys) {
        changed.delete(key);
        this.#count -= 1;
        this.#bytes -= key.length;
      }
      if (keys.length > 0) return { db, keys };
    }
    return undefined;
  }

  /** Keys that were given out are copied; those of `again` are not. */
  done({ db, keys }: ChangedLot, again: readonly string[] = []): void {
    for (const key of again) this.#put(db, key, this.#copying.get(nameOf(db, key)) ?? this.#now());
    for (const key of keys) this.#copying.delete(nameOf(db, key));
  }

  /** These are being copied by another until `release` is called. */
  hold({ db, keys }: ChangedLot): void {
    for (const key of keys) {
      const name = nameOf(db, key);
      this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
    }
  }

  release({ db, keys }: ChangedLot): void {
    for (const key of keys) {
      const name = nameOf(db, key);
      const others = (this.#held.get(name) ?? 0) - 1;
      if (others > 0) this.#held.set(name, others);
      else this.#held.delete(name);
    }
  }
}

// The first in a map is the oldest, unless it was put back.
function oldestOf(changed: ReadonlyMap<string, number>): number {
  for (const since of changed.values()) return since;
  return Number.POSITIVE_INFINITY;
}

function nameOf(db: number, key: string): string {
  return db === 0 ? ` ${key}` : `${db} ${key}`;
}
