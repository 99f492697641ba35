import { ClusterError, ConnectionError, messageOf } from '../../errors.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { agreeTimeout as agreeTimeoutOf } from '../context.ts';
import { Drain } from './drain.ts';
import type { Gate } from './gate.ts';
import { closeLanes, countAllKeys, type Link, openAtEitherEnd } from './link.ts';
import { KeyMover } from './migrate.ts';
import { keysInDoubt } from './migrate-errors.ts';
import type { Progress } from './progress.ts';
import { closeSlots, openSlots, requireOwned, takeBackSlots } from './set-slot.ts';
import { windows } from './windows.ts';

/** What a move by MIGRATE goes by. */
export interface ClassicMove {
  readonly link: Link;
  readonly slots: readonly number[];
  /** How many keys the source holds in each of these slots. */
  readonly keysIn: readonly number[];
  /** Bytes of keys that are moved alone. */
  readonly bigKeys: ReadonlyMap<string, number>;
  /** Masters that are told the new owner besides the two. */
  readonly others: readonly NodeRef[];
  /** True where an earlier move may have brought part of the keys already. */
  readonly isResumed: boolean;
  readonly progress: Progress;
  /** Of all who move keys to the same target. */
  readonly gate: Gate;
}

/**
 * Moves slots in windows: open, move the keys, close. The next window is opened while the keys of one are moved, and the
 * one before is closed.
 * When the signal aborts, the window whose keys are under way is finished and the one that was opened ahead is given back, so that no
 * slot stays open, and the signal's reason is thrown.
 */
export async function moveByMigrate(move: ClassicMove): Promise<void> {
  const { link, others, progress, gate } = move;
  const { context, source, target } = link;
  const found = new Set(openAtEitherEnd(link));
  const mover = new KeyMover(link, gate);
  const onMoved = progress.keysMoved.bind(progress);
  const drain = new Drain({ ...move, mover, found, throttle: progress.throttle, onMoved });
  const waiting = windows(move.slots, move.keysIn, context.options.limits);
  /** Windows that may have open slots. */
  const open = new Set<readonly number[]>();
  let isCutShort = false;

  const openNext = async (): Promise<readonly number[] | undefined> => {
    const { value: window } = waiting.next();
    isCutShort ||= window !== undefined && context.signal?.aborted === true;
    if (!window || isCutShort) return undefined;
    open.add(window);
    await openSlots(link, window, found, move.isResumed).catch((error: unknown) => {
      open.delete(window);
      throw cannotOpen(link, window, error);
    });
    return window;
  };
  // Resolves to the slots that have to be finished: clients have written to them at the target already, or they were open before.
  const giveBack = async (window: readonly number[]): Promise<readonly number[]> => {
    const back = new Set(
      await takeBackSlots(
        link,
        window.filter((slot) => !found.has(slot)),
      ),
    );
    isCutShort ||= back.size > 0;
    const left = window.filter((slot) => !back.has(slot));
    open.delete(window);
    open.add(left);
    return left;
  };
  const close = async (window: readonly number[]): Promise<void> => {
    await closeSlots(link, window, others);
    open.delete(window);
    context.emit({ type: 'slots-closed', source: source.address, target: target.address, slots: window });
    progress.slotsMoved(window.length);
  };

  // What runs in the background fails where it is awaited: until then its failure must be nobody's.
  let opening = openNext();
  let closing: Promise<void> = Promise.resolve();
  try {
    for (let opened = await opening; opened; opened = await opening) {
      opening = openNext();
      opening.catch(() => undefined);
      const window = context.signal?.aborted ? await giveBack(opened) : opened;
      if (window.length === 0) continue;
      await drain.run(window);
      await closing;
      closing = close(window);
      closing.catch(() => undefined);
    }
    await closing;
  } catch (error) {
    await Promise.allSettled([opening, closing]);
    throw await leaveBehind(link, [...open].flat(), found, others, error);
  } finally {
    await closeLanes(link);
  }
  const { inDoubt } = mover.leftovers;
  if (inDoubt.length > 0) throw keysInDoubt(link, inDoubt);
  if (isCutShort) context.signal?.throwIfAborted();
}

// Where a connection broke it is not known which slots are open.
function cannotOpen({ source, target }: Link, slots: readonly number[], error: unknown): ClusterError {
  if (error instanceof ClusterError) return error;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot open slots to move them from ${source.address} to ${target.address}: ${messageOf(error)}`,
    {
      address: error instanceof ConnectionError ? error.address : source.address,
      openSlots: slots,
      resumable: true,
      hint: RUN_AGAIN,
      cause: error,
    },
  );
}

const RUN_AGAIN = 'Run the same command again when both nodes are well: it goes on where this one stopped';

/** What has failed is to be told soon, and a node that is lost hears of no epoch: packets come once a second where all is well. */
const HASTE_MS = 2000;
const HASTY_ATTEMPTS = 2;

function inHaste(link: Link): Link {
  const agreeTimeout = Math.min(agreeTimeoutOf(link.context), HASTE_MS);
  return { ...link, context: { ...link.context, options: { ...link.context.options, agreeTimeout } } };
}

// Slots that are empty can still be closed, and those of which no key has left be taken back: only what is divided has to stay open.
async function leaveBehind(
  link: Link,
  slots: readonly number[],
  found: ReadonlySet<number>,
  others: readonly NodeRef[],
  error: unknown,
): Promise<ClusterError> {
  let open: readonly number[] = slots;
  try {
    await requireOwned(link, slots);
    const left = await countAllKeys(link, slots);
    const empty = slots.filter((_, index) => left[index] === 0);
    const full = slots.filter((_, index) => left[index] !== 0);
    if (empty.length > 0)
      await closeSlots(inHaste(link), empty, others, HASTY_ATTEMPTS).then(
        () => (open = full),
        () => undefined,
      );
    const ours = full.filter((slot) => !found.has(slot));
    const back = new Set(await takeBackSlots(link, ours));
    open = open.filter((slot) => !back.has(slot));
  } catch {
    // The node that failed is the one that would have to be asked: all slots may be open.
  }
  const known = error instanceof ClusterError ? error : undefined;
  const notOpened = (known?.openSlots ?? []).filter((slot) => !slots.includes(slot));
  return new ClusterError(
    known?.code ?? 'MIGRATE_FAILED',
    known?.message ??
      `Cannot move slots from ${link.source.address} to ${link.target.address}: ${messageOf(error)}`,
    {
      address: known?.address ?? link.source.address,
      openSlots: [...open, ...notOpened].sort((a, b) => a - b),
      resumable: true,
      keys: known?.keys ?? [],
      hint: known?.hint ?? RUN_AGAIN,
      cause: known?.cause ?? error,
    },
  );
}
