import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { listNames } from '../../findings/finding.ts';
import { type Address, formatAddress, parseAddress, sameAddress } from '../../model/address.ts';
import { entryOf } from '../../model/details.ts';
import type { Next } from '../../model/next.ts';
import { isFailed, type NodeRecord } from '../../model/node.ts';
import { NodeLines } from '../../model/node-lines.ts';
import { endHungLinks } from '../../move/hung-replicas.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { replicasIn } from '../../nodes/inspect.ts';
import { askNode } from '../../nodes/look.ts';
import { mustDo } from '../../nodes/must-do.ts';
import { askInfo } from '../../nodes/node-info.ts';
import { onceLoaded } from '../../nodes/once-loaded.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { LINK_MS } from '../../nodes/replication.ts';
import { DONE, waitUntil } from '../../nodes/wait-until.ts';
import type { NodeRef } from '../../plan/plan.ts';

/** A follower is asked who it is for so long: what does not answer as a node of a cluster may be any reader of the stream. */
const QUESTION_TIMEOUT_MS = 1000;
const PAUSE_MS = 100;

/**
 * CLUSTER RESET HARD: the node forgets everything and takes a new id, so that it can join again at once. `forgottenBy` are those that
 * have forgotten it before. Rejects with ClusterError `HAS_REPLICAS` if another node follows it, whatever the cluster knows of that: a Valkey
 * passes the reset on to its followers (seen with 9.1.2), which lose their keys and crash, and any other leaves them without a master.
 */
export async function reset(
  context: Context,
  node: NodeRef,
  forgottenBy?: readonly NodeRef[],
): Promise<void> {
  try {
    await onceLoaded(context, node.address, async () => {
      await requireNoFollowers(context, node);
      await resetUntilAlone(context, node, forgottenBy ?? []);
    });
  } catch (error) {
    context.signal?.throwIfAborted();
    if (error instanceof ConnectionError && forgottenBy) throw onlyResetLeft(node, error);
    throw error;
  }
}

// Those that were given another master have left it, or do so now.
async function requireNoFollowers(context: Context, { address }: NodeRef): Promise<void> {
  const { signal, emit, settings } = context;
  const timeoutMs = Math.min(LINK_MS, settings.agreeTimeout);
  await waitUntil(
    { what: `replicas to leave ${address}`, timeoutMs, pauseMs: PAUSE_MS, signal, emit },
    async () => {
      const { answering, silent } = await connectedFollowers(context, parseAddress(address));
      const followers = [...answering, ...silent];
      if (followers.length === 0) return DONE;
      const [first] = silent;
      const giveUp = () =>
        nodeError(
          'HAS_REPLICAS',
          address,
          `Cannot reset ${address}: ${listNames(followers)} still follow it`,
          {
            next: first
              ? [{ do: 'retry', node: first, when: 'answers' }]
              : [
                  ...answering.map((follower): Next => ({ do: 'quit', node: follower, when: 'not-needed' })),
                  { do: 'retry', when: 'after-that' },
                ],
          },
        );
      const nudge = async (): Promise<void> => {
        if (silent.length > 0) await endHungLinks(context, parseAddress(address), wasEnded);
      };
      return { missing: followers.map((follower) => `${follower} follows it`), giveUp, nudge };
    },
  );
}

function wasEnded(names: string, master: string): string {
  return `${names} hangs, and still followed ${master}, which is reset. Its link was ended`;
}

interface Followers {
  readonly answering: readonly string[];
  /** Replicas of it, as it sees the cluster, that hang: what it sends them takes effect once they go on. */
  readonly silent: readonly string[];
}

// As the node itself reports them. A user who may not ask is not kept from leaving.
async function connectedFollowers({ connections }: Context, address: Address): Promise<Followers> {
  const [{ records, myself }, info] = await Promise.all([
    askNode(connections, address),
    askInfo(connections, address, ['replication']).catch((error: unknown) => {
      if (error instanceof ReplyError && error.code === 'NOPERM') return undefined;
      throw error;
    }),
  ]);
  const linked = info ? replicasIn(info) : [];
  const own = records.filter(({ masterId }) => masterId === myself.id);
  const hung = new Set(own.map((record) => entryOf(linked, record.address)));
  const [answering, silent]: [string[], string[]] = [[], []];
  await inParallel(linked, async (replica) => {
    const id = await connections
      .askSoon(replica, ['CLUSTER', 'MYID'], QUESTION_TIMEOUT_MS)
      .catch(() => undefined);
    if (typeof id === 'string') answering.push(formatAddress(replica));
    else if (hung.has(replica)) silent.push(formatAddress(replica));
  });
  return { answering, silent };
}

// Others do not know its id any more, only its address leads to it.
function onlyResetLeft({ address }: NodeRef, cause: ConnectionError): Error {
  return nodeError('NODE_UNREACHABLE', address, `Cannot reset ${address}: ${cause.message}`, {
    cause,
    hint: 'All other nodes have forgotten it: only its reset is left, without which it takes itself for a member',
    next: [{ do: 'quit', node: address, when: 'answers' }],
  });
}

async function resetUntilAlone(
  context: Context,
  node: NodeRef,
  forgottenBy: readonly NodeRef[],
): Promise<void> {
  const started = performance.now();
  const { records, myself } = await askNode(context.connections, parseAddress(node.address));
  // Those that forgot it answer us, also if the node that leaves holds them for failed.
  const others = new Map(forgottenBy.map(({ id, address }) => [id, parseAddress(address)]));
  for (const one of records) if (one.id !== myself.id && !isFailed(one)) others.set(one.id, one.address);
  for (;;) {
    await mustDo(context, node, ['CLUSTER', 'RESET', 'HARD'], `reset ${node.address}`);
    if (!(await isIntroduced(context, myself, [...others.values()]))) break;
    if (performance.now() - started > context.settings.agreeTimeout)
      throw nodeError(
        'NOT_REACHED',
        node.address,
        `${node.address} is introduced again each time it is reset`,
      );
  }
  context.emit({ type: 'node-reset', node: node.address });
}

/**
 * Ends introductions of a node that was reset by those that knew it, under any id, and returns whether there were any. Valkey 8.1
 * and newer send MEET to nodes without a link to them, including those that were made to forget them
 * (clusterNodeCronHandleReconnect). A MEET in flight at that moment would make the node a member again under its new id.
 */
async function isIntroduced(
  { connections }: Context,
  { address, id: formerId }: NodeRecord,
  others: readonly Address[],
): Promise<boolean> {
  const lines = new NodeLines();
  const found = await inParallel(others, async (other) => {
    try {
      const { records, inHandshake = [] } = await askNode(connections, other, undefined, lines);
      // One that owns slots is the node that was at this address before.
      const strays = [...records, ...inHandshake].filter(
        (one) => one.id !== formerId && sameAddress(one.address, address) && one.slots.length === 0,
      );
      await connections.askAll(
        other,
        strays.map(({ id }) => ['CLUSTER', 'FORGET', id]),
      );
      return strays.length > 0;
    } catch {
      // A node that does not answer cannot be told to forget the former id either.
      return false;
    }
  });
  return found.includes(true);
}
