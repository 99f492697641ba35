import { type Address, sameAddress } from '../model/address.ts';
import { formatBytes } from '../model/bytes.ts';
import {
  bytesBehind,
  type ConnectedReplica,
  entryOf,
  hasOtherData,
  isLinked,
  isMisdirected,
  isMute,
  type NodeDetails,
} from '../model/details.ts';
import type { Advice } from '../model/next.ts';
import type { NodeRecord } from '../model/node.ts';
import { replicaFollowed } from '../model/promotion.ts';
import { type ClusterView, nodeName, recordSeenBy, replicasOf } from '../model/view.ts';

/** A replica that is further behind its master than this would lose writes if it took over. */
export const NEAR_BYTES: number = 1024 * 1024;

/** What a replica lacks that never reports what it has received. */
export const MUTE_WORDS = 'has never told its master what it has received';

/**
 * What to do about it. To break the link does not help: the replica would go on in the middle of the stream, by its own count
 * (slaveTryPartialResynchronization), and may apply commands twice.
 */
export function muteAdvice({ replica, master }: { replica: string; master: string }): Advice {
  return {
    hint: `It was copied with SYNC, because its user may not run PSYNC, or it has lost track of the stream: see the log of ${replica}. Remove it and add it again, so that it copies its master again`,
    next: [
      { do: 'del-node', cluster: master, node: replica },
      { do: 'replicate', node: master, target: replica, when: 'after-that' },
    ],
  };
}

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
  const followed = replicaFollowed(view, { masterId });
  if (followed) return `follows ${nodeName(view, followed.id)}, which is a replica`;
  if (own.link?.status === 'copying') return 'is still copying its master';
  if (own.link?.status !== 'up') return 'has no link to its master';
  const listed = recordSeenBy(view, id, masterId ?? '')?.address;
  const isOther = !(master instanceof Error) && hasOtherData(own, master);
  if (isMisdirected(own.link, listed, isOther)) return 'copies another server than its master';
  const behind = bytesBehind(own, master);
  if (behind === undefined || master === undefined || master instanceof Error)
    return 'cannot be compared with its master, which does not report its replication';
  if (behind > NEAR_BYTES) return `is ${formatBytes(behind)} behind its master`;
  // One that was cut off believes for a minute that it is connected (repl-timeout), and its master may have been started again since.
  if (hasOtherData(own, master)) return 'has the data of another replication stream than its master';
  if (isMute(own.offset, entryOf(master.replicas, address), master.offset)) return MUTE_WORDS;
  const linked = replicasOf(view, masterId ?? '').filter((one) => isLinked(details.get(one.id)));
  return isListed(master.replicas, address, linked) ? undefined : 'is not connected, as its master sees it';
}

/** True if a master lists the replica at this address, which is one of those that have a link by their own word. */
function isListed(
  listed: readonly ConnectedReplica[],
  address: Address,
  linked: readonly NodeRecord[],
): boolean {
  if (listed.some((entry) => sameAddress(entry, address))) return true;
  // A master lists replicas at the addresses that it sees, with the ports that they have themselves: neither need be what the cluster knows.
  const entries = listed.filter((entry) => !linked.some((one) => sameAddress(entry, one.address)));
  const nodes = linked.filter((one) => !listed.some((entry) => sameAddress(entry, one.address)));
  if (entries.length >= nodes.length) return true;
  const withPort = (all: readonly { readonly port: number }[]): number =>
    all.filter(({ port }) => port === address.port).length;
  return withPort(entries) >= withPort(nodes.map((one) => one.address));
}
