import { ClusterError, ConnectionError, messageOf } from '../../errors.ts';
import type { Next } from '../../model/next.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { closeSlots } from '../close-moved-slots.ts';
import { bothAnswer, closeLanes, countAllKeys, type Ends, openAtEitherEnd } from '../ends.ts';
import { hearSource } from '../hear-source.ts';
import { openSlots } from '../open-slots.ts';
import type { Progress } from '../progress.ts';
import { requireOwned } from '../require-owned.ts';
import type { SharedLock } from '../shared-lock.ts';
import { takeBackSlots } from '../take-back-slots.ts';
import type { TargetWatch } from '../target-watch.ts';
import { membersWithout } from '../unknown-node.ts';
import { windows } from '../windows.ts';
import { BatchMover } from './batch-mover.ts';
import { KeyMover, type KeyMoverOptions } from './key-mover.ts';
import { keysInDoubt } from './migrate-errors.ts';
import { type Probe, TargetProof } from './prove-target.ts';
import { ReplaceAuthority } from './replace-authority.ts';
import type { SlotWeights } from './slot-weights.ts';
import type { TransferCount } from './transfer-count.ts';

/** What a move by MIGRATE needs to know. */
export interface MigrateMove {
  readonly ends: Ends;
  readonly slots: readonly number[];
  /** How many keys the source holds in each of these slots. */
  readonly keysIn: readonly number[];
  /** Bytes of keys that are moved alone. */
  readonly bigKeys: ReadonlyMap<string, number>;
  /** Masters other than the two ends that learn the new owner. */
  readonly others: readonly NodeRef[];
  /** True if an earlier move may already have copied part of the keys. */
  readonly isResumed: boolean;
  /** Overwrites values of the target that differ, in slots that were found open. @default false */
  readonly overwrites?: boolean | undefined;
  readonly progress: Progress;
  /** What the keys weigh, by which the progress was begun. @default all the same */
  readonly weights?: SlotWeights | undefined;
  /** True if `hearSource` was called. */
  readonly isHeard?: boolean;
  /** Shared by all that move keys to the same target. */
  readonly lock: SharedLock;
  readonly transfers: TransferCount;
  readonly watch: TargetWatch;
}

/**
 * Moves slots in windows: open, move the keys, close. While the keys of one window move, the next is opened and the one before is
 * closed.
 * When the signal aborts, the window whose keys are in flight is finished and the one opened ahead is taken back. No slot stays
 * open, and the signal's reason is thrown. Rule 16 (docs/moving-slots.md).
 */
export async function moveByMigrate(move: MigrateMove): Promise<void> {
  const { ends, others, progress, lock, transfers, watch } = move;
  const { context } = ends;
  const authority = new ReplaceAuthority(openAtEitherEnd(ends), move.overwrites);
  const proof = new TargetProof(ends, lock);
  const mover = new BatchMover(ends, authority, proof, lock, transfers);
  const onMoved: KeyMoverOptions['onMoved'] = (count, stallMs, { slot, keys }) =>
    progress.keysMoved(count, stallMs, move.weights?.of(slot, keys.slice(0, count)));
  const keys = new KeyMover({ ...move, mover, throttle: progress.throttle, onMoved });
  const waiting = windows(move.slots, move.keysIn, context.settings.limits);
  /** Windows that may have open slots. */
  const open = new Set<readonly number[]>();
  /** Slots that could not be opened but are open at one end anyway: report them whatever else fails. */
  const halfOpen: number[] = [];
  let isCutShort = false;
  const filled = new Set(move.slots.filter((_, index) => (move.keysIn[index] ?? 0) > 0));
  const hasKeys = (slot: number): boolean => filled.has(slot);

  const openNext = async (): Promise<readonly number[] | undefined> => {
    const { value: window } = waiting.next();
    isCutShort ||= window !== undefined && context.signal?.aborted === true;
    if (!window || isCutShort) return undefined;
    open.add(window);
    const probing = {
      findProbes: (fresh: readonly number[]) => proof.findProbes(fresh.filter(hasKeys), move.bigKeys),
      give: (probes: readonly Probe[]) => proof.giveUnopened(probes, move.bigKeys),
    };
    await openSlots(ends, window, authority, move.isResumed, probing).catch((error: unknown) => {
      open.delete(window);
      const failure = cannotOpen(ends, window, error);
      halfOpen.push(...failure.openSlots);
      throw failure;
    });
    return window;
  };
  // Resolves to the slots that must be finished: clients have already written to them at the target, or they were open before.
  const giveBack = async (window: readonly number[]): Promise<readonly number[]> => {
    const back = new Set(
      await takeBackSlots(
        ends,
        window.filter((slot) => authority.isGranted(slot)),
      ),
    );
    isCutShort ||= back.size > 0;
    const left = window.filter((slot) => !back.has(slot));
    open.delete(window);
    open.add(left);
    return left;
  };
  const close = async (window: readonly number[]): Promise<void> => {
    await closeSlots(ends, window, others);
    authority.withdraw(window);
    open.delete(window);
    reportClosed(move, window);
  };

  proof.requirePossible();
  if (!move.isHeard) await hearSource(ends, lock);
  // Background work reports its failure where it is awaited. Until then the rejection must not count as unhandled.
  const counting = filled.size > 0 ? Promise.all([transfers.begin(ends), watch.begin(ends)]) : undefined;
  let opening = openNext();
  let closing: Promise<void> = Promise.resolve();
  try {
    for (let opened = await opening; opened; opened = await opening) {
      opening = openNext();
      opening.catch(() => undefined);
      const window = context.signal?.aborted ? await giveBack(opened) : opened;
      if (window.length === 0) continue;
      await counting;
      await keys.run(window);
      // This finds out first whether the target itself answers.
      await transfers.check(ends, mover.last);
      if (mover.last) await watch.check(ends, transfers.left);
      await closing;
      closing = close(window);
      closing.catch(() => undefined);
    }
    await closing;
  } catch (error) {
    await Promise.allSettled([opening, closing]);
    throw await leaveBehind(move, [...open].flat(), halfOpen, authority, error);
  } finally {
    await closeLanes(ends);
  }
  const { inDoubt } = mover.leftovers;
  if (inDoubt.length > 0) throw keysInDoubt(ends, inDoubt);
  if (isCutShort) context.signal?.throwIfAborted();
}

function reportClosed(
  { ends: { context, source, target }, progress }: MigrateMove,
  slots: readonly number[],
): void {
  context.emit({ type: 'slots-closed', source: source.address, target: target.address, slots });
  progress.slotsMoved(slots.length);
}

// After a broken connection it is not known which slots are open.
function cannotOpen({ source, target }: Ends, slots: readonly number[], error: unknown): ClusterError {
  if (error instanceof ClusterError) return error;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot open slots to move them from ${source.address} to ${target.address}: ${messageOf(error)}`,
    {
      address: error instanceof ConnectionError ? error.address : source.address,
      openSlots: slots,
      resumable: 'same-call',
      next: RUN_AGAIN,
      cause: error,
    },
  );
}

const RUN_AGAIN: readonly Next[] = [{ do: 'retry', when: 'healthy' }];

/** Report a failed move quickly: a lost target will never see the new epoch. Among healthy nodes packets arrive every second. */
const HASTE_MS = 2000;
const HASTY_ATTEMPTS = 2;

function inHaste(ends: Ends): Ends {
  const { context } = ends;
  const agreeTimeout = Math.min(context.settings.agreeTimeout, HASTE_MS);
  return { ...ends, context: { ...context, settings: { ...context.settings, agreeTimeout } } };
}

// Empty slots can still be closed, and slots of which no key has left can be taken back. Only slots whose keys are divided have
// to stay open. Resolves to those. Rule 15 (docs/moving-slots.md).
async function closeWhole(
  ends: Ends,
  slots: readonly number[],
  authority: ReplaceAuthority,
  others: readonly NodeRef[],
  onClosed: (slots: readonly number[]) => void,
): Promise<readonly number[]> {
  let open = slots;
  try {
    await requireOwned(ends, slots);
    const left = await countAllKeys(ends, slots);
    // If a member does not know the target none can be closed, and those that hold no key anywhere are taken back as well.
    const without = await membersWithout(ends.context, ends.target, [ends.source, ...others]);
    const isEmpty = (index: number): boolean => left[index] === 0 && without.length === 0;
    const empty = slots.filter((_, index) => isEmpty(index));
    const full = slots.filter((_, index) => !isEmpty(index));
    if (empty.length > 0)
      await closeSlots(inHaste(ends), empty, others, HASTY_ATTEMPTS).then(
        () => {
          open = full;
          onClosed(empty);
        },
        () => undefined,
      );
    const ours = full.filter((slot) => authority.isGranted(slot));
    const back = new Set(await takeBackSlots(ends, ours));
    open = open.filter((slot) => !back.has(slot));
  } catch {
    // This would have to ask the very node that failed: all slots may be open.
  }
  return open;
}

async function leaveBehind(
  move: MigrateMove,
  slots: readonly number[],
  halfOpen: readonly number[],
  authority: ReplaceAuthority,
  error: unknown,
): Promise<ClusterError> {
  // If one of them were asked anyway, the wait would last as long as any command may take.
  const { ends, others } = move;
  const onClosed = (closed: readonly number[]): void => reportClosed(move, closed);
  const open = (await bothAnswer(ends)) ? await closeWhole(ends, slots, authority, others, onClosed) : slots;
  const known = error instanceof ClusterError ? error : undefined;
  return new ClusterError(
    known?.code ?? 'MIGRATE_FAILED',
    known?.message ??
      `Cannot move slots from ${ends.source.address} to ${ends.target.address}: ${messageOf(error)}`,
    {
      address: known?.address ?? ends.source.address,
      openSlots: [...open, ...halfOpen].sort((a, b) => a - b),
      resumable: 'same-call',
      keys: known?.keys ?? [],
      hint: known?.hint,
      next: known && known.next.length > 0 ? known.next : RUN_AGAIN,
      cause: known?.cause ?? error,
    },
  );
}
