import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';

/** Active timers by async id: getActiveResourcesInfo() lists only those that keep the process alive. */
const timers = new Set<number>();
createHook({
  init(id, type) {
    if (type === 'Timeout') timers.add(id);
  },
  destroy(id) {
    timers.delete(id);
  },
}).enable();

interface Held {
  readonly timers: number;
  readonly files: number;
  readonly resources: readonly string[];
}

function held(): Held {
  return {
    timers: timers.size,
    // Sockets are files too.
    files: readdirSync('/proc/self/fd').length,
    resources: process.getActiveResourcesInfo().sort(),
  };
}

/** Resolves to what is held after everything that ended in this turn of the event loop is gone. */
async function heldNow(): Promise<Held> {
  for (let count = 0; count < 4; count++) await turn();
  return held();
}

export interface Ended<Result> {
  readonly result?: Result;
  readonly error?: unknown;
  /** Milliseconds from the abort, or from the start without one, to the end. */
  readonly elapsedMs: number;
}

/**
 * Runs an operation until it settles, and fails if a socket, a file, a timer or a listener on its signal is left.
 * `abortAfterMs`: aborts the signal this long after the start.
 */
export async function leavesNothing<Result>(
  work: (signal: AbortSignal, abort: (reason: unknown) => void) => Promise<Result>,
  abortAfterMs?: number,
): Promise<Ended<Result>> {
  const controller = new AbortController();
  const { signal } = controller;
  const before = await heldNow();
  let started = performance.now();
  signal.addEventListener(
    'abort',
    () => {
      started = performance.now();
    },
    { once: true },
  );
  const listeners = getEventListeners(signal, 'abort').length;
  const running = work(signal, (reason) => controller.abort(reason));
  const timer =
    abortAfterMs === undefined ? undefined : setTimeout(() => controller.abort(STOPPED), abortAfterMs);
  const end = await running.then(
    (result) => ({ result }),
    (error: unknown) => ({ error }),
  );
  const elapsedMs = performance.now() - started;
  clearTimeout(timer);
  const left = getEventListeners(signal, 'abort').length - (signal.aborted ? 0 : listeners);
  assert.equal(left, 0, 'listeners are left on the signal');
  assert.deepEqual(await heldNow(), before, 'something is left open');
  return { ...end, elapsedMs };
}

/** The reason of signals that `leavesNothing` aborts. */
export const STOPPED: Error = new Error('stopped');
