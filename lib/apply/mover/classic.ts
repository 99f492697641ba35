import { ClusterError, ConnectionError, messageOf } from '../../errors.ts';
import type { NodeRef } from '../../plan/plan.ts';
import { countKeys, type Link, openAtEitherEnd } from './link.ts';
import { listKeys, migrateKeys } from './migrate.ts';
import type { Progress } from './progress.ts';
import { closeSlots, openSlots } from './set-slot.ts';

/** Slots that are open at one time: enough that one config save of the server serves many. */
const WINDOW_SLOTS = 100;
/** Keys in the slots open at one time: a stop has to wait until these are moved. */
const WINDOW_KEYS = 20_000;
/** Keys in one MIGRATE. */
const BATCH_KEYS = 100;
/** MIGRATEs in flight: with two the source never waits for us, with more its clients wait for it. */
const IN_FLIGHT = 2;

/** What a move by MIGRATE goes by. */
export interface ClassicMove {
  readonly link: Link;
  readonly slots: readonly number[];
  /** How many keys the source holds in each of these slots. */
  readonly keysIn: readonly number[];
  /** Masters that are told the new owner besides the two. */
  readonly others: readonly NodeRef[];
  readonly progress: Progress;
}

/**
 * Moves slots in windows: open, move the keys, close.
 * When the signal aborts, the window in hand is finished, so that no slot stays open, and the signal's reason is thrown.
 */
export async function moveByMigrate({ link, slots, keysIn, others, progress }: ClassicMove): Promise<void> {
  const foundOpen = openAtEitherEnd(link);
  for (const window of windows(slots, keysIn)) {
    link.context.signal?.throwIfAborted();
    await moveWindow(link, window, foundOpen, others, progress);
  }
}

/** Cuts slots into windows that hold neither too many slots nor too many keys. */
export function windows(slots: readonly number[], keysIn: readonly number[]): number[][] {
  const cut: number[][] = [];
  let keys = Number.POSITIVE_INFINITY;
  for (const [index, slot] of slots.entries()) {
    const count = keysIn[index] ?? 0;
    const current = cut.at(-1);
    if (!current || current.length >= WINDOW_SLOTS || keys + count > WINDOW_KEYS) {
      cut.push([slot]);
      keys = count;
    } else {
      current.push(slot);
      keys += count;
    }
  }
  return cut;
}

async function moveWindow(
  link: Link,
  slots: readonly number[],
  foundOpen: ReadonlySet<number>,
  others: readonly NodeRef[],
  progress: Progress,
): Promise<void> {
  await openSlots(link, slots).catch((error: unknown) => {
    throw cannotOpen(link, slots, error);
  });
  const unfinished = new Set(slots);
  try {
    await drain(link, slots, foundOpen, progress);
    await closeSlots(link, slots, others);
    unfinished.clear();
  } catch (error) {
    throw await leaveBehind(link, slots, others, error);
  }
  link.context.emit({
    type: 'slots-closed',
    source: link.source.address,
    target: link.target.address,
    slots,
  });
  progress.slotsMoved(slots.length);
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
      hint: 'Run the same command again when both nodes are well: it goes on where this one stopped',
      cause: error,
    },
  );
}

// Slots of the window that are empty can still be closed: only those that hold keys have to stay open.
async function leaveBehind(
  link: Link,
  slots: readonly number[],
  others: readonly NodeRef[],
  error: unknown,
): Promise<ClusterError> {
  let open: readonly number[] = slots;
  try {
    const left = await countKeys(link, 'source', slots);
    const empty = slots.filter((_, index) => left[index] === 0);
    if (empty.length > 0) await closeSlots(link, empty, others);
    open = slots.filter((_, index) => left[index] !== 0);
  } catch {
    // The node that failed is the one that would have to be asked: all slots of the window may be open.
  }
  const known = error instanceof ClusterError ? error : undefined;
  return new ClusterError(
    known?.code ?? 'MIGRATE_FAILED',
    known?.message ??
      `Cannot move slots from ${link.source.address} to ${link.target.address}: ${messageOf(error)}`,
    {
      address: known?.address ?? link.source.address,
      openSlots: open,
      resumable: true,
      keys: known?.keys ?? [],
      hint:
        known?.hint ??
        'Run the same command again when both nodes are well: it goes on where this one stopped',
      cause: known?.cause ?? error,
    },
  );
}

async function drain(
  link: Link,
  slots: readonly number[],
  foundOpen: ReadonlySet<number>,
  progress: Progress,
): Promise<void> {
  const ahead = await listKeys(link, slots, BATCH_KEYS);
  const queue = slots
    .map((slot, index) => ({ slot, keys: ahead[index] ?? [] }))
    .filter(({ keys }) => keys.length > 0);
  const failed = new AbortController();
  const lane = async (): Promise<void> => {
    for (let item = queue.shift(); item && !failed.signal.aborted; item = queue.shift()) {
      await drainSlot(link, item.slot, item.keys, !foundOpen.has(item.slot), progress);
    }
  };
  const lanes = await Promise.allSettled(
    Array.from({ length: IN_FLIGHT }, () =>
      lane().catch((error: unknown) => {
        failed.abort();
        throw error;
      }),
    ),
  );
  for (const end of lanes) if (end.status === 'rejected') throw end.reason;
  const left = await countKeys(link, 'source', slots);
  const full = slots.find((_, index) => left[index] !== 0);
  if (full !== undefined) {
    throw new ClusterError(
      'MIGRATE_FAILED',
      `Slot ${full} on ${link.source.address} still contains keys after all were moved`,
      {
        address: link.source.address,
        openSlots: [full],
        resumable: true,
      },
    );
  }
}

async function drainSlot(
  link: Link,
  slot: number,
  first: readonly string[],
  ours: boolean,
  progress: Progress,
): Promise<void> {
  let keys = first;
  while (keys.length > 0) {
    progress.keysMoved(await migrateKeys(link, slot, keys, ours));
    const [next = []] = await listKeys(link, [slot], BATCH_KEYS);
    keys = next;
  }
}
