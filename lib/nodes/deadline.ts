import { eitherSignal, unlessAborted } from './abort.ts';

/**
 * Settles within so many milliseconds, whatever the work does: then it rejects with what `late` returns, and both signals that the work
 * got have aborted with the same. The first also aborts with the caller's; the work decides where it stops for that.
 */
export async function withinTime<Result>(
  ms: number,
  signal: AbortSignal | undefined,
  late: () => Error,
  work: (signal: AbortSignal, over: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(late()), Math.min(ms, LONGEST_TIMER_MS));
  try {
    return await unlessAborted(work(eitherSignal(signal, over.signal), over.signal), over.signal);
  } finally {
    clearTimeout(timer);
  }
}

/** The longest time of a timer, in milliseconds: a longer one would end at once. */
export const LONGEST_TIMER_MS: number = 2 ** 31 - 1;
