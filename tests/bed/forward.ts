import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';

export interface Gate {
  isOpen(): boolean;
  delayMs(): number;
}

/** How much may be buffered for a slow reader, or for the delay, before the writer has to wait. */
const highWater = 4 << 20;

/**
 * Copies `from` to `to` in order, each piece after the gate's delay, and nothing while the gate is shut.
 * Call the returned function when the gate has changed.
 */
export function forward(from: Socket, to: Socket, gate: Gate): () => void {
  const queue: { readonly data: Buffer | undefined; readonly due: number }[] = [];
  let waiting = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = () => {
    clearTimeout(timer);
    while (gate.isOpen()) {
      const item = queue[0];
      if (item === undefined) break;
      const left = item.due - performance.now();
      if (left > 0) {
        timer = setTimeout(flush, Math.ceil(left));
        break;
      }
      queue.shift();
      if (item.data === undefined) {
        to.end();
      } else {
        waiting -= item.data.length;
        to.write(item.data);
      }
    }
    if (!gate.isOpen() || waiting > highWater || to.writableLength > highWater) from.pause();
    else from.resume();
  };
  const take = (data: Buffer | undefined) => {
    queue.push({ data, due: performance.now() + gate.delayMs() });
    waiting += data?.length ?? 0;
    flush();
  };

  from.on('data', take);
  from.on('end', () => take(undefined));
  to.on('drain', flush);
  from.on('error', () => {
    // Without an answer, as without a relay: the other end should see a reset
    to.resetAndDestroy();
  });
  from.on('close', () => {
    if (!from.readableEnded) to.destroy();
  });
  flush();
  return flush;
}
