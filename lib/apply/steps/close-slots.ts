import { messageOf } from '../../errors.ts';
import { expandSlots, inRanges, nameSlots } from '../../model/slot.ts';
import { strayKeysLeft } from '../../move/by-migrate/migrate-errors.ts';
import { type StrayKey, type StrayOutcome, settleStrayKeys } from '../../move/by-migrate/stray-keys.ts';
import { closeLanes, countAllKeys, type Ends, openEnds } from '../../move/ends.ts';
import { awaitLatePackets } from '../../move/late-packets.ts';
import { hintOn, refusalBut, type SlotState, setSlotsAt } from '../../move/set-slot.ts';
import { type Context, nodeError } from '../../nodes/context.ts';
import type { StepOf, StrayAnswer } from '../../plan/plan.ts';

/**
 * Closes slots on a node that does not own them, or not any more, and settles the keys that lie there with the owner
 * (`settleStrayKeys`). Rejects with ClusterError `KEY_CONFLICT` or `KEYS_IN_DOUBT` if keys stay: the slots are closed then, too.
 */
export async function closeOpenSlots(context: Context, step: StepOf<'close-slots'>): Promise<void> {
  const slots = expandSlots(step.slots);
  if (step.node.id === step.owner.id || step.stayOpen) return close(context, step, slots);
  const ends = await openEnds(context, step.node, step.owner);
  const counts = await countAllKeys(ends, slots);
  // A node hides keys of slots that it neither owns nor imports, so each of these is opened to be sure.
  const isShown = slots.every((_, index) => (counts[index] ?? 0) > 0) || !ends.sourceHidesKeys;
  const held = isShown ? slots.filter((_, index) => (counts[index] ?? 0) > 0) : slots;
  if (held.length === 0) return close(context, step, slots);
  await unveil(ends, held);
  const { outcome, failure } = await settle(ends, held, step.strayKeys);
  const left = new Set([...(outcome?.differing ?? []), ...(outcome?.alone ?? [])].map(({ slot }) => slot));
  // A node gives up no slot that it claims while it holds keys of it (clusterCommandSetSlot).
  const claimed = new Set(failure ? held : left);
  for (const slot of claimed) if (!inRanges(slot, ends.sourceReport.myself.slots)) claimed.delete(slot);
  const closing = close(
    context,
    step,
    slots.filter((slot) => !claimed.has(slot)),
  ).then(() => setSlotsAt(context, step.node, [...claimed], ['STABLE']));
  // What went wrong before says more.
  if (failure) {
    await closing.catch(() => undefined);
    throw failure;
  }
  await closing;
  if (!outcome) return;
  const keysOf = (keys: readonly StrayKey[]) => keys.map(({ key }) => key);
  context.emit({
    type: 'stray-keys',
    node: step.node.address,
    owner: step.owner.address,
    dropped: outcome.dropped,
    brought: outcome.brought,
    differing: keysOf(outcome.differing),
    onlyThere: keysOf(outcome.alone),
  });
  if (left.size > 0) throw strayKeysLeft(ends, outcome);
}

async function settle(
  ends: Ends,
  slots: readonly number[],
  answer: StrayAnswer | undefined,
): Promise<{ outcome?: StrayOutcome; failure?: Error }> {
  try {
    return { outcome: await settleStrayKeys(ends, slots, answer) };
  } catch (error) {
    return { failure: error instanceof Error ? error : new Error(messageOf(error)) };
  } finally {
    await closeLanes(ends);
  }
}

async function close(context: Context, step: StepOf<'close-slots'>, slots: readonly number[]): Promise<void> {
  if (slots.length === 0) return;
  // NODE ends a migration towards the owner, STABLE an importing that failed.
  const states: SlotState[] = [];
  if (step.node.id !== step.owner.id) states.push(['NODE', step.owner.id]);
  if (!step.stayOpen) states.push(['STABLE']);
  const refused = refusalBut(await setSlotsAt(context, step.node, slots, () => states), 'is-replica');
  if (refused) {
    throw nodeError(
      'OPEN_SLOT',
      step.node.address,
      `Cannot close ${nameSlots(slots)} on ${step.node.address}: ${refused.error.message}`,
      {
        openSlots: slots,
        resumable: 'same-call',
        cause: refused.error,
        hint: hintOn(refused, step.node.address),
        next: [{ do: 'retry', when: 'repaired' }],
      },
    );
  }
  if (!step.stayOpen)
    context.emit({ type: 'slots-closed', source: step.node.address, target: step.owner.address, slots });
}

// A node reads and migrates keys only of slots that it owns or imports (getNodeByQuery), and Redis 8.4 and newer show no others. A Redis
// imports them from itself, which is a move to nobody, after a crash either. Valkey refuses that, and must name none but the owner
// (`redirectImports`).
async function unveil(ends: Ends, slots: readonly number[]): Promise<void> {
  const { context, source, target, sourceReport, isValkey } = ends;
  const { openSlots, slots: claimed } = sourceReport.myself;
  const imported = new Set(
    openSlots.filter(({ direction }) => direction === 'importing').map(({ slot }) => slot),
  );
  const shut = slots.filter((slot) => !imported.has(slot) && !inRanges(slot, claimed));
  if (isValkey && shut.length > 0) await awaitLatePackets(context, source, ends.targetReport);
  const { refusals } = await setSlotsAt(context, source, shut, [
    'IMPORTING',
    isValkey ? target.id : source.id,
  ]);
  const [refused] = refusals;
  if (!refused) return;
  throw nodeError(
    'OPEN_SLOT',
    source.address,
    `Cannot open slot ${refused.slot} on ${source.address} to compare its keys with ${target.address}: ${refused.error.message}`,
    {
      cause: refused.error,
      openSlots: shut,
      resumable: 'same-call',
      hint: hintOn(refused, source.address),
    },
  );
}
