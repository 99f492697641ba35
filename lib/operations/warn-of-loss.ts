import { expandSlots, formatRanges, nameSlots } from '../model/slot.ts';
import type { Context } from '../nodes/context.ts';
import type { Step } from '../plan/plan.ts';
import type { OperationResult } from './carry-out.ts';

/**
 * Warns before slots without an owner are given away, and names the slots that steps take from masters that are gone, before and after.
 * Nobody can tell how many keys are lost with them: nothing is taken from a node that still has some.
 */
export async function warningOfLoss(
  { emit }: Context,
  steps: readonly Step[],
  run: () => Promise<OperationResult>,
): Promise<OperationResult> {
  const losses = steps.flatMap((step) => {
    const [from] = step.type === 'take-slots' && !step.isBegun ? step.from : [];
    return from && step.type === 'take-slots' ? [{ slots: step.slots, node: from }] : [];
  });
  const say = (what: string): void => {
    for (const { slots, node } of losses) {
      const name = node.address.startsWith(':') ? node.id : node.address;
      const message = `${expandSlots(slots).length} slots of ${name} ${what} with their keys, of unknown number: ${formatRanges(slots)}`;
      emit({ type: 'warning', node: name, message });
    }
  };
  const unowned = steps.flatMap((step) =>
    step.type === 'take-slots' && step.from.length === 0 && !step.isBegun ? expandSlots(step.slots) : [],
  );
  if (unowned.length > 0) {
    const which = nameSlots(unowned.toSorted((a, b) => a - b));
    const message = `No node owns ${which}: a master that all others have forgotten, and that still serves there, deletes those keys once another node is the owner. Introduce such a node again instead`;
    emit({ type: 'warning', message });
  }
  say('are to be given up');
  const result = await run();
  if (result.applied) say('were given up');
  return result;
}
