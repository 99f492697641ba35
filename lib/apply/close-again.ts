import type { Expectation } from '../model/expectation.ts';
import { setSlotsAt } from '../move/set-slot.ts';
import type { Nudge } from '../nodes/agreement.ts';
import type { Context } from '../nodes/context.ts';
import { inParallel } from '../nodes/parallel.ts';

/** Closes slots on members that still give them away, and have heard of the new owner from others: they were down when they were told. */
export function closeAgain(context: Context, { members }: Expectation): Nudge {
  return async (missing) => {
    await inParallel(missing, async ({ node, open = [] }) => {
      const member = members.find(({ address }) => address === node);
      if (!member) return;
      try {
        await setSlotsAt(context, member, open, ['STABLE']);
      } catch {
        // The wait says what is missing.
        context.signal?.throwIfAborted();
      }
    });
  };
}
