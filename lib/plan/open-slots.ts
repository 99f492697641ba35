import { failedNodes } from '../model/findings.ts';
import type { NodeRecord } from '../model/node.ts';
import {
  type ClusterView,
  nodeById,
  nodeName,
  type OpenSlotOfNode,
  openSlotsOf,
  recordSeenBy,
  slotOwners,
  standIn,
} from '../model/view.ts';
import type { Undecided } from './fix.ts';
import { nodeRef, type Step } from './plan.ts';

type CloseStep = Extract<Step, { type: 'close-slots' }>;
/** Steps that mend slots. */
export type SlotStep = Extract<Step, { type: 'move-slots' | 'close-slots' | 'take-slots' }>;
type Decision = { readonly steps: readonly SlotStep[] } | { readonly reason: string };

/**
 * Closes every open slot by the word of its owner, the master that claims it with the highest config epoch, and never by
 * who holds more keys: a move that its owner has begun, or that a node began with its owner, is finished; what else is
 * open is closed, and its keys are handed to the owner. A slot that its owner has given away already goes to the node that
 * still imports it.
 *
 * Either end may have failed over since. Redis tells a replica nothing of open slots, so only the other end is left to tell
 * of the move, and it names a node that is a replica now. The keys are with the one that was promoted, which stands for it.
 *
 * `leaveUnowned` says nothing of slots that nobody serves: they are decided on elsewhere.
 */
export function planOpenSlots(
  view: ClusterView,
  leaveUnowned: boolean,
): { readonly steps: readonly SlotStep[]; readonly undecided: readonly Undecided[] } {
  const owners = slotOwners(view);
  const failed = new Set(failedNodes(view));
  const steps: SlotStep[] = [];
  const undecided: Undecided[] = [];
  for (const [slot, items] of openSlotsOf(view)) {
    const decision = decide(view, slot, owners[slot], items);
    // What nobody owns, or a failed master, is decided on with all the others of that kind.
    const owner = owners[slot];
    const isUnowned = owner === undefined || (!view.reports.has(owner) && failed.has(owner));
    if (leaveUnowned && isUnowned && 'reason' in decision) continue;
    if ('reason' in decision) undecided.push({ slot, reason: decision.reason });
    else steps.push(...decision.steps);
  }
  return { steps, undecided };
}

function decide(
  view: ClusterView,
  slot: number,
  ownerId: string | undefined,
  items: readonly OpenSlotOfNode[],
): Decision {
  const owner = ownerId === undefined ? undefined : nodeById(view, ownerId);
  if (!owner) return givenAway(view, slot, items) ?? { reason: 'no master owns it' };
  if (!view.reports.has(owner.id)) return { reason: `its owner ${nodeName(view, owner.id)} gives no answer` };

  const begun = items.find(({ nodeId, direction }) => nodeId === owner.id && direction === 'migrating');
  const importers = items.filter(
    ({ nodeId, direction, peer }) =>
      nodeId !== owner.id && direction === 'importing' && standIn(view, peer)?.id === owner.id,
  );
  const targetId = begun ? begun.peer : importers.length === 1 ? importers[0]?.nodeId : undefined;
  const target = targetId === undefined ? undefined : standIn(view, targetId);
  const steps: SlotStep[] = [];
  let finalOwner: NodeRecord = owner;
  if (target && target.role === 'master' && target.id !== owner.id) {
    if (!view.reports.has(target.id))
      return { reason: `${nodeName(view, target.id)}, which takes it, gives no answer` };
    const isKnown = recordSeenBy(view, target.id, owner.id)?.slots.some(
      ([first, last]) => first <= slot && slot <= last,
    );
    // Redis up to 7.0 follows no failover for a slot that it imports: nobody owns it in its eyes, and it stops serving.
    if (!isKnown) steps.push({ ...closing(target, owner, slot), stayOpen: true });
    steps.push({
      type: 'move-slots',
      source: nodeRef(owner),
      target: nodeRef(target),
      slots: [[slot, slot]],
    });
    finalOwner = target;
  } else if (begun) {
    steps.push(closing(owner, owner, slot));
  }
  for (const { nodeId, direction } of items) {
    const node = nodeById(view, nodeId);
    if (
      !node ||
      (node.id === finalOwner.id && steps.length > 0) ||
      (node.id === owner.id && direction === 'migrating')
    )
      continue;
    steps.push(closing(node, finalOwner, slot));
  }
  return { steps };
}

// The source closes a slot only when it holds no key of it any more, so all are where it sent them: what is left of a move
// whose source was told first, as the predecessor did it.
function givenAway(view: ClusterView, slot: number, items: readonly OpenSlotOfNode[]): Decision | undefined {
  const [item] = items;
  if (!item || items.length > 1 || item.direction !== 'importing') return undefined;
  const [target, source] = [nodeById(view, item.nodeId), standIn(view, item.peer)];
  const seen = view.reports
    .get(source?.id ?? '')
    ?.records.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last));
  if (target?.role !== 'master' || !source || seen?.id !== target.id) return undefined;
  return {
    steps: [
      {
        type: 'take-slots',
        node: nodeRef(target),
        from: [nodeRef(source)],
        slots: [[slot, slot]],
        isBegun: true,
      },
    ],
  };
}

/** Closes a slot on a node that does not own it, or on the owner itself. */
export function closing(node: NodeRecord, owner: NodeRecord, slot: number): CloseStep {
  return { type: 'close-slots', node: nodeRef(node), owner: nodeRef(owner), slots: [[slot, slot]] };
}
