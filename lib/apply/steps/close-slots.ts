import type { Command } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { expandSlots, formatSlots } from '../../model/slot.ts';
import type { StepOf } from '../../plan/plan.ts';
import { type Context, nodeError } from '../context.ts';
import { drainSlots } from '../mover/drain.ts';
import { askSource, openLink } from '../mover/link.ts';

/** Closes slots that were found open on a node, after handing keys that lie there to the owner. */
export async function closeOpenSlots(context: Context, step: StepOf<'close-slots'>): Promise<void> {
  const slots = expandSlots(step.slots);
  if (step.node.id !== step.owner.id && !step.stayOpen) await handOver(context, step, slots);
  // NODE ends a migration towards the owner, STABLE an importing that came to nothing.
  const told =
    step.node.id === step.owner.id
      ? []
      : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'NODE', step.owner.id]);
  const closed = step.stayOpen ? [] : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'STABLE']);
  const replies = await context.connections.askAll(parseAddress(step.node.address), [...told, ...closed]);
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused) {
    throw nodeError(
      'OPEN_SLOT',
      step.node.address,
      `Cannot close slots ${formatSlots(slots)} on ${step.node.address}: ${messageOf(refused)}`,
      {
        openSlots: slots,
        cause: refused,
      },
    );
  }
  if (!step.stayOpen)
    context.emit({ type: 'slots-closed', source: step.node.address, target: step.owner.address, slots });
}

// A node that does not own a slot may still hold keys of it. They go to the owner, who keeps its own value of a key that
// both have: the slot then stays open, and the error says which keys differ.
async function handOver(
  context: Context,
  step: StepOf<'close-slots'>,
  slots: readonly number[],
): Promise<void> {
  const link = await openLink(context, step.node, step.owner);
  const open = new Set(link.sourceReport.myself.openSlots.map(({ slot }) => slot));
  for (const slot of slots) {
    // Some servers close it by themselves when they hear of a new owner, and then refuse MIGRATE.
    if (!open.has(slot)) await askSource(link, [['CLUSTER', 'SETSLOT', slot, 'IMPORTING', step.owner.id]]);
  }
  // None of these slots is ours: nothing is overwritten.
  await drainSlots(link, slots);
}
