import { setTimeout as sleep } from 'node:timers/promises';
import type { ReplyError } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { formatSlots } from '../../model/slot.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { hearOfEpoch } from '../epoch.ts';
import { inParallel } from '../parallel.ts';
import { askSource, askTarget, firstRefusal, type Link } from './link.ts';

/**
 * Opens slots: IMPORTING on the target, then MIGRATING on the source. From then on the source answers for the keys it
 * has and sends clients to the target for those it has not.
 * Where either refuses, the slots that only the target has opened are closed again: nobody was sent there yet.
 */
export async function openSlots(link: Link, slots: readonly number[]): Promise<void> {
  const { source, target } = link;
  const importing = await askTarget(
    link,
    slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id]),
  );
  const refusedByTarget = firstRefusal(slots, importing);
  if (refusedByTarget) {
    await askTarget(
      link,
      slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'STABLE']),
    );
    throw cannotOpen(link, refusedByTarget.slot, target, refusedByTarget.error);
  }
  const migrating = await askSource(
    link,
    slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id]),
  );
  const refusedBySource = firstRefusal(slots, migrating);
  if (refusedBySource) {
    const opened = slots.filter((_, index) => !(migrating[index] instanceof Error));
    const unopened = slots.filter((_, index) => migrating[index] instanceof Error);
    await askTarget(
      link,
      unopened.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'STABLE']),
    );
    throw cannotOpen(link, refusedBySource.slot, source, refusedBySource.error, opened);
  }
}

function cannotOpen(
  link: Link,
  slot: number,
  node: NodeRef,
  error: ReplyError,
  left: readonly number[] = [],
): ClusterError {
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot open slot ${slot} on ${node.address} to move it from ${link.source.address} to ${link.target.address}: ${error.message}`,
    { address: node.address, cause: error, openSlots: left, resumable: true },
  );
}

const CLOSE_ATTEMPTS = 5;
const CLOSE_PAUSE_MS = 300;

/**
 * Closes slots that hold no key on the source any more: SETSLOT NODE on the target, which takes a new config epoch for
 * it, then on the source, then on the other masters. In another order a crash would leave a slot that nobody owns.
 * Only the target's word is required; the others would hear of it by gossip too.
 */
export async function closeSlots(
  link: Link,
  slots: readonly number[],
  others: readonly NodeRef[],
): Promise<void> {
  await hearOfEpoch(link.context, link.target, [link.source]);
  await closeOnTarget(link, slots);
  const command = (slot: number) => ['CLUSTER', 'SETSLOT', slot, 'NODE', link.target.id] as const;
  await tellOwner(link, link.source, slots.map(command));
  await inParallel(others, (other) => tellOwner(link, other, slots.map(command)));
}

async function closeOnTarget(link: Link, slots: readonly number[]): Promise<void> {
  // SETSLOT NODE is safe to repeat, so a lost answer is simply asked for again.
  for (let attempt = 1; ; attempt++) {
    const failure = await askTarget(
      link,
      slots.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'NODE', link.target.id]),
    ).then(
      (replies) => firstRefusal(slots, replies)?.error,
      (error: Error) => error,
    );
    if (!failure) return;
    if (attempt >= CLOSE_ATTEMPTS) {
      throw new ClusterError(
        'MIGRATE_FAILED',
        `Cannot close slots ${formatSlots(slots)} on ${link.target.address}: ${failure.message}`,
        { address: link.target.address, openSlots: slots, resumable: true, cause: failure },
      );
    }
    await sleep(CLOSE_PAUSE_MS);
  }
}

async function tellOwner(
  link: Link,
  node: NodeRef,
  commands: Parameters<Link['context']['connections']['askAll']>[1],
): Promise<void> {
  const { connections, emit } = link.context;
  try {
    const refused = (await connections.askAll(parseAddress(node.address), commands)).find(
      (reply) => reply instanceof Error && !isReplicaNow(reply),
    );
    if (refused) throw refused;
  } catch (error) {
    emit({
      type: 'warning',
      node: node.address,
      message: `${node.address} was not told the new owner of some slots and will hear of it from the others: ${messageOf(error)}`,
    });
  }
}

// A master that gave its last slot away becomes a replica of the receiver, and so needs no telling.
function isReplicaNow(error: Error): boolean {
  return error.message.includes('Please use SETSLOT only with masters');
}
