import type { Command } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { claimsBySlot, expandSlots } from '../../model/slot.ts';
import type { NodeRef, StepOf } from '../../plan/plan.ts';
import { type Context, nodeError } from '../context.ts';
import { hearOfEpoch } from '../epoch.ts';
import { askNode } from '../look.ts';
import { ownsAlready } from '../mover/set-slot.ts';
import { inParallel } from '../parallel.ts';

/**
 * Takes slots whose owner has failed, or that have none. A taker that holds another for the owner needs IMPORTING and NODE, one
 * that knows of none needs ADDSLOTS. BUMPEPOCH comes first: with a config epoch above the lost owner's everyone will follow, the
 * lost owner too if it comes back; with a lower one it would take its slots back, and what was written to them with it.
 */
export async function takeSlots(
  context: Context,
  step: StepOf<'take-slots'>,
  masters: readonly NodeRef[],
): Promise<void> {
  const address = parseAddress(step.node.address);
  await hearOfEpoch(context, step.node, masters);
  const { records, myself } = await askNode(context.connections, address);
  const owned = new Set(expandSlots(myself.slots));
  const seen = claimsBySlot(records);
  const slots = expandSlots(step.slots).filter((slot) => !owned.has(slot));
  const commands: Command[] = [
    ['CLUSTER', 'BUMPEPOCH'],
    ...slots.flatMap((slot): Command[] =>
      seen[slot] !== undefined
        ? [
            ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', seen[slot]],
            ['CLUSTER', 'SETSLOT', slot, 'NODE', step.node.id],
          ]
        : [['CLUSTER', 'ADDSLOTS', slot]],
    ),
  ];
  // Valkey takes a slot by itself that it imports and that its source has closed.
  const refused = (await context.connections.askAll(address, commands)).find(
    (reply) => reply instanceof Error && !ownsAlready(reply),
  );
  if (refused) {
    throw nodeError(
      'SLOTS_UNCOVERED',
      step.node.address,
      `Cannot give lost slots to ${step.node.address}: ${messageOf(refused)}`,
      {
        cause: refused,
        resumable: true,
      },
    );
  }
  context.emit({ type: 'slots-assigned', node: step.node.address, slots: slots.length });
  const tell: Command[] = expandSlots(step.slots).map((slot) => [
    'CLUSTER',
    'SETSLOT',
    slot,
    'NODE',
    step.node.id,
  ]);
  await inParallel(
    masters.filter(({ id }) => id !== step.node.id),
    (master) =>
      context.connections.askAll(parseAddress(master.address), tell).catch((error: unknown) => {
        context.emit({
          type: 'warning',
          node: master.address,
          message: `${master.address} was not told: ${messageOf(error)}`,
        });
      }),
  );
}
