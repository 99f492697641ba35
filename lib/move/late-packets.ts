import type { Socket } from 'node:net';
import { ConnectionError, ReplyError } from '../../resp/index.ts';
import { formatAddress, parseAddress } from '../model/address.ts';
import type { NodeReport } from '../model/view.ts';
import { CLIENT_NAME, type Connections } from '../nodes/connections.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { DONE, growingPause, type Missing, pause, type Wait, waitUntil } from '../nodes/wait-until.ts';
import type { NodeRef } from '../plan/plan.ts';
import { CUT_OFF } from './epochs.ts';

// A Valkey that imports a slot takes it, with a config epoch above all others, as soon as a packet of the node that it imports
// from does not claim it (clusterUpdateSlotsConfigWith). It does so even if that node sent the packet before it got the slot; and
// then that node deletes its keys. Packets from one node to another take three ways, each in order:
// - on the sender's own link: PING, and PONG that nobody has asked for, as after SETSLOT NODE. PUBLISH takes it, too.
// - on the receiver's link: PONG in answer to PING.
// - from third nodes: UPDATE, which counts only if it has a greater config epoch than the receiver knows of.
// The time at which the receiver had the last PONG shows none of this: it also takes over what others say in gossip.

/** Of those that may not PUBLISH and SUBSCRIBE: on a network that works, a packet does not take that long. */
const QUIET_MS = 1000;
/** If a link has broken, a node notices after half of its node timeout, by default 7.5 seconds, and connects again. */
const GIVE_UP_MS = 15_000;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [5, 500];
const PAUSE_MS = 20;

/** What a node says of another in CLUSTER NODES, as far as it shows which packets have arrived. */
export interface Heard {
  /** When it sent the PING that has no answer yet; `0` if there is none. */
  readonly pingSent: string;
  readonly configEpoch: number;
}

/**
 * Resolves when a node has handled every packet that the owner of slots sent before it made this report, so that the node may
 * import them from it. Only a node that takes slots on its own needs this: see `Capabilities`.
 * Rejects with ClusterError `NOT_REACHED` if packets do not arrive. Rule 34 (docs/moving-slots.md).
 */
export async function awaitLatePackets(
  context: Context,
  importer: NodeRef,
  { address, myself }: Pick<NodeReport, 'address' | 'myself'>,
): Promise<void> {
  const owner = { id: myself.id, address: formatAddress(address) };
  await Promise.all([
    awaitOwnLink(context, importer, owner).catch(async (error: unknown) => {
      if (!(error instanceof ReplyError) && !(error instanceof ConnectionError)) throw error;
      await pause(QUIET_MS, context.signal);
      context.signal?.throwIfAborted();
    }),
    awaitOtherWays(context, importer, owner, myself.configEpoch),
  ]);
}

/**
 * True if all that a node sent before the first of two looks, in answer to a PING or by way of third nodes, has been handled or
 * will be ignored. `epoch`: the node's own config epoch by then.
 */
export function isAllHeard(first: Heard, now: Heard, epoch: number): boolean {
  // A PING that is still without an answer: the answer may have been sent before.
  const isAnswered = now.pingSent === '0' || now.pingSent !== first.pingSent;
  return isAnswered && now.configEpoch >= epoch;
}

// A message that the owner publishes arrives after all that it sent before on the same link.
async function awaitOwnLink(context: Context, importer: NodeRef, owner: NodeRef): Promise<void> {
  const { connections } = context;
  // Never used before, or a message from before might still be on its way.
  const channel = `${CLIENT_NAME}:${owner.id}:${Math.random()}`;
  const subscription = await subscribe(connections, importer, channel);
  try {
    const pauseMs = growingPause(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    await waitUntil(waiting(context, importer, pauseMs, subscription.heard), async () => {
      if (subscription.heard.aborted) return DONE;
      if (subscription.socket.closed)
        throw new ConnectionError('The subscription has ended', {
          code: 'CLOSED',
          address: importer.address,
        });
      // Once more each time: a message to a node without a link is dropped.
      await connections.ask(parseAddress(owner.address), ['PUBLISH', channel, '']);
      return missing(importer, owner);
    });
  } finally {
    subscription.socket.destroy();
  }
}

interface Subscription {
  readonly socket: Socket;
  /** Aborts when a message arrives. */
  readonly heard: AbortSignal;
}

async function subscribe(
  connections: Connections,
  { address }: NodeRef,
  channel: string,
): Promise<Subscription> {
  const connection = await connections.fresh(parseAddress(address));
  try {
    await connection.command(['SUBSCRIBE', channel]);
    const socket = connection.detach();
    const hearing = new AbortController();
    // Nothing else is sent to this connection.
    socket.on('data', () => hearing.abort());
    socket.on('error', () => undefined);
    socket.resume();
    return { socket, heard: hearing.signal };
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

async function awaitOtherWays(
  context: Context,
  importer: NodeRef,
  owner: NodeRef,
  epoch: number,
): Promise<void> {
  let first: Heard | undefined;
  await waitUntil(waiting(context, importer, PAUSE_MS), async () => {
    const heard = await askHeard(context, importer, owner);
    first ??= heard;
    return isAllHeard(first, heard, epoch) ? DONE : missing(importer, owner);
  });
}

function waiting(
  context: Context,
  importer: NodeRef,
  pauseMs: Wait['pauseMs'],
  wakeSignal?: AbortSignal,
): Wait {
  const { settings, signal, emit } = context;
  const what = `packets to arrive at ${importer.address}`;
  return { what, timeoutMs: Math.min(settings.agreeTimeout, GIVE_UP_MS), pauseMs, signal, wakeSignal, emit };
}

function missing(importer: NodeRef, owner: NodeRef): Missing<undefined> {
  const message = `Packets from ${owner.address} do not arrive at ${importer.address}`;
  return {
    missing: [message],
    giveUp: () => nodeError('NOT_REACHED', importer.address, message, CUT_OFF),
  };
}

async function askHeard(
  { connections, signal }: Context,
  { address }: NodeRef,
  { id }: NodeRef,
): Promise<Heard> {
  const text = String(await connections.ask(parseAddress(address), ['CLUSTER', 'NODES'], { signal }));
  const line = text.split('\n').find((one) => one.startsWith(id));
  const [, , , , pingSent = '0', , configEpoch = '0'] = line?.split(' ') ?? [];
  return { pingSent, configEpoch: Number(configEpoch) };
}
