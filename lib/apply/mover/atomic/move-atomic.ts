import { ConnectionError, ReplyError } from '../../../../resp/index.ts';
import { ClusterError } from '../../../errors.ts';
import { expandSlots, formatSlots } from '../../../model/slot.ts';
import { hearOfEpoch } from '../../epoch.ts';
import type { Link } from '../link.ts';
import type { Progress } from '../progress.ts';
import type { Dialect } from './dialect.ts';
import { begin, findTask } from './find-task.ts';
import { follow } from './follow.ts';
import { askOwners, waitUntilOwned } from './ownership.ts';
import { pause } from './watch.ts';

const ATTEMPTS = 2;
const PAUSE_MS = 500;

/** What a move by the servers themselves goes by. */
export interface AtomicMove {
  readonly link: Link;
  readonly dialect: Dialect;
  readonly slots: readonly number[];
  /** How many keys the source holds in each of these slots. */
  readonly keysIn: readonly number[];
  readonly progress: Progress;
}

/** What is left to do: nothing, or the slots the source still owns and why. */
export interface Leftover {
  readonly slots: readonly number[];
  readonly reason: string;
}

/**
 * Moves slots by atomic slot migration, and makes a second attempt where the first fails. No slot is open at any time.
 * When the signal aborts the migration is cancelled, or found done, and the signal's reason is thrown.
 * Rejects with ClusterError where an end gives no answer, or where it is not known whether a migration goes on.
 */
export async function moveAtomically(move: AtomicMove): Promise<Leftover> {
  const { link, slots } = move;
  const { signal } = link.context;
  const ledger = new Handed(move);
  let reason = '';
  for (let failures = 0; ; ) {
    const { byTarget, bySource } = await askOwners(link, ledger.left, reason);
    await ledger.confirm(byTarget);
    if (bySource.length === 0) return { slots: [], reason: '' };
    if (failures === ATTEMPTS) return { slots: bySource, reason };
    if (failures > 0) await pause(PAUSE_MS, signal);
    const failure = await attempt(move, bySource, ledger);
    if (ledger.left.length === 0) return { slots: [], reason: '' };
    signal?.throwIfAborted();
    if (failure === undefined) continue;
    reason = failure;
    failures++;
    if (failures < ATTEMPTS) {
      const what = `Atomic migration of slots ${formatSlots(slots)} from ${link.source.address} to ${link.target.address}`;
      link.context.emit({
        type: 'warning',
        node: link[move.dialect.driver].address,
        message: `${what} failed, trying again: ${failure}`,
      });
    }
  }
}

/** One migration, begun now or found going on. Resolves to why it failed, or undefined. */
async function attempt(
  move: AtomicMove,
  slots: readonly number[],
  ledger: Handed,
): Promise<string | undefined> {
  const { link, dialect, progress } = move;
  try {
    const found = await findTask(link, dialect, slots);
    if (!found) await hearOfEpoch(link.context, link.target, [link.source]);
    link.context.signal?.throwIfAborted();
    const task = found ?? (await begin(link, dialect, slots));
    if (typeof task === 'string') return task;
    const ending = await follow(link, dialect, task, progress);
    if (ending.type === 'failed') return ending.reason;
    const wanted = new Set(expandSlots(task.slots));
    await ledger.confirm(slots.filter((slot) => wanted.has(slot)));
    return undefined;
  } catch (error) {
    // Whether the server took the command is found out by the next look.
    if (error instanceof ConnectionError || error instanceof ReplyError) return error.message;
    throw error;
  }
}

/** Error for slots that were to be moved by atomic migration only. */
export function atomicFailed({ link, dialect }: AtomicMove, { slots, reason }: Leftover): ClusterError {
  const { source, target } = link;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move slots ${formatSlots(slots)} from ${source.address} to ${target.address} by atomic migration: ${reason}`,
    {
      address: link[dialect.driver].address,
      resumable: true,
      hint: 'No slot is open. Run the same command again, or let it use MIGRATE: method "auto" or "migrate"',
    },
  );
}

/** Keeps count of the slots that are handed over. */
class Handed {
  readonly #move: AtomicMove;
  readonly #left: Set<number>;

  constructor(move: AtomicMove) {
    this.#move = move;
    this.#left = new Set(move.slots);
  }

  get left(): number[] {
    return [...this.#left];
  }

  /** Waits until both ends say that the target owns these, and counts them as moved. */
  async confirm(slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    const { link, keysIn, slots: all, progress } = this.#move;
    await waitUntilOwned(link, slots);
    const done = new Set(slots);
    const keys = all.reduce((sum, slot, index) => sum + (done.has(slot) ? (keysIn[index] ?? 0) : 0), 0);
    for (const slot of slots) this.#left.delete(slot);
    const { source, target } = link;
    link.context.emit({ type: 'slots-closed', source: source.address, target: target.address, slots });
    progress.keysMoved(keys);
    progress.slotsMoved(slots.length);
  }
}
