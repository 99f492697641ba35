import { ClusterError } from '../errors.ts';
import type { Finding } from '../findings/finding.ts';
import { disagreements, uncoveredSlots } from '../findings/findings.ts';
import type { Address } from '../model/address.ts';
import { misledAbout } from '../model/condition.ts';
import { expandSlots } from '../model/slot.ts';
import { type ClusterView, contestedSlots, openSlotsOf } from '../model/view.ts';
import type { Context } from './context.ts';
import { look } from './look.ts';
import { type Wait, waitUntil } from './wait-until.ts';

const PAUSE_MS = 100;
/** Gossip carries a change to every node of a large cluster within a few node timeouts. */
const LONGEST_WAIT_MS = 20_000;

/**
 * Looks until the nodes that answer agree about members and slot owners: gossip about an operation that has just ended may still
 * be spreading. Rejects with ClusterError `NODES_DISAGREE` if they do not agree in time.
 * `ignore` is the id of a node that the others may or may not know, or the ids of several. `nudge` is called with each view in which they disagree, to
 * help if waiting alone does not. For `elsewhere` see `look`.
 */
export async function lookSettled(
  context: Context,
  seed: Address,
  ignore?: string | ReadonlySet<string>,
  nudge?: (view: ClusterView) => Promise<void>,
  elsewhere: readonly Address[] = [],
): Promise<ClusterView> {
  return waitUntil(waitIn(context), async () => {
    const view = await look(context.connections, seed, context.signal, undefined, elsewhere);
    // The owner of an open slot is settled when it is closed: until then some nodes may never learn it.
    const [first] = disagreements(view, ignore, openSlotsOf(view));
    if (!first) return { done: seen(context, view) };
    return { missing: [first.message], giveUp: () => doNotAgree(first), nudge: () => nudge?.(view) };
  });
}

function waitIn(context: Context): Wait {
  const timeoutMs = Math.min(LONGEST_WAIT_MS, context.settings.agreeTimeout);
  return { what: 'the nodes to agree', timeoutMs, pauseMs: PAUSE_MS, signal: context.signal };
}

function doNotAgree({ message, nodes, hint, next }: Finding): ClusterError {
  return new ClusterError('NODES_DISAGREE', `The nodes do not agree: ${message}`, {
    ...(nodes[0] ? { address: nodes[0] } : {}),
    hint: ['Nothing was changed', ...(hint ? [hint] : [])].join('. '),
    next,
  });
}

function seen({ account }: Context, view: ClusterView): ClusterView {
  account.view = view;
  return view;
}

/** How long to wait for gossip to settle slot owners, before the difference is left for a fix to repair. */
const GOSSIP_MS = 3000;

/**
 * Looks until the nodes that answer agree, or differ only about slots for which waiting does not help: slots that no master
 * claims though others consider one the owner, slots whose owner has failed or, once the time is up, slots that two masters
 * claim.
 * A Valkey that has waited for a replica in vain takes no slot; the replica does, as soon as it wakes. Rejects with ClusterError
 * `NODES_DISAGREE` if they finally differ about anything else. For `elsewhere` see `look`.
 */
export async function lookToFix(
  context: Context,
  seed: Address,
  elsewhere: readonly Address[],
): Promise<ClusterView> {
  const started = performance.now();
  return waitUntil(waitIn(context), async () => {
    const view = await look(context.connections, seed, context.signal, undefined, elsewhere);
    const differences = disagreements(view, undefined, openSlotsOf(view));
    const contested = contestedSlots(view);
    const isGossipOver = performance.now() - started >= GOSSIP_MS;
    // A node that is being introduced may own slots that the others consider unowned.
    const isMeeting =
      !isGossipOver && [...view.reports.values()].some(({ inHandshake = [] }) => inHandshake.length > 0);
    if (isMeeting)
      return { missing: ['a node is being introduced'], giveUp: () => ({ done: seen(context, view) }) };
    // Packets may be on their way that say where a node is now.
    const misled = isGossipOver ? new Map<string, string[]>() : misledAbout(view);
    if (differences.length === 0 && contested.size === 0 && misled.size === 0)
      return { done: seen(context, view) };
    const uncovered = new Set(uncoveredSlots(view));
    const isForUs = (slot: number): boolean => uncovered.has(slot) || contested.has(slot);
    const other = differences.find(({ slots }) => !slots || !expandSlots(slots).every(isForUs));
    if (!other && contested.size === 0 && isGossipOver) return { done: seen(context, view) };
    return {
      missing: [...differences.map(({ message }) => message), ...misled.keys()],
      giveUp: () => (other ? doNotAgree(other) : { done: seen(context, view) }),
    };
  });
}
