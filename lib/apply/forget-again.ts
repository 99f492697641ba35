import { parseAddress } from '../model/address.ts';
import type { Nudge } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';

/** Gossip that was on its way is over by then. */
const LATE_MS = 2000;

/**
 * Makes members forget once more who has left. Valkey 8.1 introduces itself again to a node that closed its link, as one does that has just
 * forgotten it: a leaver that is not reset at once, because it loads what it copies, is back under its old id for good.
 */
export function forgetAgain(context: Context): Nudge {
  let nextAt = performance.now() + LATE_MS;
  return async (missing) => {
    if (performance.now() < nextAt) return;
    nextAt = performance.now() + LATE_MS;
    await inParallel(missing, async ({ node, known }) => {
      if (known === undefined) return;
      try {
        await context.connections.ask(parseAddress(node), ['CLUSTER', 'FORGET', known]);
      } catch {
        // It has forgotten it by now, or refuses: the wait says what is missing.
        context.signal?.throwIfAborted();
      }
    });
  };
}
