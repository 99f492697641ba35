import { type KeyFigures, type OtherPrefixes, type PrefixFigures, PrefixTally } from './prefix-tally.ts';

/** Keys of one type, or with a time to live in some range. */
export interface KeyGroup {
  readonly keys: number;
  readonly bytes: number;
}

/** What keys there are. Counts of a sample are what it stands for. */
export interface KeyFigureSums extends KeyGroup {
  /** The largest by bytes first. */
  readonly prefixes: readonly PrefixFigures[];
  /** All prefixes that are not listed. */
  readonly others: OtherPrefixes;
  /** The largest by bytes first. */
  readonly types: readonly ({ readonly type: string } & KeyGroup)[];
  /** By time to live: those that expire within a minute, later than that but within an hour, and so on. */
  readonly timesToLive: readonly ({ readonly within: TimeToLive } & KeyGroup)[];
  /** The largest keys. */
  readonly biggest: readonly BiggestKey[];
}

export type TimeToLive = 'minute' | 'hour' | 'day' | 'week' | 'month' | 'longer' | 'never';

export interface BiggestKey extends KeyFigures {
  readonly db: number;
  /** Address of the master that has its slot, or the file that it is in. */
  readonly on: string;
}

/** How to sum up keys. */
export interface TallyOptions {
  readonly separator: string;
  readonly depth: number;
  /** How many prefixes and keys to list. */
  readonly top: number;
}

/** Prefixes that are known at once: some 10 MB with the names of their largest keys. */
const MOST_PREFIXES = 20_000;
/** Modules may have any number of types. */
const MOST_TYPES = 100;
const HOUR_MS = 3_600_000;
/** The longest time of each, in milliseconds. */
const TIMES: readonly (readonly [within: TimeToLive, mostMs: number])[] = [
  ['minute', 60_000],
  ['hour', HOUR_MS],
  ['day', 24 * HOUR_MS],
  ['week', 7 * 24 * HOUR_MS],
  ['month', 30 * 24 * HOUR_MS],
  ['longer', Number.POSITIVE_INFINITY],
];

type Sums = { -readonly [Name in keyof KeyGroup]: KeyGroup[Name] };

/** Sums up keys as they come, in bounded memory. */
export class KeyTally {
  readonly #prefixes: PrefixTally;
  readonly #top: number;
  readonly #all: Sums = { keys: 0, bytes: 0 };
  readonly #types = new Map<string, Sums>();
  readonly #times = new Map<TimeToLive, Sums>();
  #biggest: BiggestKey[] = [];
  /** No key of this size or less is among the biggest. */
  #least = -1;
  /** Keys that were looked at, whatever they stand for. */
  seen = 0;

  constructor({ separator, depth, top }: TallyOptions, mostPrefixes: number = MOST_PREFIXES) {
    this.#prefixes = new PrefixTally(separator, depth, mostPrefixes);
    this.#top = top;
  }

  /** `weight`: how many keys this one stands for. */
  add(key: BiggestKey, weight = 1): void {
    this.seen += 1;
    this.#prefixes.add(key, weight);
    const type = this.#types.has(key.type) || this.#types.size < MOST_TYPES ? key.type : 'other';
    for (const sums of [this.#all, groupIn(this.#types, type), groupIn(this.#times, timeOf(key))]) {
      sums.keys += weight;
      sums.bytes += weight * key.bytes;
    }
    this.#addBiggest(key);
  }

  sums(): KeyFigureSums {
    const bySize = (one: KeyGroup, other: KeyGroup): number => other.bytes - one.bytes;
    return {
      ...rounded(this.#all),
      ...this.#prefixes.top(this.#top),
      types: [...this.#types].map(([type, sums]) => ({ type, ...rounded(sums) })).sort(bySize),
      timesToLive: [...TIMES.map(([within]) => within), 'never' as const].flatMap((within) => {
        const sums = this.#times.get(within);
        return sums ? [{ within, ...rounded(sums) }] : [];
      }),
      biggest: this.#largest(),
    };
  }

  // Sorted only now and then. SCAN may list a key twice.
  #addBiggest(key: BiggestKey): void {
    if (key.bytes <= this.#least) return;
    this.#biggest.push(key);
    if (this.#biggest.length <= 2 * this.#top + 100) return;
    this.#biggest = this.#largest();
    this.#least = this.#biggest[this.#top - 1]?.bytes ?? -1;
  }

  #largest(): BiggestKey[] {
    const byName = new Map(this.#biggest.map((key) => [`${key.on} ${key.db} ${key.key}`, key]));
    return [...byName.values()].sort((one, other) => other.bytes - one.bytes).slice(0, this.#top);
  }
}

function timeOf({ ttlMs }: KeyFigures): TimeToLive {
  if (ttlMs === null) return 'never';
  return TIMES.find(([, mostMs]) => ttlMs <= mostMs)?.[0] ?? 'longer';
}

function groupIn<Name>(groups: Map<Name, Sums>, name: Name): Sums {
  const known = groups.get(name) ?? { keys: 0, bytes: 0 };
  groups.set(name, known);
  return known;
}

function rounded({ keys, bytes }: KeyGroup): KeyGroup {
  return { keys: Math.round(keys), bytes: Math.round(bytes) };
}
