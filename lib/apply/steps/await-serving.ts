import { parseAddress } from '../../model/address.ts';
import type { Next } from '../../model/next.ts';
import type { Context } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { DONE, notReached, type Wait, waitUntil } from '../../nodes/wait-until.ts';
import type { NodeRef, Step } from '../../plan/plan.ts';

const PAUSE_MS = 100;

/**
 * Waits until every node that these steps give keys to serves. After slots were taken that had no owner, it reports
 * cluster_state:fail for some more seconds, and refuses keys. Rejects with ClusterError `NOT_REACHED`.
 */
export async function awaitServing(context: Context, steps: readonly Step[]): Promise<void> {
  let waiting = [...new Map(steps.flatMap(takerOf).map((node) => [node.id, node])).values()];
  const wait: Wait = {
    what: 'the cluster to serve',
    timeoutMs: context.settings.agreeTimeout,
    pauseMs: PAUSE_MS,
    signal: context.signal,
    emit: context.emit,
  };
  await waitUntil(wait, async () => {
    const states = await inParallel(waiting, async ({ address }) => {
      const { info } = await askNode(context.connections, parseAddress(address), context.signal);
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

function takerOf(step: Step): readonly NodeRef[] {
  if (step.type === 'move-slots') return [step.target];
  return step.type === 'close-slots' && !step.stayOpen ? [step.owner] : [];
}
