import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from '../../model/address.ts';
import type { NodeRef, Step } from '../../plan/plan.ts';
import { agreeTimeout, type Context, nodeError } from '../context.ts';
import { askNode } from '../look.ts';
import { inParallel } from '../parallel.ts';

const PAUSE_MS = 100;
const REPORT_EVERY_MS = 500;

/**
 * Waits until every node that is to be given keys by these steps serves: after slots were taken that nobody served it says
 * cluster_state:fail for some seconds yet, and refuses keys. Rejects with ClusterError `NOT_REACHED`.
 */
export async function awaitServing(context: Context, steps: readonly Step[]): Promise<void> {
  const nodes = new Map(steps.flatMap(takerOf).map((node) => [node.id, node]));
  const started = performance.now();
  let reported = 0;
  await inParallel([...nodes.values()], async ({ address }) => {
    for (;;) {
      context.signal?.throwIfAborted();
      const { info } = await askNode(context.connections, parseAddress(address), context.signal);
      if (info.state === 'ok') return;
      const elapsedMs = performance.now() - started;
      const lacking = `${address} says cluster_state:fail`;
      if (elapsedMs > agreeTimeout(context)) {
        const message = `Waited ${Math.round(elapsedMs / 1000)} s for the cluster to serve: ${lacking}`;
        const hint = 'See what is wrong with: redis-trib check; then run the same command again';
        throw nodeError('NOT_REACHED', address, message, { hint, resumable: true });
      }
      if (elapsedMs - reported > REPORT_EVERY_MS) {
        reported = elapsedMs;
        context.emit({ type: 'waiting', what: 'the cluster to serve', elapsedMs, missing: [lacking] });
      }
      await sleep(PAUSE_MS);
    }
  });
}

function takerOf(step: Step): readonly NodeRef[] {
  if (step.type === 'move-slots') return [step.target];
  return step.type === 'close-slots' && !step.stayOpen ? [step.owner] : [];
}
