/** Work of some kind: how much there is, how much of it is done, and since when. */
export interface Work {
  readonly all: number;
  readonly done: number;
  /** Milliseconds since it began; 0 if it has not. */
  readonly elapsedMs: number;
  /** What was done at some earlier moment: the pace since then counts. @default the beginning */
  readonly since?: Pick<Work, 'done' | 'elapsedMs'> | undefined;
}

/** Less than this share of its work says nothing of the pace of a pool. */
const TELLING = 0.02;
/** As many times slower than on the whole is a pause. */
const SLOWEST = 4;

/**
 * Milliseconds that all moves will still take: as long as the whole at its pace, or as the slowest pool at its own, if that
 * takes longer. Pools move at the same time, so at the end the one with the most left moves alone. Null while there is no pace.
 */
export function timeLeft(whole: Work, pools: readonly Work[]): number | null {
  if (whole.done <= 0 || whole.elapsedMs <= 0) return null;
  return Math.max(leftOf(whole), ...pools.filter(isTelling).map(leftOf));
}

/** What is moved from a node to another. */
interface Pair {
  readonly source: { readonly id: string };
  readonly target: { readonly id: string };
}

/**
 * By id of a node: the name of its pool. Moves that share a node, directly or by way of others, are of one pool: they wait for that node,
 * and what one of them leaves of its speed the others take, so that the pool keeps its pace while the shares of its sources vary.
 */
export function poolsOf(moves: readonly Pair[]): (id: string) => string {
  const joined = new Map<string, string>();
  const poolOf = (id: string): string => {
    const other = joined.get(id);
    return other === undefined ? id : poolOf(other);
  };
  for (const { source, target } of moves) {
    const [one, other] = [poolOf(source.id), poolOf(target.id)];
    if (one !== other) joined.set(one, other);
  }
  return poolOf;
}

function leftOf({ all, done, elapsedMs, since = { done: 0, elapsedMs: 0 } }: Work): number {
  // Next to nothing since then: a pause says nothing about the rest.
  const whole = elapsedMs / done;
  const recent = (elapsedMs - since.elapsedMs) / (done - since.done);
  // Negative if less was done than then.
  return (recent > 0 && recent < SLOWEST * whole ? recent : whole) * Math.max(0, all - done);
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
