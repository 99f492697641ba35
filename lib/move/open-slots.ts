import { ClusterError, retold } from '../errors.ts';
import type { Address } from '../model/address.ts';
import { askNode } from '../nodes/look.ts';
import type { NodeRef } from '../plan/plan.ts';
import { strayKeysLeft } from './by-migrate/migrate-errors.ts';
import type { Probe } from './by-migrate/prove-target.ts';
import type { ReplaceAuthority } from './by-migrate/replace-authority.ts';
import type { StrayKey } from './by-migrate/stray-keys.ts';
import { countByDatabase, type Ends } from './ends.ts';
import { onlyAtTarget } from './only-at-target.ts';
import { hintOn, type Refusal, receiverIn, refusalBut, setSlots } from './set-slot.ts';
import { unknownNode } from './unknown-node.ts';

/** Proves with keys of the slots that are opened that what the source sends reaches the target. */
export interface OpeningProof {
  findProbes(slots: readonly number[]): Promise<readonly Probe[]>;
  /** Called when the target imports the slots and holds no key of them, before the source opens them. */
  give(probes: readonly Probe[]): Promise<void>;
}

/**
 * Opens slots: IMPORTING on the target, then MIGRATING on the source. From then on the source answers for the keys it has and
 * redirects clients to the target for all others.
 * If either refuses, slots that only the target has opened are closed again, since no client was redirected there yet. Those that
 * `authority` knows as found open stay as they were: the target may hold keys of them.
 * If the target already owns slots, that is not a failure. A server may have taken them at the end of a migration that it
 * reported as failed, and the last commands of a killed run may arrive after the look. Keys of them that the source still holds
 * are moved anyway.
 * Rejects with ClusterError `NODE_NOT_EMPTY` if the target holds keys of a slot that was not found open: old values would come
 * back, or stand in the way of newer ones. When a move is resumed, such slots count as found open; but with `KEYS_IN_DOUBT` if the
 * source does not have all of these keys: they would be the cluster's again.
 * Once both ends have opened a slot, `authority` records what was established about it. Rules 9 and 10 (docs/moving-slots.md).
 */
export async function openSlots(
  ends: Ends,
  slots: readonly number[],
  authority: ReplaceAuthority,
  isResumed: boolean,
  proof?: OpeningProof,
): Promise<void> {
  const { source, target } = ends;
  const fresh = slots.filter((slot) => !authority.isFoundOpen(slot));
  const foundOpen = slots.filter((slot) => authority.isFoundOpen(slot));
  // The count follows SETSLOT on one connection: Redis 8.4 and newer hide keys of slots that they do not import.
  const [atTarget, filled, probes] = await Promise.all([
    setSlots(receiverIn(ends, target), slots, ['IMPORTING', source.id]),
    slotsWithKeys(ends, fresh),
    proof?.findProbes(fresh) ?? [],
  ]);
  const refusedByTarget = refusalBut(atTarget, 'owns-already');
  const taken = new Set(
    atTarget.refusals.filter(({ reason }) => reason === 'owns-already').map(({ slot }) => slot),
  );
  const [strange, ...more] = filled.filter((slot) => !taken.has(slot));
  // Clients write to these at the target: its values must not be replaced.
  authority.noteOfTarget(taken);
  const closeAgain = async (): Promise<number[]> => [
    ...foundOpen,
    ...(await closeOnTargetAgain(ends, fresh)),
  ];
  if (refusedByTarget) throw cannotOpen(ends, target, refusedByTarget, await closeAgain());
  if (strange !== undefined && !isResumed) throw hasStrangeKeys(ends, strange, await closeAgain());
  if (strange !== undefined) {
    const alone = await onlyAtTarget(ends, [strange, ...more]);
    if (alone.length > 0) throw onlyAtTargetError(ends, alone, await closeAgain());
    authority.noteFoundOpen([strange, ...more]);
  }
  const ours = new Set(fresh.filter((slot) => !authority.isFoundOpen(slot)));
  await proof?.give(probes.filter(({ slot }) => ours.has(slot))).catch(async (error: unknown) => {
    if (!(error instanceof ClusterError)) throw error;
    throw retold(error, { openSlots: await closeAgain().catch(() => slots) });
  });
  const atSource = await setSlots(receiverIn(ends, source), slots, ['MIGRATING', target.id]);
  const refused = atSource.refusals.find(
    ({ slot, reason }) => !(taken.has(slot) && reason === 'does-not-own'),
  );
  if (refused) {
    const opened = new Set([...foundOpen, ...(await openAt(ends, ends.sourceAddress))]);
    const unopened = slots.filter((slot) => !opened.has(slot));
    for (const slot of await closeOnTargetAgain(ends, unopened)) opened.add(slot);
    const left = slots.filter((slot) => opened.has(slot));
    throw cannotOpen(ends, source, refused, left);
  }
  authority.grantOpenedEmpty(fresh);
}

// Resolves to those that stay open anyway, because they have to be named.
async function closeOnTargetAgain(ends: Ends, slots: readonly number[]): Promise<number[]> {
  const { refusals } = await setSlots(receiverIn(ends, ends.target), slots, ['STABLE']);
  if (refusals.length === 0) return [];
  const open = new Set(await openAt(ends, ends.targetAddress));
  return slots.filter((slot) => open.has(slot));
}

async function openAt({ context }: Ends, address: Address): Promise<number[]> {
  const { myself } = await askNode(context.connections, address);
  return myself.openSlots.map(({ slot }) => slot);
}

/** Those of the slots of which the target holds keys, in any of its databases. */
export async function slotsWithKeys(ends: Ends, slots: readonly number[]): Promise<number[]> {
  const counts = [...(await countByDatabase(ends, slots, 'target')).values()];
  return slots.filter((_, index) => counts.some((ofOne) => (ofOne[index] ?? 0) > 0));
}

function hasStrangeKeys({ target, source }: Ends, slot: number, openSlots: readonly number[]): ClusterError {
  return new ClusterError(
    'NODE_NOT_EMPTY',
    `Cannot move slot ${slot} from ${source.address} to ${target.address}: the target does not own it but already holds keys of it`,
    {
      address: target.address,
      openSlots,
      hint: 'Nothing of it was moved',
      next: [
        {
          do: 'migrate-slots',
          node: source.address,
          target: target.address,
          slots: [[slot, slot]],
          options: { resume: true },
          when: 'earlier-move',
        },
        // Compares them with those of the owner. A Redis hides them from GETKEYSINSLOT while it neither owns nor imports the slot.
        { do: 'fix', cluster: source.address, when: 'otherwise' },
        { do: 'retry', when: 'after-that' },
      ],
    },
  );
}

function onlyAtTargetError(
  { source, target }: Ends,
  alone: readonly StrayKey[],
  openSlots: readonly number[],
): ClusterError {
  const error = strayKeysLeft({ source: target, target: source }, { differing: [], alone });
  return retold(error, { openSlots, next: [...error.next, { do: 'retry', when: 'after-that' }] });
}

function cannotOpen(ends: Ends, node: NodeRef, refusal: Refusal, left: readonly number[]): ClusterError {
  const { slot, reason, error } = refusal;
  if (reason === 'unknown-node') {
    const other = node.id === ends.source.id ? ends.target : ends.source;
    return unknownNode(other, [node], { openSlots: left, cause: error });
  }
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot open slot ${slot} on ${node.address} to move it from ${ends.source.address} to ${ends.target.address}: ${error.message}`,
    {
      address: node.address,
      cause: error,
      openSlots: left,
      resumable: 'same-call',
      hint: hintOn(refusal, node.address),
    },
  );
}
