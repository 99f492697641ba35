/** Work of some kind: how much there is, how much of it is done, and since when. */
export interface Work {
  readonly all: number;
  readonly done: number;
  /** Milliseconds since it began; 0 if it has not. */
  readonly elapsedMs: number;
}

/** Less than this share of its work says nothing of the pace of one source. */
const TELLING = 0.02;

/**
 * Milliseconds that all moves will still take: as long as the whole at its pace so far, or as the slowest source at its own, if that
 * takes longer. Sources give at the same time, so at the end the one with the most left gives alone. Null while there is no pace.
 */
export function timeLeft(whole: Work, sources: readonly Work[]): number | null {
  if (whole.done <= 0 || whole.elapsedMs <= 0) return null;
  return Math.max(leftOf(whole), ...sources.filter(isTelling).map(leftOf));
}

function leftOf({ all, done, elapsedMs }: Work): number {
  return (elapsedMs * Math.max(0, all - done)) / done;
}

function isTelling({ all, done, elapsedMs }: Work): boolean {
  return elapsedMs > 0 && done > 0 && done >= TELLING * all;
}
