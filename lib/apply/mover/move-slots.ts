import { expandSlots } from '../../model/slot.ts';
import type { MoveStep, NodeRef } from '../../plan/plan.ts';
import type { Context } from '../context.ts';
import { moveByMigrate } from './classic.ts';
import { countAllKeys, openLink } from './link.ts';
import type { Ledger } from './progress.ts';

/**
 * Moves slots from one master to another.
 *
 * Safe to repeat, and safe to die in the middle of: the slots that were open are found open and finished. When the
 * signal aborts no slot stays open, and the signal's reason is thrown.
 * `others` are the masters that are told the new owner besides the two.
 */
export async function moveSlots(
  context: Context,
  step: MoveStep,
  others: readonly NodeRef[],
  ledger: Ledger,
): Promise<void> {
  const slots = expandSlots(step.slots);
  const link = await openLink(context, step.source, step.target);
  const keysIn = await countAllKeys(link, slots);
  const keys = keysIn.reduce((sum, count) => sum + count, 0);
  const progress = ledger.begin(step, 'migrate', slots.length, {
    bytes: 0,
    bigKeys: [],
    ...step.content,
    keys,
  });
  const bigKeys = new Map(step.content?.bigKeys.map(({ key, bytes }) => [key, bytes]));
  await moveByMigrate({ link, slots, keysIn, bigKeys, others, progress });
  progress.done();
}
