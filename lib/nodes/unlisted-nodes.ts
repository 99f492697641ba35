import { type BusAnswers, type BusCount, unlistedNodes } from '../model/bus-count.ts';
import { goneNodes } from '../model/condition.ts';
import type { ClusterView } from '../model/view.ts';
import type { Context } from './context.ts';
import { numberOf, parseInfo } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { waitUntil } from './wait-until.ts';

const PAUSE_MS = 200;
/** A node sends at least one PING a second (clusterCron). */
const LONGEST_WAIT_MS = 4000;

/**
 * True if a node that no member lists takes part in the cluster: a master that all others have forgotten goes on sending them PINGs, and
 * may serve slots. Nothing else shows it, so this listens until it has heard one, or for up to four seconds. False also if
 * it cannot be told, as with a member that runs but cannot be asked.
 */
export async function hearsUnlisted(
  context: Pick<Context, 'connections' | 'signal'> & Partial<Pick<Context, 'emit'>>,
  view: ClusterView,
): Promise<boolean> {
  const { between } = context.connections;
  if (between?.unlisted !== undefined) return between.unlisted;
  const found = await listen(context, view);
  if (between) between.unlisted = found;
  return found;
}

async function listen(context: Parameters<typeof hearsUnlisted>[0], view: ClusterView): Promise<boolean> {
  const gone = new Set(goneNodes(view));
  if ([...view.unreachable.keys()].some((id) => !gone.has(id))) return false;
  const before = await countAnswers(context, view);
  // A node that never had a neighbour, or does not say, cannot tell.
  if (!before || [...before.nodes.values()].every(({ sent }) => sent === 0)) return false;
  const wait = {
    what: 'a sign of nodes that no member lists',
    timeoutMs: LONGEST_WAIT_MS,
    pauseMs: PAUSE_MS,
    signal: context.signal,
    ...(context.emit ? { emit: context.emit } : {}),
  };
  return waitUntil(wait, async () => {
    const after = await countAnswers(context, view);
    const found = after ? unlistedNodes(before, after) : 'none';
    if (found !== 'unknown') return { done: found === 'some' };
    return { missing: ['enough packets to tell'], giveUp: () => ({ done: false }) };
  });
}

/** Undefined if a node does not answer. */
async function countAnswers(
  { connections, signal }: Pick<Context, 'connections' | 'signal'>,
  { reports }: ClusterView,
): Promise<BusCount | undefined> {
  const started = performance.now();
  try {
    const nodes = await inParallel([...reports], async ([id, { address }]): Promise<[string, BusAnswers]> => {
      const info = parseInfo(String(await connections.ask(address, ['CLUSTER', 'INFO'], { signal })));
      // A field is missing as long as it is 0.
      const sent = numberOf(info, 'cluster_stats_messages_pong_sent');
      return [id, { sent, received: numberOf(info, 'cluster_stats_messages_pong_received') }];
    });
    return { nodes: new Map(nodes), atMs: started, tookMs: performance.now() - started };
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}
