import { ReplyError } from '../errors.ts';
import type { Context } from './context.ts';
import { DONE, growingPause, notReached, type Wait, waitUntil } from './wait-until.ts';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 200;

/**
 * Does something with a node, and again until the node has loaded its data. A master that gives its last slot away becomes a replica of
 * the receiver (see `cluster-allow-replica-migration`), and a Redis that loads what it copies answers nothing but LOADING.
 * Rejects with ClusterError `NOT_REACHED` after `agreeTimeout`.
 */
export async function onceLoaded(
  { settings, signal, emit }: Context,
  node: string,
  act: () => Promise<void>,
): Promise<void> {
  const wait: Wait = {
    what: `${node} to load its data`,
    timeoutMs: settings.agreeTimeout,
    pauseMs: growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS),
    signal,
    emit,
  };
  await waitUntil(wait, async () => {
    try {
      await act();
      return DONE;
    } catch (error) {
      if (!isLoading(error)) throw error;
      const missing = [`${node} is loading its data`];
      const giveUp = (elapsedMs: number) =>
        notReached(wait.what, elapsedMs, missing, {
          ...{ address: node, cause: error },
          next: [{ do: 'retry', node, when: 'answers' }],
        });
      return { missing, giveUp };
    }
  });
}

/** True of the node's own answer, and of an error that has it as its cause. */
function isLoading(error: unknown): boolean {
  const reply = error instanceof ReplyError ? error : (error as Partial<Error> | null)?.cause;
  return reply instanceof ReplyError && reply.code === 'LOADING';
}
