import { formatBytes } from '../model/bytes.ts';
import { bytesBehind, hasOtherData, isLinked, isMisdirected, type NodeDetails } from '../model/details.ts';
import type { NodeRecord } from '../model/node.ts';
import { type ClusterView, recordSeenBy, replicasOf } from '../model/view.ts';

/** A replica that is further behind its master than this would lose writes if it took over. */
const NEAR_BYTES = 1024 * 1024;

/**
 * What a replica lacks to have all that its master has, as the rest of a sentence; undefined if nothing. The replica says how far it
 * is and that its link is up; the master says how far that is, and that the replica is connected.
 */
export function outOfSync(
  view: ClusterView,
  details: ReadonlyMap<string, NodeDetails | Error>,
  { id, address, masterId }: NodeRecord,
): string | undefined {
  const [own, master] = [details.get(id), details.get(masterId ?? '')];
  if (own === undefined) return 'does not report its replication';
  if (own instanceof Error) return `does not report its replication: ${own.message}`;
  if (own.loading) return 'is loading its data from disk';
  if (own.link?.status === 'copying') return 'is still copying its master';
  if (own.link?.status !== 'up') return 'has no link to its master';
  const listed = recordSeenBy(view, id, masterId ?? '')?.address;
  const isOther = !(master instanceof Error) && hasOtherData(own, master);
  if (isMisdirected(own.link, listed, isOther)) return 'copies another server than its master';
  const behind = bytesBehind(own, master);
  if (behind === undefined || master === undefined || master instanceof Error)
    return 'cannot be compared with its master, which does not report its replication';
  if (behind > NEAR_BYTES) return `is ${formatBytes(behind)} behind its master`;
  const linked = replicasOf(view, masterId ?? '').filter((one) => isLinked(details.get(one.id))).length;
  // A master lists replicas by the ports that they have themselves, which need not be those that the cluster knows.
  const isListed = master.replicas.some(({ port }) => port === address.port);
  return isListed || master.replicas.length >= linked ? undefined : 'is not connected, as its master sees it';
}
