import { eitherSignal } from './abort.ts';

/** Runs `work` for each item, at most `limit` at a time; results in order. The first failure rejects. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
  limit = 64,
): Promise<Result[]> {
  const results: Result[] = new Array(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index] as Item, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

/**
 * Like `inParallel`, for work that holds files: when it ends, none of the work is still running. All work gets one signal, which
 * aborts with the caller's signal or at the first failure; that failure rejects once the others have ended.
 */
export async function inParallelToEnd<Item, Result>(
  items: readonly Item[],
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
  limit: number,
  signal?: AbortSignal,
): Promise<Result[]> {
  const stop = new AbortController();
  const either = eitherSignal(signal, stop.signal);
  const results: Result[] = [];
  const guarded = async (item: Item, index: number): Promise<void> => {
    try {
      either.throwIfAborted();
      results[index] = await work(item, either);
    } catch (error) {
      stop.abort(error);
    }
  };
  await inParallel(items, guarded, limit);
  either.throwIfAborted();
  return results;
}
