import { isAbort } from '../errors.ts';
import type { ClusterEvent } from '../events.ts';
import type { ControlOptions } from '../options.ts';

/**
 * Runs an operation and yields its events: `for await (const event of iterate((control) => reshard(cluster, { ...control, … })))`.
 * Throws what the operation rejects with, after its last event; returns what it resolves to. Leaving the loop aborts the operation
 * and waits until it has come to a safe point. A slow reader does not hold it up: its events wait in memory.
 */
export async function* iterate<Result>(
  run: (control: Required<ControlOptions>) => Promise<Result>,
  { signal }: Pick<ControlOptions, 'signal'> = {},
): AsyncGenerator<ClusterEvent, Result, void> {
  const left = new AbortController();
  const waiting: ClusterEvent[] = [];
  let wake = (): void => {};
  let isEnded = false;
  let isTold = false;
  const onEvent = (event: ClusterEvent): void => {
    waiting.push(event);
    wake();
  };
  const result = run({
    signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
    onEvent,
  }).finally(() => {
    isEnded = true;
    wake();
  });
  // It is awaited below: until then a rejection must not count as unhandled.
  result.catch(() => {});
  try {
    for (;;) {
      for (let event = waiting.shift(); event; event = waiting.shift()) yield event;
      if (isEnded) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    isTold = true;
    return await result;
  } finally {
    // Whoever leaves early must still hear of a slot that stays open.
    if (!isTold) {
      left.abort();
      await result.catch((error: unknown) => {
        if (!isAbort(error, left.signal)) throw error;
      });
    }
  }
}
