/** Keys that begin alike. */
export interface PrefixFigures {
  /** As latin1, up to and with its last separator; null for keys that have none. A hash tag reads `{*}`, whatever is in it. */
  readonly prefix: string | null;
  readonly keys: number;
  /** Of keys and values; see `KeySurvey.bytesAre`. */
  readonly bytes: number;
  /** Keys that expire. */
  readonly expiring: number;
  /** The largest of them, as latin1. */
  readonly largest: string;
  readonly largestBytes: number;
  /** False if keys of it may be among `others`. */
  readonly exact: boolean;
}

/** Keys of prefixes that are not listed. */
export interface OtherPrefixes {
  readonly keys: number;
  readonly bytes: number;
}

/** What is known of a key. */
export interface KeyFigures {
  /** As latin1. */
  readonly key: string;
  readonly type: string;
  readonly bytes: number;
  /** Milliseconds to live; null if it does not expire. */
  readonly ttlMs: number | null;
}

type Figures = { -readonly [Name in keyof PrefixFigures]: PrefixFigures[Name] };

/** When there are this many prefixes, all but this part of them are given up. */
const KEPT = 0.5;
/** A longer prefix counts as none: memory must not depend on what keys look like. */
const LONGEST = 256;

/**
 * Sums up keys by prefix, in memory that does not grow with the number of prefixes: when too many are known, the smallest half of
 * them goes into `others`. Of a prefix that comes up only after that, some keys may be there.
 */
export class PrefixTally {
  readonly #separator: string;
  readonly #depth: number;
  readonly #most: number;
  readonly #known = new Map<string | null, Figures>();
  #others: OtherPrefixes = { keys: 0, bytes: 0 };
  #isCut = false;

  /** `most`: prefixes to know at once. */
  constructor(separator: string, depth: number, most: number) {
    this.#separator = separator;
    this.#depth = depth;
    this.#most = most;
  }

  /** `weight`: how many keys this one stands for. */
  add({ key, bytes, ttlMs }: KeyFigures, weight: number): void {
    const prefix = prefixOf(key, this.#separator, this.#depth);
    let figures = this.#known.get(prefix);
    if (!figures) {
      if (this.#known.size >= this.#most) this.#cut();
      figures = {
        prefix,
        keys: 0,
        bytes: 0,
        expiring: 0,
        largest: '',
        largestBytes: -1,
        exact: !this.#isCut,
      };
      this.#known.set(prefix, figures);
    }
    figures.keys += weight;
    figures.bytes += weight * bytes;
    if (ttlMs !== null) figures.expiring += weight;
    if (bytes > figures.largestBytes) [figures.largest, figures.largestBytes] = [key, bytes];
  }

  /** The largest prefixes, with all others summed up. */
  top(most: number): { readonly prefixes: PrefixFigures[]; readonly others: OtherPrefixes } {
    const sorted = this.#sorted();
    const rest = sorted.slice(most).reduce(sum, this.#others);
    const prefixes = sorted.slice(0, most).map((figures) => ({
      ...figures,
      keys: Math.round(figures.keys),
      bytes: Math.round(figures.bytes),
      expiring: Math.round(figures.expiring),
    }));
    return { prefixes, others: { keys: Math.round(rest.keys), bytes: Math.round(rest.bytes) } };
  }

  #sorted(): Figures[] {
    return [...this.#known.values()].sort((one, other) => other.bytes - one.bytes || other.keys - one.keys);
  }

  #cut(): void {
    const given = this.#sorted().slice(Math.ceil(this.#most * KEPT));
    for (const { prefix } of given) this.#known.delete(prefix);
    this.#others = given.reduce(sum, this.#others);
    this.#isCut = true;
  }
}

function sum({ keys, bytes }: OtherPrefixes, more: OtherPrefixes): OtherPrefixes {
  return { keys: keys + more.keys, bytes: bytes + more.bytes };
}

/**
 * The part of a key up to and with its separator number `depth`, or the last one if it has fewer; null if it has none. What is in
 * a hash tag is an id as a rule, and no separator counts there.
 */
export function prefixOf(key: string, separator: string, depth: number): string | null {
  const [open, close] = hashTagIn(key);
  let [end, from] = [0, 0];
  for (let found = 0; found < depth; found++) {
    let at = key.indexOf(separator, from);
    if (at >= open && at < close) at = key.indexOf(separator, close);
    if (at < 0) break;
    from = at + separator.length;
    end = from;
  }
  if (end === 0) return null;
  const text = close <= end ? `${key.slice(0, open)}{*}${key.slice(close, end)}` : key.slice(0, end);
  return text.length > LONGEST ? null : text;
}

/** Where the hash tag of a key begins, and where the text after it does; beyond every key if it has none. */
function hashTagIn(key: string): readonly [open: number, close: number] {
  const open = key.indexOf('{');
  const end = open < 0 ? -1 : key.indexOf('}', open + 1);
  return end <= open + 1 ? NO_TAG : [open, end + 1];
}

const NO_TAG = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
