import { claimThenLook } from '../apply/look-claimed.ts';
import { ClusterError, retold } from '../errors.ts';
import { type AddressLike, parseAddress } from '../model/address.ts';
import { lostNodes } from '../model/condition.ts';
import { holdersOf } from '../model/holders.ts';
import { capitalised } from '../model/lists.ts';
import type { Next } from '../model/next.ts';
import { expandSlots, slotsAre } from '../model/slot.ts';
import { type ClusterView, slotOwners } from '../model/view.ts';
import { askUnveiled } from '../move/set-slot.ts';
import type { Context } from '../nodes/context.ts';
import { findKeyEvidence } from '../nodes/key-evidence.ts';
import { lookToFix } from '../nodes/look-settled.ts';
import { requireAnswers, requireFound } from '../nodes/requirements.ts';
import type { OperationOptions } from '../options.ts';
import { type FixPlan, planFix } from '../plan/fix.ts';
import { mastersOf } from '../plan/moves.ts';
import { type Draft, nodeRef, type Step, type StepOf } from '../plan/plan.ts';
import { strayAnswerOf } from '../plan/stray-answer.ts';
import { DEFAULTS } from '../settings.ts';
import { carryOut, type OperationResult } from './carry-out.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import { requireDecided } from './finish-open-slots.ts';
import { warningOfLoss } from './warn-of-loss.ts';

export interface FixOptions extends OperationOptions {
  /**
   * Give the slots of failed masters to others: keys that only they had are lost. A master that has a replica which is not gone is
   * left alone, and so is one that answers anything at any address. With `force`, masters that are silent count as failed even if the
   * cluster does not consider them so.
   * @default false
   */
  readonly withUnreachableMasters?: boolean;
  /**
   * What happens to keys on a node that does not own their slot, other than copies equal to the owner's, which are always dropped.
   * `keep`: they stay, and the call rejects with ClusterError `KEY_CONFLICT` or `KEYS_IN_DOUBT`, which names them. `bring`: those that
   * the owner does not have go to it; it may have deleted them. `drop`: all of them are deleted there, or overwritten if a move goes on.
   * @default 'keep'
   */
  readonly strayKeys?: 'keep' | 'bring' | 'drop';
  /**
   * A slot that only one end has open, with no key on the side that does not own it: `finish` the move, or `close` it where it is, as
   * redis-cli does.
   * @default 'finish'
   */
  readonly oneSided?: 'finish' | 'close';
  /** More addresses to ask at: members that others do not list there, or have forgotten, are found then. @default none */
  readonly elsewhere?: readonly AddressLike[];
}

/**
 * Repairs the slots of a cluster: finishes moves that were begun and closes other open slots, gives slots that no node
 * serves to a master, and settles keys on nodes that do not own their slot with the owner: equal copies are dropped.
 * Slots that cannot be repaired without guessing stay as they are, and the call rejects with ClusterError `OPEN_SLOT`,
 * `SLOTS_UNCOVERED`, `KEY_CONFLICT` or `KEYS_IN_DOUBT` after the rest is done.
 */
export function fixMigrating(cluster: ClusterLike, options: FixOptions = {}): Promise<OperationResult> {
  return withContext(cluster, options, async (context) => {
    const seed = seedOf(cluster);
    const elsewhere = (options.elsewhere ?? []).map(parseAddress);
    const view = await claimThenLook(context, seed, () => lookToFix(context, seed, elsewhere));
    const fix = await planFor(context, view, options);
    const { dryRun, force } = context.settings;
    if (fix.steps.length > 0 && !dryRun && !force) requireAnswers(view, 'repair slots');
    const carry = () =>
      carryOut(context, view.nodes, draftOf(view, fix)).catch((error: unknown) => {
        throw offerDrop(error);
      });
    const result = await warningOfLoss(context, fix.steps, carry);
    if (result.applied && fix.steps.length > 0) await requireMended(context, view, fix, options);
    requireDecided(view, fix);
    if (fix.steps.length === 0 && !force)
      requireAnswers(ownersAlone(view), 'make sure that all slots are in order');
    requireFound(view);
    return result;
  });
}

// By now every key that `drop` deletes has been named.
function offerDrop(error: unknown): unknown {
  if (!(error instanceof ClusterError) || error.code !== 'KEY_CONFLICT') return error;
  const isOffered = error.next.some(({ options }) => options?.strayKeys === 'drop');
  const next = error.next.flatMap((one): Next[] => {
    if (one.do !== 'fix' || one.options) return [one];
    return isOffered ? [] : [{ ...one, do: 'fix', options: { strayKeys: 'drop' }, when: 'keys-unwanted' }];
  });
  return retold(error, { next });
}

// It is unknown what is open at an owner that does not answer here, and which keys of others it holds.
function ownersAlone(view: ClusterView): ClusterView {
  const owners = new Set(slotOwners(view));
  return { ...view, unreachable: new Map([...view.unreachable].filter(([id]) => owners.has(id))) };
}

async function planFor(context: Context, view: ClusterView, options: FixOptions): Promise<FixPlan> {
  const lost = options.withUnreachableMasters ? lostNodes(view, context.settings.force) : [];
  return planFix(view, await findKeyEvidence(context, view, new Set(lost), askUnveiled), {
    strayKeys: strayAnswerOf(options.strayKeys ?? DEFAULTS.fix.strayKeys),
    closesOneSided: options.oneSided === 'close',
  });
}

function draftOf(view: ClusterView, { steps, undecided }: FixPlan): Draft {
  const draft = { operation: 'fix', masters: mastersOf(view), steps };
  if (steps.length === 0) return draft;
  const members = view.nodes.filter(({ id }) => view.reports.has(id)).map(nodeRef);
  const stateOk = undecided.length === 0 && steps.some(({ type }) => type === 'take-slots');
  return { ...draft, expect: { members, owners: steps.flatMap(ownerAfter), stateOk } };
}

function ownerAfter(step: Step): { id: string; slots: StepOf<'close-slots'>['slots'] }[] {
  if (step.type === 'move-slots') return [{ id: step.target.id, slots: step.slots }];
  if (step.type === 'take-slots') return [{ id: step.node.id, slots: step.slots }];
  return step.type === 'close-slots' && !step.stayOpen ? [{ id: step.owner.id, slots: step.slots }] : [];
}

/** Looks again, and throws if a repair did not hold. */
async function requireMended(
  context: Context,
  before: ClusterView,
  { undecided }: FixPlan,
  options: FixOptions,
): Promise<void> {
  const view = await lookToFix(context, before.seed, []);
  const after = await planFor(context, view, options);
  const known = new Set(undecided.map(({ slot }) => slot));
  const slots = after.steps.flatMap((step) => ('slots' in step ? expandSlots(step.slots) : []));
  const left = [...slots, ...after.undecided.map(({ slot }) => slot)].filter((slot) => !known.has(slot));
  if (left.length === 0) return;
  throw new ClusterError('OPEN_SLOT', `${capitalised(slotsAre(left))} still not repaired`, {
    openSlots: left,
    hint: [...holdersOf(view, left), 'Another tool may be moving slots at the same time'].join('. '),
    next: [{ do: 'retry', when: 'moves-done' }],
    resumable: 'same-call',
  });
}
