import type { Command } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { expandSlots } from '../../model/slot.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import { askNode } from '../../nodes/look.ts';
import type { StepOf } from '../../plan/plan.ts';

/** Gives a node that knows no other its slots and its config epoch. Slots that it already has are left out. */
export async function assignSlots(context: Context, step: StepOf<'assign-slots'>): Promise<void> {
  const address = parseAddress(step.node.address);
  const { myself } = await askNode(context.connections, address);
  const has = new Set(expandSlots(myself.slots));
  const slots = expandSlots(step.slots).filter((slot) => !has.has(slot));
  const commands: Command[] = [['CLUSTER', 'SET-CONFIG-EPOCH', step.configEpoch]];
  for (let at = 0; at < slots.length; at += step.maxSlots) {
    commands.push(['CLUSTER', 'ADDSLOTS', ...slots.slice(at, at + step.maxSlots)]);
  }
  const [, ...replies] = await context.connections.askAll(address, commands);
  // SET-CONFIG-EPOCH is refused if the node already has an epoch or knows others: then it is set, or gossip settles it.
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused) {
    throw nodeError(
      'SLOTS_NOT_HELD',
      step.node.address,
      `Cannot assign slots to ${step.node.address}: ${messageOf(refused)}`,
      {
        cause: refused,
      },
    );
  }
  context.emit({ type: 'slots-assigned', node: step.node.address, slots: slots.length });
}
