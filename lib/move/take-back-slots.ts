import { askClusterDatabases } from '../nodes/node-info.ts';
import type { Ends } from './ends.ts';
import { slotsWithKeys } from './open-slots.ts';
import { closeWithoutKeys, receiverIn, setSlots } from './set-slot.ts';

/**
 * Closes slots that this run opened and of which the target has no key: they stay with the source, which has all their keys.
 * Resolves to those that are closed; of the others the target has keys, or an end refuses.
 * The target is closed first: from then on it accepts no key, neither from clients nor from a MIGRATE still in flight. Until the
 * source follows, clients are redirected back and forth for keys that it does not have. In the other order the source would
 * report such keys as missing, and let clients write them a second time. Rule 14 (docs/moving-slots.md).
 */
export async function takeBackSlots(ends: Ends, slots: readonly number[]): Promise<number[]> {
  const { context, targetAddress, isValkey } = ends;
  // COUNTKEYSINSLOT counts one database only.
  const databases = await askClusterDatabases(context.connections, targetAddress);
  if (databases === undefined ? isValkey : databases > 1) return [];
  const held = new Set(await slotsWithKeys(ends, slots));
  const without = slots.filter((slot) => !held.has(slot));
  // A Valkey that waits in vain for a replica takes seconds to refuse each slot: try one before all others.
  const first = await takeBack(ends, without.slice(0, 1));
  return first.length === 0 ? [] : [...first, ...(await takeBack(ends, without.slice(1)))];
}

async function takeBack(ends: Ends, slots: readonly number[]): Promise<number[]> {
  const { source, target } = ends;
  const still = await closeWithoutKeys(ends, slots);
  const { set } = await setSlots(receiverIn(ends, source), still, ['STABLE']);
  const back = new Set(set);
  const notBack = slots.filter((slot) => !back.has(slot));
  await setSlots(receiverIn(ends, target), notBack, ['IMPORTING', source.id]);
  return [...back];
}
