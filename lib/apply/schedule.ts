import type { MoveStep } from '../plan/plan.ts';

/** Moves that may have one target at a time: what it takes in holds up its own clients. */
const MOST_AT_TARGET = 4;

/**
 * Runs moves side by side, at most `limit` at a time and none that shares a node with another that runs, each as early in
 * the order given as that allows. Only those in `sharing` may have their target in common, four at a time. Where one fails no
 * other is begun; rejects with the first failure when all that were begun have ended.
 */
export async function runDisjoint(
  moves: readonly MoveStep[],
  limit: number,
  run: (move: MoveStep, stop: AbortSignal) => Promise<void>,
  sharing: ReadonlySet<MoveStep> = new Set(),
): Promise<void> {
  const waiting = [...moves];
  /** Nodes in a move that runs, each entry for one move. */
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
  while (waiting.length + running.size > 0) {
    while (running.size < limit && !failed.signal.aborted) {
      const next = waiting.findIndex(isFree);
      const [move] = next < 0 ? [] : waiting.splice(next, 1);
      if (!move) break;
      const source = { id: move.source.id, isShared: false };
      const target = { id: move.target.id, isShared: sharing.has(move) };
      busy.push(source, target);
      const task = run(move, failed.signal)
        .catch((error: unknown) => failed.abort(error))
        .then(() => {
          for (const end of [source, target]) busy.splice(busy.indexOf(end), 1);
          running.delete(task);
        });
      running.add(task);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failed.signal.aborted) throw failed.signal.reason;
}
