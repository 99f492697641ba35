import { ClusterError } from '../errors.ts';
import { ownerByReports } from '../model/holders.ts';
import { nameSlots } from '../model/slot.ts';
import { askNode } from '../nodes/look.ts';
import { inParallel } from '../nodes/parallel.ts';
import type { Ends } from './ends.ts';

/**
 * Throws if neither end of a move owns slots any more. A replica that replaced the source does not know that they are open, and
 * serves them; the source, once it is back, lacks the writes made there. That it holds no key of them then means nothing.
 * Rules 1 and 11 (docs/moving-slots.md).
 */
export async function requireOwned(ends: Ends, slots: readonly number[]): Promise<void> {
  const { context, source, sourceAddress, targetAddress } = ends;
  const answers = await inParallel([sourceAddress, targetAddress], (address) =>
    askNode(context.connections, address),
  );
  const owned = answers.flatMap(({ myself }) => (myself.role === 'master' ? myself.slots : []));
  const lost = slots.filter((slot) => !owned.some(([first, last]) => first <= slot && slot <= last));
  if (lost.length === 0) return;
  throw new ClusterError(
    'MIGRATE_FAILED',
    `${source.address} does not own ${nameSlots(lost)} any more, which were moving to ${ends.target.address}: ${ownerByReports(answers, lost) ?? 'another node'} has taken over`,
    {
      address: source.address,
      openSlots: lost,
      resumable: 'same-call',
      hint: 'The same call continues with the node that owns them now',
    },
  );
}
