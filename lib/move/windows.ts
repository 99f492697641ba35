import type { MoveLimits } from '../options.ts';

/** Slots opened at once: a server saves its configuration once for all of them. */
const WINDOW_SLOTS = 500;
/** Keys in the slots opened at once. The slots stay open, and a stop has to wait, until these are moved. */
const WINDOW_KEYS = 20_000;
/** Seconds that moving these may take under a rate limit. */
const WINDOW_SECONDS = 2;

/**
 * Cuts slots into windows with neither too many slots nor too many keys. A slot with more keys than that is a window of its own.
 * Limits are read when a window is cut, since they may change during the move.
 */
export function* windows(
  slots: readonly number[],
  keysIn: readonly number[],
  limits: MoveLimits,
): Generator<number[], void> {
  for (let from = 0; from < slots.length; ) {
    const most = Math.min(WINDOW_KEYS, WINDOW_SECONDS * (limits.keysPerSecond ?? Number.POSITIVE_INFINITY));
    let [end, keys] = [from, 0];
    while (end < slots.length && end - from < WINDOW_SLOTS) {
      keys += keysIn[end] ?? 0;
      if (end > from && keys > most) break;
      end += 1;
    }
    yield slots.slice(from, end);
    from = end;
  }
}
