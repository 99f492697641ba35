import { ConnectionError } from '../../resp/index.ts';
import { NEAR_BYTES } from '../findings/out-of-sync.ts';
import type { Address } from '../model/address.ts';
import { isMisdirected } from '../model/details.ts';
import { type ClusterView, recordSeenBy } from '../model/view.ts';
import type { Context } from './context.ts';
import { linkOf } from './inspect.ts';
import { askInfo, isLinkUp, type NodeInfo, numberOf, parseInfo } from './node-info.ts';

/**
 * Time for a replica that has just been given its master to connect, as after a failover: it tries every second (replicationCron). One that
 * has no link after that needs help.
 */
export const LINK_MS = 5000;

/** True if a replica has copied the server that it follows, and is connected to it. Which server that is, is another question. */
export async function hasMasterLink(context: Context, address: Address): Promise<boolean> {
  return isLinkUp(await replicationAt(context, address));
}

/** True if a replica has yet to copy the server that it follows, or is not connected to it. It may have become a master since it was seen. */
export async function lacksMasterLink(context: Context, address: Address): Promise<boolean> {
  const info = await replicationAt(context, address);
  return info.get('role') !== 'master' && !isLinkUp(info);
}

async function replicationAt({ connections, signal }: Context, address: Address): Promise<NodeInfo> {
  return parseInfo(String(await connections.ask(address, ['INFO', 'replication'], { signal })));
}

/** True if a replica has copied this master, and is connected to it. */
export async function hasCopied(
  context: Context,
  view: ClusterView,
  replica: { readonly id: string; readonly address: Address },
  master: { readonly id: string; readonly address: Address },
): Promise<boolean> {
  const info = await askInfo(context.connections, replica.address, ['replication']);
  return isCopy(context, view, info, replica, master);
}

/** The same of a replica that has reported its replication. */
export async function isCopy(
  context: Context,
  view: ClusterView,
  info: NodeInfo,
  replica: { readonly id: string },
  master: { readonly id: string; readonly address: Address },
): Promise<boolean> {
  if (!isLinkUp(info)) return false;
  const listed = recordSeenBy(view, replica.id, master.id)?.address;
  return !(await asksElsewhere(context, info, listed, master.address));
}

/** True if a replica has the data of the replication stream of a master: that may have been started again since the two were connected. */
export function hasStreamOf(replica: NodeInfo, master: NodeInfo): boolean {
  return replica.get('master_replid') === master.get('master_replid');
}

const NO_ID = /^0*$/;

/**
 * True of a master that a replica has replaced since, and that has its place back: it may lack what it had taken before. It has another
 * replication id then, and keeps the former one (shiftReplicationId). One without replicas changes it, too, and keeps none.
 */
export function wasReplaced(before: NodeInfo, now: NodeInfo): boolean {
  const id = before.get('master_replid');
  const isOther = id !== undefined && now.get('master_replid') !== id;
  return isOther && !NO_ID.test(now.get('master_replid2') ?? '');
}

/** True if a replica with a link has nearly all that its master has now. False also if that does not answer. */
export async function isNear(
  { connections, signal }: Context,
  info: NodeInfo,
  master: Address,
): Promise<boolean> {
  const theirs = await askInfo(connections, master, ['replication']).catch((error: unknown) => {
    signal?.throwIfAborted();
    if (error instanceof ConnectionError) return undefined;
    throw error;
  });
  if (!theirs || !hasStreamOf(info, theirs)) return false;
  return numberOf(theirs, 'master_repl_offset') - numberOf(info, 'slave_repl_offset') <= NEAR_BYTES;
}

/** See `isMisdirected()`: the master is asked for its data only if that decides. */
export async function asksElsewhere(
  { connections }: Context,
  info: NodeInfo,
  listed: Address | undefined,
  master: Address,
): Promise<boolean> {
  const link = linkOf(info);
  if (!isMisdirected(link, listed, true)) return false;
  if (isMisdirected(link, listed, false)) return true;
  const theirs = await askInfo(connections, master, ['replication']);
  return !hasStreamOf(info, theirs);
}
