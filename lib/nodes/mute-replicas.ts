import type { Address } from '../model/address.ts';
import { looksMute, type NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, nodeById } from '../model/view.ts';
import type { Context } from './context.ts';
import { detailsOf } from './inspect.ts';
import { askInfo } from './node-info.ts';
import { inParallel } from './parallel.ts';
import { waitUntil } from './wait-until.ts';

/** A replica reports to its master every second, once it runs and has a link. */
const LISTEN_MS = 3500;
const PAUSE_MS = 500;

/**
 * Ids of replicas that stay mute while they answer us. One that was frozen, or whose link is new, looks like one that is mute: only
 * another look tells them apart.
 */
export async function muteReplicas(
  context: Pick<Context, 'connections' | 'signal'>,
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
): Promise<ReadonlySet<string>> {
  const found = await inParallel(view.nodes, async (replica) => {
    const master = nodeById(view, replica.masterId ?? '');
    if (!master || !looksMute(replica.address, details.get(replica.id), details.get(master.id))) return [];
    return (await staysMute(context, replica, master.address)) ? [replica.id] : [];
  });
  return new Set(found.flat());
}

function staysMute(
  { connections, signal }: Pick<Context, 'connections' | 'signal'>,
  { address }: NodeRecord,
  master: Address,
): Promise<boolean> {
  const wait = {
    what: 'a replica to report to its master',
    timeoutMs: LISTEN_MS,
    pauseMs: PAUSE_MS,
    signal,
  };
  const ask = async (at: Address): Promise<NodeDetails> =>
    detailsOf(await askInfo(connections, at, ['replication']));
  return waitUntil(wait, async () => {
    // What does not answer now says nothing of the replica.
    const asked = await Promise.all([ask(address), ask(master)]).catch(() => undefined);
    if (!asked || !looksMute(address, ...asked)) return { done: false };
    return { missing: [], giveUp: () => ({ done: true }) };
  });
}
