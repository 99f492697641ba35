import { setTimeout as sleep } from 'node:timers/promises';
import type { Command, Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { type Address, parseAddress } from '../../model/address.ts';
import { formatSlots } from '../../model/slot.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { hearOfEpoch, settleEpochs } from '../epoch.ts';
import { askNode } from '../look.ts';
import { askClusterDatabases } from '../node-info.ts';
import { inParallel } from '../parallel.ts';
import { askSource, askTarget, countOf, firstRefusal, type Link } from './link.ts';

const CLOSE_ATTEMPTS = 5;
const CLOSE_PAUSE_MS = 300;
/**
 * Connections to spread SETSLOT over where a node waits for replicas, with one command of a connection after the other. Redis answers at
 * once, and saves its configuration once for all that it has read of one connection, some 200.
 */
const WAITING_LANES = 16;
/** Slots that are not worth another connection. */
const MIN_SHARE = 8;

/**
 * Opens slots: IMPORTING on the target, then MIGRATING on the source. From then on the source answers for the keys it
 * has and sends clients to the target for those it has not.
 * Where either refuses, the slots that only the target has opened are closed again: nobody was sent there yet. Those in
 * `found` stay as they were, for keys of them may lie with the target.
 * Slots that the target owns already are no refusal: a server may have taken them at the end of a migration that it called failed,
 * and the last commands of a run that was killed may come after the look. What the source still holds of them is moved all the same.
 * Rejects with ClusterError `NODE_NOT_EMPTY` where the target holds keys of a slot which is not in `found`, the slots that
 * were open before: they would come back to life, or stand in the way of newer values. Where a move is resumed such slots
 * are added to `found`.
 */
export async function openSlots(
  link: Link,
  slots: readonly number[],
  found: Set<number>,
  isResumed: boolean,
): Promise<void> {
  const { source, target } = link;
  const fresh = slots.filter((slot) => !found.has(slot));
  const foundOpen = slots.filter((slot) => found.has(slot));
  const taken = new Set<number>();
  // The count goes after SETSLOT on one connection: Redis 8.4 and newer tell of no key in slots that they do not import.
  const [refusedByTarget, filled] = await Promise.all([
    setSlots(link, target, slots, ['IMPORTING', source.id], (error, slot) => {
      const isTaken = ownsAlready(error);
      if (isTaken) taken.add(slot);
      return isTaken;
    }),
    slotsWithKeys(link, fresh),
  ]);
  const [strange, ...more] = filled.filter((slot) => !taken.has(slot));
  // Clients write to these at the target: what is there is not ours to replace.
  for (const slot of taken) found.add(slot);
  if (refusedByTarget || (strange !== undefined && !isResumed)) {
    const open = [...foundOpen, ...(await closeOnTargetAgain(link, fresh))];
    if (refusedByTarget) throw cannotOpen(link, refusedByTarget.slot, target, refusedByTarget.error, open);
    throw hasStrangeKeys(link, strange ?? -1, open);
  }
  if (strange !== undefined) for (const slot of [strange, ...more]) found.add(slot);
  const refused = await setSlots(
    link,
    source,
    slots,
    ['MIGRATING', target.id],
    (error, slot) => taken.has(slot) && error.message.includes('not the owner of hash slot'),
  );
  if (refused) {
    const opened = new Set([...foundOpen, ...(await openAt(link, link.sourceAddress))]);
    const unopened = slots.filter((slot) => !opened.has(slot));
    for (const slot of await closeOnTargetAgain(link, unopened)) opened.add(slot);
    const left = slots.filter((slot) => opened.has(slot));
    throw cannotOpen(link, refused.slot, source, refused.error, left);
  }
}

// Resolves to those that are open there all the same, for they have to be named.
async function closeOnTargetAgain(link: Link, slots: readonly number[]): Promise<number[]> {
  const refused = await setSlots(link, link.target, slots, ['STABLE']);
  if (!refused) return [];
  const open = new Set(await openAt(link, link.targetAddress));
  return slots.filter((slot) => open.has(slot));
}

async function openAt({ context }: Link, address: Address): Promise<number[]> {
  const { myself } = await askNode(context.connections, address);
  return myself.openSlots.map(({ slot }) => slot);
}

/** True where a node refuses to import a slot because it is its own. */
export function ownsAlready(error: Error): boolean {
  return error.message.includes('already the owner of hash slot');
}

/** Those of the slots of which the target holds keys. */
export async function slotsWithKeys(link: Link, slots: readonly number[]): Promise<number[]> {
  const counts = await askTarget(
    link,
    slots.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]),
  );
  return slots.filter((_, index) => countOf(counts[index]) > 0);
}

function hasStrangeKeys({ target, source }: Link, slot: number, openSlots: readonly number[]): ClusterError {
  return new ClusterError(
    'NODE_NOT_EMPTY',
    `Cannot move slot ${slot} from ${source.address} to ${target.address}: the target holds keys of it already, though it does not own it`,
    {
      address: target.address,
      openSlots,
      hint:
        `Nothing of it was moved. If an earlier move left them there, go on with: redis-trib migrate_slots --resume ` +
        `${source.address} ${target.address} ${slot}. Else see them with CLUSTER GETKEYSINSLOT ${slot} 10 on ${target.address}, and delete them there`,
    },
  );
}

interface Refusal {
  readonly slot: number;
  readonly error: ReplyError;
}

/**
 * SETSLOT for many slots of one node. Resolves to the first refusal. A node that waits for replicas is asked for one slot before
 * all others: if it waits in vain it does nothing, and would take its time for each.
 */
async function setSlots(
  { context, waitsForReplicas }: Link,
  node: NodeRef,
  slots: readonly number[],
  words: readonly string[],
  tolerate?: (error: ReplyError, slot: number) => boolean,
): Promise<Refusal | undefined> {
  const address = parseAddress(node.address);
  const send = async (part: readonly number[], lane: number): Promise<Refusal | undefined> => {
    const commands = part.map((slot) => ['CLUSTER', 'SETSLOT', slot, ...words]);
    return firstRefusal(part, await context.connections.askAll(address, commands, { lane }), tolerate);
  };
  const refused = waitsForReplicas ? await send(slots.slice(0, 1), 0) : undefined;
  if (refused?.error.code === 'NOREPLICAS') return refused;
  const rest = waitsForReplicas ? slots.slice(1) : slots;
  const share = Math.max(MIN_SHARE, Math.ceil(rest.length / (waitsForReplicas ? WAITING_LANES : 1)));
  const shares = Array.from({ length: Math.ceil(rest.length / share) }, (_, index) =>
    rest.slice(index * share, (index + 1) * share),
  );
  const refusals = await inParallel(shares, send);
  return refused ?? refusals.find((refusal) => refusal !== undefined);
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

/**
 * Closes slots that hold no key on the source any more: SETSLOT NODE on the target, which takes a new config epoch for
 * it, then on the source and the other masters. In another order a crash would leave a slot that nobody owns.
 * Only the target's word is required, which is asked for this often; the others would hear of it by gossip too.
 */
export async function closeSlots(
  link: Link,
  slots: readonly number[],
  others: readonly NodeRef[],
  attempts: number = CLOSE_ATTEMPTS,
): Promise<void> {
  await requireOwned(link, slots);
  // What is open has to be closed, whoever wants to stop.
  const context = { ...link.context, signal: undefined };
  await settleEpochs(context, link.source, link.target, others);
  await hearOfEpoch(context, link.target, [link.source]);
  await closeOnTarget(link, slots, attempts);
  await inParallel([link.source, ...others], (node) => tellOwner(link, node, slots));
}

/**
 * Closes slots again which this run has opened and of which the target has no key: they stay with the source, which has them all.
 * Resolves to those that are closed; of the others the target has keys, or an end refuses.
 * The target goes first, and takes no key any more from then on, neither from clients nor from a MIGRATE that is still on its
 * way. Until the source has followed, clients are sent back and forth about keys that it does not have; in the other order it
 * would tell them that there is no such key, and let them write it a second time.
 */
export async function takeBackSlots(link: Link, slots: readonly number[]): Promise<number[]> {
  const { context, targetAddress, isValkey } = link;
  // COUNTKEYSINSLOT tells of one database.
  const databases = await askClusterDatabases(context.connections, targetAddress);
  if (databases === undefined ? isValkey : databases > 1) return [];
  const held = new Set(await slotsWithKeys(link, slots));
  const without = slots.filter((slot) => !held.has(slot));
  // A Valkey that waits for a replica in vain takes seconds to refuse each: one is tried before all others.
  const first = await takeBack(link, without.slice(0, 1));
  return first.length === 0 ? [] : [...first, ...(await takeBack(link, without.slice(1)))];
}

async function takeBack(link: Link, slots: readonly number[]): Promise<number[]> {
  const { source, target } = link;
  const still = await closeWithoutKeys(link, slots);
  const replies = await askSource(
    link,
    still.map((slot) => ['CLUSTER', 'SETSLOT', slot, 'STABLE']),
  );
  const back = new Set(still.filter((_, index) => replies[index] === 'OK'));
  await setSlots(
    link,
    target,
    slots.filter((slot) => !back.has(slot)),
    ['IMPORTING', source.id],
  );
  return [...back];
}

/**
 * Lets the target import slots no more; resolves to those of which it held no key then. One that hides keys afterwards has them counted in
 * the same transaction. No other is sent one: SETSLOT in a transaction ends a Valkey that has replicas (an assertion in `execCommand`).
 */
async function closeWithoutKeys(link: Link, slots: readonly number[]): Promise<number[]> {
  const count = (slot: number): Command => ['CLUSTER', 'COUNTKEYSINSLOT', slot];
  const close = (slot: number): Command => ['CLUSTER', 'SETSLOT', slot, 'STABLE'];
  if (link.targetHidesKeys) {
    const replies = await askTarget(
      link,
      slots.flatMap((slot) => [['MULTI'], count(slot), close(slot), ['EXEC']]),
    );
    const isEmptied = (reply: Reply | undefined): boolean =>
      Array.isArray(reply) && reply[0] === 0 && reply[1] === 'OK';
    return slots.filter((_, index) => isEmptied(replies[4 * index + 3]));
  }
  const replies = await askTarget(
    link,
    slots.flatMap((slot) => [close(slot), count(slot)]),
  );
  return slots.filter((_, index) => replies[2 * index] === 'OK' && replies[2 * index + 1] === 0);
}

/**
 * Throws where slots are no longer with the two ends of a move: a replica that has taken the source's place knows nothing of them being open, and serves
 * them, with writes that the source, when it is back, knows nothing of. That it holds no key of them then means nothing.
 */
export async function requireOwned(link: Link, slots: readonly number[]): Promise<void> {
  const { context, source, sourceAddress, targetAddress } = link;
  const ends = await inParallel([sourceAddress, targetAddress], (address) =>
    askNode(context.connections, address),
  );
  const owned = ends.flatMap(({ myself }) => (myself.role === 'master' ? myself.slots : []));
  const lost = slots.filter((slot) => !owned.some(([first, last]) => first <= slot && slot <= last));
  if (lost.length === 0) return;
  throw new ClusterError(
    'MIGRATE_FAILED',
    `${source.address} does not own slots ${formatSlots(lost)} any more, which were on their way to ${link.target.address}: another node has taken over`,
    {
      address: source.address,
      openSlots: lost,
      resumable: true,
      hint: 'Run the same command again: it goes on with the node that owns them now',
    },
  );
}

async function closeOnTarget(link: Link, slots: readonly number[], attempts: number): Promise<void> {
  // SETSLOT NODE is safe to repeat, so a lost answer is simply asked for again.
  for (let attempt = 1; ; attempt++) {
    const failure = await setSlots(link, link.target, slots, ['NODE', link.target.id]).then(
      (refusal) => refusal?.error,
      (error: Error) => error,
    );
    if (!failure) return;
    if (attempt >= attempts) {
      throw new ClusterError(
        'MIGRATE_FAILED',
        `Cannot close slots ${formatSlots(slots)} on ${link.target.address}: ${failure.message}`,
        { address: link.target.address, openSlots: slots, resumable: true, cause: failure },
      );
    }
    await sleep(CLOSE_PAUSE_MS);
  }
}

async function tellOwner(link: Link, node: NodeRef, slots: readonly number[]): Promise<void> {
  try {
    const refused = await setSlots(link, node, slots, ['NODE', link.target.id], isReplicaNow);
    if (refused) throw refused.error;
  } catch (error) {
    link.context.emit({
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
