/** Work of some kind: how much there is, how much of it is done, and since when. */
export interface Work {
  readonly all: number;
  readonly done: number;
  /** Milliseconds since it began; 0 if it has not. */
  readonly elapsedMs: number;
  /** What was done at some earlier moment: the pace since then counts. @default the beginning */
  readonly since?: Pick<Work, 'done' | 'elapsedMs'> | undefined;
}

/** Less than this share of its work says nothing of the pace of one source. */
const TELLING = 0.02;

/**
 * Milliseconds that all moves will still take: as long as the whole at its pace, or as the slowest source at its own, if that
 * takes longer. Sources give at the same time, so at the end the one with the most left gives alone. Null while there is no pace.
 */
export function timeLeft(whole: Work, sources: readonly Work[]): number | null {
  if (whole.done <= 0 || whole.elapsedMs <= 0) return null;
  return Math.max(leftOf(whole), ...sources.filter(isTelling).map(leftOf));
}

function leftOf({ all, done, elapsedMs, since = { done: 0, elapsedMs: 0 } }: Work): number {
  // Nothing since then: a pause says nothing about the rest.
  const from = done > since.done && elapsedMs > since.elapsedMs ? since : { done: 0, elapsedMs: 0 };
  return ((elapsedMs - from.elapsedMs) * Math.max(0, all - done)) / (done - from.done);
}

function isTelling({ all, done, elapsedMs }: Work): boolean {
  return elapsedMs > 0 && done > 0 && done >= TELLING * all;
}

interface Mark<Done> {
  readonly elapsedMs: number;
  readonly done: Done;
}

/** Two marks are at least so far apart, in milliseconds and as a part of the time so far. */
const [LEAST_APART_MS, APART] = [100, 1 / 50];

/** Remembers how far work was: its pace in the second half of the time so far says more of the rest than that of its first steps. */
export class Pace<Done> {
  readonly #marks: Mark<Done>[] = [];

  /** Records how far it is. */
  mark(elapsedMs: number, done: Done): void {
    const last = this.#marks.at(-1)?.elapsedMs ?? 0;
    if (elapsedMs - last < Math.max(LEAST_APART_MS, APART * elapsedMs)) return;
    this.#marks.push({ elapsedMs, done });
    while ((this.#marks[1]?.elapsedMs ?? Number.POSITIVE_INFINITY) <= elapsedMs / 2) this.#marks.shift();
  }

  /** How far it was when half of this time had passed; undefined if that is not known. */
  halfway(elapsedMs: number): Mark<Done> | undefined {
    return this.#marks.findLast((mark) => mark.elapsedMs <= elapsedMs / 2);
  }
}
