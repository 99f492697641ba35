import { setMaxListeners } from 'node:events';

/**
 * What a promise resolves to. Rejects with the signal's reason as soon as that aborts; what becomes of the promise then is
 * nobody's.
 */
export async function unlessAborted<Result>(
  promise: Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (!signal) return promise;
  // One signal for many nodes is what signals are for: no warning after the tenth.
  setMaxListeners(0, signal);
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    if (stop) signal.removeEventListener('abort', stop);
  }
}
