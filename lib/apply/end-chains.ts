import { chainedReplicas } from '../model/promotion.ts';
import { type ClusterView, nodeName } from '../model/view.ts';
import type { Nudge } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { look } from '../nodes/look.ts';
import { growingPause, type Wait, waitUntil } from '../nodes/wait-until.ts';
import { nodeRef } from '../plan/plan.ts';
import { followUp } from './follow-up.ts';

/** Time for servers to end a chain on their own, and then for a node that was told to do as it was told. */
const LONGEST_MS = 10_000;

/**
 * Looks until no replica follows a replica: a plan that rests on roles would leave such a node out, though it has the data. Servers end
 * that within seconds of a failover, or never (see `followUp()`): then the node is told whom to follow. Warns of one that stays as it is. A dry
 * run only warns.
 */
export async function endChains(context: Context, first: ClusterView): Promise<ClusterView> {
  const { connections, settings, signal, emit, account } = context;
  const wait: Wait = {
    what: 'replicas to follow masters',
    timeoutMs: settings.dryRun ? 0 : LONGEST_MS,
    pauseMs: growingPause(50, 250),
    signal,
    emit,
  };
  let follow: Nudge | undefined;
  let seen: ClusterView | undefined = first;
  return waitUntil<ClusterView>(wait, async () => {
    const view = seen ?? (await look(connections, first.seed, signal));
    seen = undefined;
    account.view = view;
    const chained = chainedReplicas(view);
    if (chained.length === 0) return { done: view };
    const texts = chained.map(({ replica, followed }): [string, string] => {
      const node = nodeName(view, replica.id);
      return [node, `${node} follows ${nodeName(view, followed.id)}, which is a replica`];
    });
    return {
      missing: texts.map(([, text]) => text),
      giveUp: () => {
        for (const [node, text] of texts) emit({ type: 'warning', node, message: `${text}: it is not used` });
        return { done: view };
      },
      nudge: () => {
        follow ??= followUp(context, {
          members: view.nodes.map(nodeRef),
          replicas: chained.map(({ replica, master }) => ({ id: replica.id, masterId: master.id })),
        });
        return follow([], view.reports);
      },
    };
  });
}
