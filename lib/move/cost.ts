import type { MoveLimits } from '../options.ts';
import { isLimit } from './throttle.ts';

/** What a source gives away in a second, if nothing limits it, at the least: half of what was measured between two nodes on one machine. */
const KEYS_PER_SECOND = 50_000;

/**
 * What takes as long as moving a small key, as measured with MIGRATE on Redis 7.0, with the machine to itself and busy: a batch, to open
 * and close a slot, and so many bytes.
 */
const [BATCH_IN_KEYS, SLOT_IN_KEYS, BYTES_OF_KEY] = [30, 8, 3000];
const MOST_KEYS_IN_BATCH = 128;

/**
 * A field of a hash is inserted on its own, so it takes as long as so many bytes of a string, on all servers; elements of other types take
 * as long as their bytes. Hashes of fewer fields are one block of bytes by default.
 */
const [BYTES_OF_FIELD, LEAST_FIELDS] = [750, 512];

/** What is to be moved, or was. */
export interface Load {
  readonly slots: number;
  readonly keys: number;
  readonly bytes: number;
  /** What its keys take if nothing limits them: as long as so many small keys of large slots do. */
  readonly weight: number;
}

/** What keys are to the time that they take. */
export type KeyWeight = Pick<Load, 'bytes' | 'weight'>;

/** How many bytes of a string take as long as a key of this size, which may have fields. */
export function bytesByTime(bytes: number, fields: number): number {
  return fields <= LEAST_FIELDS ? bytes : Math.max(bytes, BYTES_OF_FIELD * fields);
}

/** What keys weigh that are in so many slots. Batches are of one slot: few keys of many slots take longer than many of one. */
export function weightOf({ slots, keys, bytes }: Omit<Load, 'weight'>): number {
  if (keys === 0) return 0;
  const batches = Math.max(Math.min(slots, keys), keys / MOST_KEYS_IN_BATCH);
  return keys + bytes / BYTES_OF_KEY + BATCH_IN_KEYS * batches;
}

/**
 * The time that parts of a whole take, in a unit of its own: for the work that there is, or for what a limit demands, whichever is
 * more for the whole.
 */
export function costsWithin(
  whole: Load,
  { keysPerSecond, bytesPerSecond }: MoveLimits,
): (load: Load) => number {
  const ways: ((load: Load) => number)[] = [
    ({ weight }) => weight,
    ...(isLimit(keysPerSecond) ? [({ keys }: Load) => (KEYS_PER_SECOND * keys) / keysPerSecond] : []),
    ...(isLimit(bytesPerSecond) ? [({ bytes }: Load) => (KEYS_PER_SECOND * bytes) / bytesPerSecond] : []),
  ];
  const longest = ways.reduce((best, way) => (way(whole) > best(whole) ? way : best));
  return (load) => longest(load) + SLOT_IN_KEYS * load.slots;
}
