import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const file = fileURLToPath(new URL('./watch.mjs', import.meta.url));

/** Starts another client of a node, see watch.mjs, which connects to `place` and reads `key`. */
export async function openWatcher(place, key) {
  const child = fork(file, [JSON.stringify({ ...place, key })], { execArgv: [] });
  // Rejects if the process exits instead of answering.
  const answer = async () => {
    const ended = new AbortController();
    const onExit = () => ended.abort(new Error('The watching process has exited'));
    child.once('exit', onExit);
    try {
      const [message] = await once(child, 'message', { signal: ended.signal });
      return message;
    } finally {
      child.off('exit', onExit);
    }
  };
  await answer();
  return {
    start: () => child.send('start'),
    /** Stops. Returns the milliseconds of each command sent in this span. */
    stop(span) {
      child.send(span);
      return answer();
    },
    async close() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}
