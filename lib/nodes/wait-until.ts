import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError, type ClusterErrorDetails } from '../errors.ts';
import type { ClusterEvent } from '../events.ts';

const REPORT_EVERY_MS = 500;

/** What to wait for, and how long and how often to look. */
export interface Wait {
  /** What is awaited, as it reads after "waiting for". */
  readonly what: string;
  /** After this time a look that says how to give up ends the wait. @default Infinity */
  readonly timeoutMs?: number;
  /** Time between two looks, or a function that is called before each pause with the time waited so far. */
  readonly pauseMs: number | ((elapsedMs: number) => number);
  /** Ends the wait: it rejects with the signal's reason before the next look. */
  readonly signal?: AbortSignal | undefined;
  /** Ends only the pause: the next look comes at once and decides what to do. */
  readonly wakeSignal?: AbortSignal | undefined;
  /** Takes a `waiting` event every half second while something is missing. */
  readonly emit?: (event: ClusterEvent) => void;
}

/** The wait is over. */
export interface Done<Result> {
  readonly done: Result;
}

/** The wait continues. */
export interface Missing<Result> {
  /** One text for each thing that is missing. */
  readonly missing: readonly string[];
  /** What ends the wait when its time is up. Absent if the time does not count for this look. */
  readonly giveUp?: (elapsedMs: number) => Error | Done<Result>;
  /** Called before the pause, to help if waiting alone does not. If it rejects, so does the wait. */
  readonly nudge?: () => Promise<void> | undefined;
}

/** What a look found; `again` looks once more without a pause, even when the time is up. */
export type Look<Result> = Done<Result> | Missing<Result> | 'again';

/** A wait that ends without a result. */
export const DONE: Done<undefined> = { done: undefined };

/**
 * Looks until a look says that the wait is done, and resolves to what it says. This is the only loop that waits: everything that
 * awaits a change of the cluster goes through here.
 */
export async function waitUntil<Result>(
  { what, timeoutMs = Number.POSITIVE_INFINITY, pauseMs, signal, wakeSignal, emit }: Wait,
  look: () => Look<Result> | Promise<Look<Result>>,
): Promise<Result> {
  const started = performance.now();
  let reportedMs = 0;
  for (;;) {
    signal?.throwIfAborted();
    const found = await look();
    if (found === 'again') continue;
    if ('done' in found) return found.done;
    const { missing, giveUp, nudge } = found;
    const elapsedMs = performance.now() - started;
    const end = elapsedMs >= timeoutMs ? giveUp?.(elapsedMs) : undefined;
    if (end instanceof Error) throw end;
    if (end) return end.done;
    if (missing.length > 0 && elapsedMs - reportedMs >= REPORT_EVERY_MS) {
      reportedMs = elapsedMs;
      emit?.({ type: 'waiting', what, elapsedMs, missing });
    }
    await nudge?.();
    // A signal that has aborted before does not cut pauses short: looks would follow one another without any.
    const waking = signal ?? (wakeSignal?.aborted ? undefined : wakeSignal);
    await pause(typeof pauseMs === 'number' ? pauseMs : pauseMs(elapsedMs), waking);
  }
}

/** Pauses that grow from the first to the longest by a factor. */
export function growingPause(firstMs: number, longestMs: number, factor = 1.5): () => number {
  let nextMs = firstMs;
  return () => {
    const pauseMs = nextMs;
    nextMs = Math.min(factor * nextMs, longestMs);
    return pauseMs;
  };
}

/** Sleeps for this time, or until the signal aborts. Never rejects. */
export async function pause(ms: number, signal?: AbortSignal): Promise<undefined> {
  // Many waits may share one signal: no warning after the tenth listener.
  if (signal) setMaxListeners(0, signal);
  return sleep(ms, undefined, signal ? { signal } : {}).catch(() => undefined);
}

/** The error of a wait whose time is up. */
export function notReached(
  what: string,
  elapsedMs: number,
  missing: readonly string[],
  details: ClusterErrorDetails = {},
): ClusterError {
  const lacking = missing.length > 0 ? `: ${missing.join('; ')}` : '';
  const message = `Waited ${Math.round(elapsedMs / 1000)} s for ${what}${lacking}`;
  return new ClusterError('NOT_REACHED', message, { resumable: 'same-call', ...details });
}
