import type { Command } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { parseAddress } from '../../model/address.ts';
import { expandSlots, formatSlots } from '../../model/slot.ts';
import type { StepOf } from '../../plan/plan.ts';
import { type Context, nodeError } from '../context.ts';
import { drainSlots } from '../mover/drain.ts';
import { askSource, countAllKeys, firstRefusal, type Link, openLink } from '../mover/link.ts';

/**
 * Closes slots on a node that does not own them, or not any more, after handing keys that lie there to the owner. Those of
 * which a key has another value there stay open, and the error says which keys: the owner keeps its own.
 */
export async function closeOpenSlots(context: Context, step: StepOf<'close-slots'>): Promise<void> {
  const slots = expandSlots(step.slots);
  if (step.node.id === step.owner.id || step.stayOpen) return close(context, step, slots);
  const link = await openLink(context, step.node, step.owner);
  try {
    await handOver(link, slots);
  } catch (error) {
    if (!(error instanceof ClusterError) || error.code !== 'KEY_CONFLICT') throw error;
    const left = await countAllKeys(link, slots);
    await close(
      context,
      step,
      slots.filter((_, index) => left[index] === 0),
    );
    throw error;
  }
  await close(context, step, slots);
}

async function close(context: Context, step: StepOf<'close-slots'>, slots: readonly number[]): Promise<void> {
  if (slots.length === 0) return;
  // NODE ends a migration towards the owner, STABLE an importing that came to nothing.
  const told =
    step.node.id === step.owner.id
      ? []
      : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'NODE', step.owner.id]);
  const closed = step.stayOpen ? [] : slots.map((slot): Command => ['CLUSTER', 'SETSLOT', slot, 'STABLE']);
  const replies = await context.connections.askAll(parseAddress(step.node.address), [...told, ...closed]);
  // A master that gave its last slot away is a replica of the owner, and so needs no telling.
  const refused = replies.find(
    (reply) => reply instanceof Error && !reply.message.includes('Please use SETSLOT only with masters'),
  );
  if (refused) {
    throw nodeError(
      'OPEN_SLOT',
      step.node.address,
      `Cannot close slots ${formatSlots(slots)} on ${step.node.address}: ${messageOf(refused)}`,
      {
        openSlots: slots,
        cause: refused,
      },
    );
  }
  if (!step.stayOpen)
    context.emit({ type: 'slots-closed', source: step.node.address, target: step.owner.address, slots });
}

// MIGRATE takes keys from a node only of a slot that it owns or imports, and Redis 8.4 and newer show no others.
async function handOver(link: Link, slots: readonly number[]): Promise<void> {
  const { sourceReport } = link;
  const open = new Set(sourceReport.myself.openSlots.map(({ slot }) => slot));
  const claimed = new Set(expandSlots(sourceReport.myself.slots));
  const shut = slots.filter((slot) => !open.has(slot));
  const commands = shut.map((slot): Command => {
    if (claimed.has(slot)) return ['CLUSTER', 'SETSLOT', slot, 'MIGRATING', link.target.id];
    return ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', otherThanOwner(link)];
  });
  const refused = firstRefusal(shut, await askSource(link, commands));
  if (refused) {
    const { source, target } = link;
    throw nodeError(
      'OPEN_SLOT',
      source.address,
      `Cannot open slot ${refused.slot} on ${source.address} to hand its keys to ${target.address}: ${refused.error.message}`,
      { cause: refused.error, openSlots: shut, resumable: true },
    );
  }
  // None of these slots is ours: nothing is overwritten.
  await drainSlots(link, slots);
}

// What is found open after a crash, importing from the owner, would be taken for a move that was begun. It does not matter
// whom the mark names; Valkey refuses a node's own name, and so, where there are but two masters, has the owner's.
function otherThanOwner({ source, target, sourceReport, isValkey }: Link): string {
  if (!isValkey) return source.id;
  const other = sourceReport.records.find(
    ({ id, role }) => role === 'master' && id !== source.id && id !== target.id,
  );
  return other?.id ?? target.id;
}
