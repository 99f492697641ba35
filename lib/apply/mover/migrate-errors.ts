import type { ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { formatKey } from '../../model/bytes.ts';
import { formatSlots } from '../../model/slot.ts';
import type { Leftovers } from './leftovers.ts';
import type { Link } from './link.ts';

/** Error for keys that were left where they are. */
export function keyConflict(link: Link, conflicts: Leftovers['conflicts']): ClusterError {
  const keys = conflicts.flatMap((conflict) => conflict.keys);
  const slots = [...new Set(conflicts.map(({ slot }) => slot))].sort((a, b) => a - b);
  const which = slots.length === 1 ? `slot ${slots[0]}` : `slots ${formatSlots(slots)}`;
  return new ClusterError(
    'KEY_CONFLICT',
    `Cannot move ${which} from ${link.source.address} to ${link.target.address}: ` +
      `${keys.length} keys have different values on both, for example ${formatKey(keys[0] ?? '')}`,
    {
      address: link.source.address,
      keys,
      openSlots: slots,
      hint: `Clients see the value on ${ownerOf(link, slots[0] ?? -1)}. Delete the key on the side that is wrong, then run the same command again`,
    },
  );
}

function ownerOf({ source, target, targetReport }: Link, slot: number): string {
  const isTarget = targetReport.myself.slots.some(([first, last]) => first <= slot && slot <= last);
  return isTarget ? target.address : source.address;
}

/** Error for a batch that could not be moved. `unsettled` are its keys, where the target may have copies of them. */
export function cannotMigrate(
  link: Link,
  slot: number,
  cause: Error,
  unsettled: readonly string[] = [],
): ClusterError {
  const { source, target } = link;
  const hint =
    `Run the same command again when both nodes are well, before clients delete any of the ${unsettled.length} keys that were on ` +
    `their way, which --json names: what is deleted on ${source.address} until then may come back from a copy on ${target.address}`;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot migrate slot ${slot} from ${source.address} to ${target.address}: ${cause.message}`,
    {
      address: source.address,
      cause,
      openSlots: [slot],
      resumable: true,
      ...(unsettled.length > 0 ? { keys: unsettled, hint } : {}),
    },
  );
}

/** Error where a node does not allow to end what is left of an older attempt. */
export function cannotFence(link: Link, slot: number, cause: ReplyError): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot make sure that no earlier MIGRATE of slot ${slot} is still on its way from ${link.source.address} to ${link.target.address}: ${cause.message}`,
    {
      address: cause.address ?? link.target.address,
      cause,
      openSlots: [slot],
      resumable: true,
      hint: 'The user needs CLIENT LIST and CLIENT KILL on both nodes. Wait until both answer, then run the same command again',
    },
  );
}

/** Error for keys of slots that are moved, of which nobody knows whether they should be there. */
export function keysInDoubt({ source, target }: Link, keys: readonly string[]): ClusterError {
  const shown = keys.slice(0, 5).map(formatKey).join(', ');
  return new ClusterError(
    'KEYS_IN_DOUBT',
    `The slots are moved from ${source.address} to ${target.address}, but ${keys.length} keys were deleted, or expired, ` +
      `while the answer about them was lost, and are on the target: ${shown}`,
    {
      address: target.address,
      keys,
      hint: `Each is either an old copy or was written anew since. Look at them on ${target.address}, and delete what should be gone`,
    },
  );
}
