import type { MoveStep } from '../plan/plan.ts';

/**
 * Runs moves side by side, at most `limit` at a time and none that shares a node with another that runs, each as early in
 * the order given as that allows. Only those in `sharing` may have their target in common. Where one fails no other is
 * begun; rejects with the first failure when all that were begun have ended.
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
  const isFree = (move: MoveStep): boolean =>
    busy.every(({ id, isShared }) => {
      if (id === move.source.id) return false;
      return id !== move.target.id || (isShared && sharing.has(move));
    });
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
