import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterError, messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import { describeUncovered, disagreements, failedNodes, uncoveredSlots } from '../model/findings.ts';
import { expandSlots } from '../model/slot.ts';
import { type ClusterView, contestedSlots, nodeName, openSlotsOf, slotOwners } from '../model/view.ts';
import { agreeTimeout, type Context } from './context.ts';
import { look } from './look.ts';

const PAUSE_MS = 100;
/** Gossip carries a change to every node of a large cluster in a few node timeouts at most. */
const LONGEST_WAIT_MS = 20_000;

/**
 * Looks until the nodes that answer agree about members and slot owners: an operation that has just ended may still be
 * on its way by gossip. Rejects with ClusterError `NODES_DISAGREE` when they do not agree in time.
 * `ignore` is the id of a node that the others may or may not know. `nudge` is called with each view that shows them disagree:
 * to help where time alone will not.
 */
export async function lookSettled(
  context: Context,
  seed: Address,
  ignore?: string,
  nudge?: (view: ClusterView) => Promise<void>,
): Promise<ClusterView> {
  const deadline = performance.now() + Math.min(LONGEST_WAIT_MS, agreeTimeout(context));
  for (;;) {
    context.signal?.throwIfAborted();
    const view = await look(context.connections, seed, context.signal);
    // Who owns an open slot is for those to settle who close it: some of the nodes may never hear of it before.
    const [first] = disagreements(view, ignore, openSlotsOf(view));
    if (!first) return view;
    if (performance.now() >= deadline) {
      throw new ClusterError('NODES_DISAGREE', `The nodes do not agree: ${first.message}`, {
        ...(first.nodes[0] ? { address: first.nodes[0] } : {}),
        hint: `Nothing was changed. ${first.hint}`,
      });
    }
    await nudge?.(view);
    await sleep(PAUSE_MS);
  }
}

/** How long slot owners may be on their way by gossip before it is for `fix` to mend that nodes differ about them. */
const GOSSIP_MS = 3000;

/**
 * Looks until the nodes that answer agree, or differ only about slots for which time does nothing: that none of the masters
 * claims though others hold one for the owner, or, when all the time is over, that two of them claim.
 * Rejects with ClusterError `NODES_DISAGREE` where they differ about anything else in the end.
 */
export async function lookToFix(context: Context, seed: Address): Promise<ClusterView> {
  const started = performance.now();
  const longest = Math.min(LONGEST_WAIT_MS, agreeTimeout(context));
  for (;;) {
    context.signal?.throwIfAborted();
    const view = await look(context.connections, seed, context.signal);
    const differences = disagreements(view, undefined, openSlotsOf(view));
    const contested = contestedSlots(view);
    if (differences.length === 0 && contested.size === 0) return view;
    const elapsedMs = performance.now() - started;
    const owners = slotOwners(view);
    const isForUs = (slot: number): boolean => owners[slot] === undefined || contested.has(slot);
    const other = differences.find(({ slots }) => !slots || !expandSlots(slots).every(isForUs));
    if (!other && elapsedMs >= (contested.size > 0 ? longest : Math.min(GOSSIP_MS, longest))) return view;
    if (elapsedMs >= longest) {
      throw new ClusterError('NODES_DISAGREE', `The nodes do not agree: ${other?.message}`, {
        ...(other?.nodes[0] ? { address: other.nodes[0] } : {}),
        hint: `Nothing was changed. ${other?.hint}`,
      });
    }
    await sleep(PAUSE_MS);
  }
}

/** Throws unless every slot is served, and every node answers that the others do not hold for failed. */
export function requireServing(view: ClusterView, what: string): void {
  requireAnswers(view, what);
  const uncovered = uncoveredSlots(view);
  if (uncovered.length > 0) {
    throw new ClusterError('SLOTS_UNCOVERED', `Cannot ${what}: ${describeUncovered(uncovered)}`, {
      hint: 'Bring their master back, fail over to its replica, or give them to a new node with: redis-trib rescue',
    });
  }
}

/** Throws where a slot is open: a key of it may be on either of two nodes. */
export function requireClosed(view: ClusterView, what: string): void {
  const open = [...openSlotsOf(view).keys()];
  if (open.length === 0) return;
  throw new ClusterError('OPEN_SLOT', `Cannot ${what}: slots are open`, {
    openSlots: open,
    hint: `Close them first: redis-trib fix ${formatAddress(view.seed)}`,
  });
}

/** Throws where a node gives no answer that the others do not hold for failed: it could not be told of the change. */
export function requireAnswers(view: ClusterView, what: string): void {
  const failed = new Set(failedNodes(view));
  for (const [id, error] of view.unreachable) {
    if (failed.has(id)) continue;
    const name = nodeName(view, id);
    throw new ClusterError(
      'NODE_UNREACHABLE',
      `Cannot ${what}: ${name} gives no answer: ${messageOf(error)}`,
      {
        address: name,
        hint: 'Nothing was changed. Bring it back, or wait until the cluster holds it for failed',
        cause: error,
      },
    );
  }
}
