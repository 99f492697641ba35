import { asOneFailure } from '../nodes/failures.ts';
import type { MoveStep } from '../plan/plan.ts';

/** Moves that may share one target at a time: what it receives blocks its own clients. */
const MOST_AT_TARGET = 4;

/**
 * Runs moves in parallel, at most `limit` at a time, each as early as the given order allows. Moves that run at the same time
 * share no node, except that up to four in `sharing` may share a target. After a failure no other move is begun and `stop`
 * aborts. Rejects once all that were begun have ended, with the result of `asOneFailure`.
 */
export async function runDisjoint(
  moves: readonly MoveStep[],
  limit: number,
  run: (move: MoveStep, stop: AbortSignal) => Promise<void>,
  sharing: ReadonlySet<MoveStep> = new Set(),
): Promise<void> {
  const waiting = [...moves];
  /** Nodes in a running move, one entry for each move. */
  const busy: { readonly id: string; readonly isShared: boolean }[] = [];
  const isFree = (move: MoveStep): boolean => {
    if (busy.some(({ id }) => id === move.source.id)) return false;
    const atTarget = busy.filter(({ id }) => id === move.target.id);
    if (atTarget.length === 0) return true;
    return (
      atTarget.length < MOST_AT_TARGET && sharing.has(move) && atTarget.every(({ isShared }) => isShared)
    );
  };
  const running = new Set<Promise<void>>();
  const failed = new AbortController();
  const failures: unknown[] = [];
  while (waiting.length + running.size > 0) {
    while (running.size < limit && !failed.signal.aborted) {
      const next = waiting.findIndex(isFree);
      const [move] = next < 0 ? [] : waiting.splice(next, 1);
      if (!move) break;
      const source = { id: move.source.id, isShared: false };
      const target = { id: move.target.id, isShared: sharing.has(move) };
      busy.push(source, target);
      const task = run(move, failed.signal)
        .catch((error: unknown) => {
          failures.push(error);
          failed.abort(error);
        })
        .then(() => {
          for (const end of [source, target]) busy.splice(busy.indexOf(end), 1);
          running.delete(task);
        });
      running.add(task);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failures.length > 0) throw asOneFailure(failures);
}
