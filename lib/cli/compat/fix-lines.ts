import { expandSlots } from '../../model/slot.ts';
import { type ClusterView, openSlotsOf } from '../../model/view.ts';
import type { Plan, StepOf } from '../../plan/plan.ts';
import { placeOf } from './create-lines.ts';
import type { Words } from './words.ts';

/** The output of `fix` for each open slot: where it is open, and where its keys go. */
export function fixLines(
  view: ClusterView,
  plan: Plan,
  names: ReadonlyMap<string, string>,
  words: Words,
): string[] {
  const moves = plan.steps.filter((step): step is StepOf<'move-slots'> => step.type === 'move-slots');
  const bySlot = new Map(
    moves.flatMap((step) => expandSlots(step.slots).map((slot) => [slot, step] as const)),
  );
  return [...openSlotsOf(view)].flatMap(([slot, items]) => {
    const at = (wanted: string): string =>
      items
        .filter(({ direction }) => direction === wanted)
        .map(({ nodeId }) => names.get(nodeId) ?? nodeId)
        .join(',');
    const move = bySlot.get(slot);
    const way =
      move && `slot ${slot} from ${placeOf(move.source.address)} to ${placeOf(move.target.address)}`;
    return [
      `>>> Fixing open slot ${slot}`,
      `Set as migrating in: ${at('migrating')}`,
      `Set as importing in: ${at('importing')}`,
      ...(way ? [`>>> Case 1: Moving ${way}`, `Moving ${way}${words.inRanges ? '' : ': '}`] : []),
    ];
  });
}
