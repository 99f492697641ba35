import { ClusterError, messageOf } from '../errors.ts';
import { nameSlots } from '../model/slot.ts';
import { inParallel } from '../nodes/parallel.ts';
import { pause } from '../nodes/wait-until.ts';
import type { NodeRef } from '../plan/plan.ts';
import type { Ends } from './ends.ts';
import { hearOfEpoch, settleEpochs } from './epochs.ts';
import { requireOwned } from './require-owned.ts';
import { type RefusalReason, receiverIn, refusalBut, setSlots } from './set-slot.ts';
import { requireKnownTo, unknownNode } from './unknown-node.ts';

const CLOSE_ATTEMPTS = 5;
const CLOSE_PAUSE_MS = 300;

/**
 * Closes slots of which the source holds no key any more. SETSLOT NODE goes to the target first, which takes a new config epoch
 * for it, then to the source and the other masters. In another order a crash could leave a slot without an owner.
 * Only the target's answer is required, and it is asked this often; the others would also learn the owner by gossip. A source that
 * does so has the slots open still, on Redis: they are closed at the end (`closeAgain`).
 * A member that does not know the target would not: that is found out before the target is told, and is an error later, too.
 * Rules 13 and 32 (docs/moving-slots.md).
 */
export async function closeSlots(
  ends: Ends,
  slots: readonly number[],
  others: readonly NodeRef[],
  attempts: number = CLOSE_ATTEMPTS,
): Promise<void> {
  const members = [ends.source, ...others];
  await Promise.all([requireOwned(ends, slots), requireKnownTo(ends.context, ends.target, members, slots)]);
  // Open slots have to be closed even after an abort.
  const context = { ...ends.context, signal: undefined };
  await settleEpochs(context, ends.source, ends.target, others);
  await hearOfEpoch(context, ends.target, [ends.source]);
  await closeOnTarget(ends, slots, attempts);
  const told = await inParallel(members, (node) => tellOwner(ends, node, slots));
  const without = members.filter((_, index) => told[index] === 'unknown-node');
  if (without.length > 0) throw unknownNode(ends.target, without);
}

async function closeOnTarget(ends: Ends, slots: readonly number[], attempts: number): Promise<void> {
  // SETSLOT NODE is safe to repeat, so after a lost answer it is simply sent again.
  for (let attempt = 1; ; attempt++) {
    const failure = await setSlots(receiverIn(ends, ends.target), slots, ['NODE', ends.target.id]).then(
      ({ refusals }) => refusals[0]?.error,
      (error: Error) => error,
    );
    if (!failure) return;
    if (attempt >= attempts) {
      throw new ClusterError(
        'MIGRATE_FAILED',
        `Cannot close ${nameSlots(slots)} on ${ends.target.address}: ${failure.message}`,
        { address: ends.target.address, openSlots: slots, resumable: 'same-call', cause: failure },
      );
    }
    await pause(CLOSE_PAUSE_MS);
  }
}

async function tellOwner(
  ends: Ends,
  node: NodeRef,
  slots: readonly number[],
): Promise<RefusalReason | undefined> {
  try {
    const told = await setSlots(receiverIn(ends, node), slots, ['NODE', ends.target.id]);
    const refused = refusalBut(told, 'is-replica');
    if (refused?.reason === 'unknown-node') return refused.reason;
    if (refused) throw refused.error;
  } catch (error) {
    ends.context.emit({
      type: 'warning',
      node: node.address,
      message: `${node.address} could not be sent the new owner of some slots and will learn it from the other nodes: ${messageOf(error)}`,
    });
  }
  return undefined;
}
