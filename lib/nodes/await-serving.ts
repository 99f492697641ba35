import { parseAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import type { Context } from './context.ts';
import { askNode } from './look.ts';
import { inParallel } from './parallel.ts';
import { DONE, notReached, type Wait, waitUntil } from './wait-until.ts';

const PAUSE_MS = 100;
/**
 * How long a node that was started or that joined a moment ago may not serve yet: it first waits two seconds (CLUSTER_WRITABLE_DELAY), or up
 * to five (CLUSTER_MAX_REJOIN_DELAY).
 */
export const REJOIN_MS = 7000;

/**
 * Waits until nodes serve, for as long as one that was started a moment ago may take, or as is said: until then they refuse keys. Rejects with
 * ClusterError `NOT_REACHED`.
 */
export async function awaitServing(
  { connections, settings, signal, emit }: Context,
  nodes: readonly { readonly address: string }[],
  timeoutMs: number = Math.min(REJOIN_MS, settings.agreeTimeout),
): Promise<void> {
  let waiting = nodes;
  const wait: Wait = { what: 'the cluster to serve', timeoutMs, pauseMs: PAUSE_MS, signal, emit };
  await waitUntil(wait, async () => {
    const states = await inParallel(waiting, async ({ address }) => {
      const { info } = await askNode(connections, parseAddress(address), signal);
      return info.state;
    });
    waiting = waiting.filter((_, index) => states[index] !== 'ok');
    const [first] = waiting;
    if (!first) return DONE;
    const missing = waiting.map(({ address }) => `${address} reports cluster_state:fail`);
    const next: readonly Next[] = [
      { do: 'check', cluster: first.address },
      { do: 'retry', when: 'repaired' },
    ];
    const details = { address: first.address, next };
    return { missing, giveUp: (elapsedMs) => notReached(wait.what, elapsedMs, missing, details) };
  });
}
