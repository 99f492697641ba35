import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { expandSlots, nameSlots } from '../../model/slot.ts';
import { pause } from '../../nodes/wait-until.ts';
import type { Ends } from '../ends.ts';
import { hearOfEpoch } from '../epochs.ts';
import type { Progress } from '../progress.ts';
import { type Arrivals, type Bulk, partAtEnd } from './arrivals.ts';
import type { Dialect } from './dialect.ts';
import { begin, findTask } from './find-task.ts';
import { follow } from './follow.ts';
import { askOwners, waitUntilOwned } from './ownership.ts';

const ATTEMPTS = 2;
const PAUSE_MS = 500;

/** What a move by the servers needs to know. */
export interface AtomicMove {
  readonly ends: Ends;
  readonly dialect: Dialect;
  readonly slots: readonly number[];
  /** How many keys the source holds in each of these slots. */
  readonly keysIn: readonly number[];
  readonly progress: Progress;
  readonly arrivals: Arrivals;
  readonly bulk: Bulk;
}

/** What is left to do: nothing, or the slots that the source still owns, and why. */
export interface Leftover {
  readonly slots: readonly number[];
  readonly reason: string;
}

/**
 * Moves slots by atomic slot migration, with a second attempt if the first fails. No slot is open at any time.
 * When the signal aborts, the migration is cancelled, or found to have succeeded, and the signal's reason is thrown. Rejects with
 * ClusterError if an end does not answer, or if it is not known whether a migration is still running.
 */
export async function moveAtomically(move: AtomicMove): Promise<Leftover> {
  const { ends, slots } = move;
  const { signal } = ends.context;
  const ledger = new Handed(move);
  let reason = '';
  for (let failures = 0; ; ) {
    const { byTarget, bySource } = await askOwners(ends, ledger.left, reason);
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
      const what = `Atomic migration of ${nameSlots(slots)} from ${ends.source.address} to ${ends.target.address}`;
      ends.context.emit({
        type: 'warning',
        node: ends[move.dialect.driver].address,
        message: `${what} failed, trying again: ${failure}`,
      });
    }
  }
}

/** One migration, begun now or found running. Resolves to why it failed, or undefined. */
async function attempt(
  move: AtomicMove,
  slots: readonly number[],
  ledger: Handed,
): Promise<string | undefined> {
  const { ends, dialect, progress, arrivals, bulk } = move;
  const arriving = 1 - partAtEnd(bulk, dialect.deletesAtOnce);
  const partAt = (usedMemory: number): number => arriving * arrivals.partAt(usedMemory);
  try {
    const found = await findTask(ends, dialect, slots);
    if (!found) await hearOfEpoch(ends.context, ends.target, [ends.source]);
    ends.context.signal?.throwIfAborted();
    const task = found ?? (await begin(ends, dialect, slots));
    if (typeof task === 'string') return task;
    // Of a task that was found, something may have arrived before.
    const ending = await follow(ends, dialect, task, progress, found ? undefined : partAt);
    if (ending.type === 'failed') return ending.reason;
    const wanted = new Set(expandSlots(task.slots));
    await ledger.confirm(slots.filter((slot) => wanted.has(slot)));
    return undefined;
  } catch (error) {
    // The next look shows whether the server took the command.
    if (error instanceof ConnectionError || error instanceof ReplyError) return error.message;
    throw error;
  } finally {
    progress.arriving(0);
  }
}

/** The error for slots that only atomic migration was allowed to move. */
export function atomicFailed({ ends, dialect }: AtomicMove, { slots, reason }: Leftover): ClusterError {
  const { source, target } = ends;
  return new ClusterError(
    'MIGRATE_FAILED',
    `Cannot move ${nameSlots(slots)} from ${source.address} to ${target.address} by atomic migration: ${reason}`,
    {
      address: ends[dialect.driver].address,
      resumable: 'same-call',
      hint: 'No slot is open',
      next: [
        { do: 'retry', when: 'repaired' },
        { do: 'retry', options: { method: 'auto' } },
      ],
    },
  );
}

/** Counts the slots that have been handed over. */
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

  /** Waits until both ends report that the target owns these, and counts them as moved. */
  async confirm(slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    const { ends, keysIn, slots: all, progress } = this.#move;
    await waitUntilOwned(ends, slots);
    const done = new Set(slots);
    const keys = all.reduce((sum, slot, index) => sum + (done.has(slot) ? (keysIn[index] ?? 0) : 0), 0);
    for (const slot of slots) this.#left.delete(slot);
    const { source, target } = ends;
    ends.context.emit({ type: 'slots-closed', source: source.address, target: target.address, slots });
    // Not before: a source may be busy for long with what it has given away.
    progress.arriving(0);
    progress.keysMoved(keys);
    progress.slotsMoved(slots.length);
  }
}
