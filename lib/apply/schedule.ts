import type { MoveStep } from '../plan/plan.ts';

/**
 * Runs moves side by side, at most `limit` at a time and none that shares a node with another that runs, each as early in
 * the order given as that allows. Where one fails no other is begun; rejects with the first failure when all that were
 * begun have ended.
 */
export async function runDisjoint(
  moves: readonly MoveStep[],
  limit: number,
  run: (move: MoveStep, stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const waiting = [...moves];
  const busy = new Set<string>();
  const running = new Set<Promise<void>>();
  const failed = new AbortController();
  while (waiting.length + running.size > 0) {
    while (running.size < limit && !failed.signal.aborted) {
      const next = waiting.findIndex(({ source, target }) => !busy.has(source.id) && !busy.has(target.id));
      const [move] = next < 0 ? [] : waiting.splice(next, 1);
      if (!move) break;
      const ends = [move.source.id, move.target.id];
      for (const id of ends) busy.add(id);
      const task = run(move, failed.signal)
        .catch((error: unknown) => failed.abort(error))
        .then(() => {
          for (const id of ends) busy.delete(id);
          running.delete(task);
        });
      running.add(task);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failed.signal.aborted) throw failed.signal.reason;
}
