import type { ClusterEvent, MoveFigures } from '../events.ts';
import { countSlots } from '../model/node.ts';
import type { MoveLimits } from '../options.ts';
import type { MoveContent, MoveStep } from '../plan/plan.ts';
import { costsWithin, type KeyWeight, type Load, weightOf } from './cost.ts';
import { Pace, poolsOf, timeLeft, type Work } from './pace.ts';
import { hasLimit, Throttle } from './throttle.ts';

const REPORT_EVERY_MS = 100;
/** The first steps of a move say nothing of its pace. */
const LEAST_MS = 250;

/** What was moved. */
export interface Moved {
  readonly slots: number;
  readonly keys: number;
  /** An estimate, see `MoveContent`. */
  readonly bytes: number;
  /** Milliseconds that the slowest MIGRATE blocked its source. */
  readonly longestStallMs: number;
  /** Milliseconds from the begin of the first move to the end of the last. */
  readonly keysPerSecond: number;
}

/** Counts what the moves of a plan have done, applies their limits, and reports progress a few times a second. */
export class Ledger {
  readonly #emit: (event: ClusterEvent) => void;
  readonly #moves: number;
  readonly #newTally: () => MoveTally;
  readonly #throttle: Throttle;
  readonly #total: MoveTally;
  readonly #poolOf: (id: string) => string;
  readonly #pools = new Map<string, MoveTally>();
  #movesDone = 0;

  /** The total is that of all moves of the plan from the beginning, though some may begin late. */
  constructor(
    emit: (event: ClusterEvent) => void,
    moves: readonly MoveStep[],
    limits: MoveLimits,
    now: () => number = () => performance.now(),
  ) {
    this.#emit = emit;
    this.#newTally = () => new MoveTally(limits, now);
    this.#moves = moves.length;
    this.#throttle = new Throttle(limits);
    this.#total = this.#newTally();
    // What one pool leaves of a limit, another takes.
    const isLimited = hasLimit(limits);
    this.#poolOf = isLimited ? () => '' : poolsOf(moves);
    for (const move of moves)
      for (const tally of [this.#total, this.#poolWith(move)]) tally.plan(plannedSize(move));
  }

  /** Begins a move whose source and target are known to be reachable. `weighed` is what its keys are, if that is known better than by their number. */
  begin(
    step: MoveStep,
    method: 'atomic' | 'migrate',
    slots: number,
    content: MoveContent,
    weighed?: KeyWeight,
  ): Progress {
    let pair = { source: step.source.address, target: step.target.address, method };
    const size = { slots, keys: content.keys, bytes: content.bytes };
    const load = { ...loadOf(size), ...weighed };
    const own = this.#newTally();
    own.plan(plannedSize(step));
    const tallies = [this.#total, this.#poolWith(step)];
    for (const tally of [own, ...tallies]) tally.begin(plannedSize(step), size, load);
    this.#emit({ type: 'move-start', ...pair, ...size });
    return new Progress(own, tallies, this.#throttle, {
      tell: (figures, state) => {
        this.#emit({ type: 'move-progress', ...pair, ...figures, ...(state === undefined ? {} : { state }) });
        this.#tellTotal();
      },
      end: (figures) => {
        this.#movesDone += 1;
        this.#emit({ type: 'move-done', ...pair, ...figures });
        this.#tellTotal();
      },
      goOnBy: (other) => {
        pair = { ...pair, method: other };
      },
    });
  }

  /** Everything moved so far. */
  get moved(): Moved {
    return this.#total.moved;
  }

  #tellTotal(): void {
    const { figures, work } = this.#total;
    const etaMs = etaOf(
      work,
      [...this.#pools.values()].map((pool) => pool.work),
    );
    this.#emit({ type: 'move-total', moves: this.#moves, movesDone: this.#movesDone, ...figures, etaMs });
  }

  #poolWith({ source }: MoveStep): MoveTally {
    const name = this.#poolOf(source.id);
    const known = this.#pools.get(name);
    if (known) return known;
    const tally = this.#newTally();
    this.#pools.set(name, tally);
    return tally;
  }
}

interface Teller {
  readonly tell: (figures: MoveFigures, state: string | undefined) => void;
  readonly end: (figures: MoveFigures) => void;
  readonly goOnBy: (method: 'atomic' | 'migrate') => void;
}

/** The progress of one move. */
export class Progress {
  /** Shared by all moves of a plan. */
  readonly throttle: Throttle;
  readonly #own: MoveTally;
  /** Those of all moves, and of those of its pool. */
  readonly #wider: readonly MoveTally[];
  readonly #teller: Teller;
  #state: string | undefined;
  /** What has arrived and is not the target's yet. */
  #arriving: Load = NOTHING;
  #toldMs = 0;

  constructor(own: MoveTally, wider: readonly MoveTally[], throttle: Throttle, teller: Teller) {
    this.throttle = throttle;
    this.#own = own;
    this.#wider = wider;
    this.#teller = teller;
  }

  /** Keys have reached the target; `stallMs` is how long that blocked the source. `load` is of the same kind as that of `begin()`. */
  keysMoved(keys: number, stallMs = 0, load: KeyWeight = this.#own.partOf(keys)): void {
    for (const tally of [this.#own, ...this.#wider]) tally.keysMoved({ slots: 0, keys, ...load }, stallMs);
    this.#tellNowAndThen();
  }

  /** Slots now belong to the target. */
  slotsMoved(slots: number): void {
    for (const tally of [this.#own, ...this.#wider]) tally.slotsMoved(slots);
    this.#tellNowAndThen();
  }

  /** This part has arrived, and is not the target's yet. It is taken back before it counts as moved. */
  arriving(part: number): void {
    const before = this.#arriving;
    this.#arriving = { ...NOTHING, ...this.#own.share(part) };
    for (const tally of [this.#own, ...this.#wider]) tally.advance(sumOf(this.#arriving, before, -1));
  }

  /** The state that the servers report. */
  reached(state: string): void {
    this.#state = state;
    this.#tellNowAndThen();
  }

  /** The move continues by another method. */
  goOnBy(method: 'atomic' | 'migrate'): void {
    this.#state = undefined;
    this.#teller.goOnBy(method);
  }

  /** Ends the move. */
  done(): void {
    this.#teller.end(this.#own.figures);
  }

  #tellNowAndThen(): void {
    const { elapsedMs } = this.#own;
    if (elapsedMs - this.#toldMs < REPORT_EVERY_MS) return;
    this.#toldMs = elapsedMs;
    this.#teller.tell(this.#own.figures, this.#state);
  }
}

type Size = Pick<MoveFigures, 'slots' | 'keys' | 'bytes'>;

function plannedSize(step: MoveStep): Size {
  const { keys = 0, bytes = 0 } = step.content ?? {};
  return { slots: countSlots(step), keys, bytes };
}

function loadOf(size: Size): Load {
  return { ...size, weight: weightOf(size) };
}

const NOTHING: Load = { slots: 0, keys: 0, bytes: 0, weight: 0 };

function sumOf(one: Load, other: Load, times: 1 | -1 = 1): Load {
  return {
    slots: one.slots + times * other.slots,
    keys: one.keys + times * other.keys,
    bytes: one.bytes + times * other.bytes,
    weight: one.weight + times * other.weight,
  };
}

function etaOf(work: Work, pools: readonly Work[]): number | null {
  const left = work.elapsedMs < LEAST_MS && work.done < work.all ? null : timeLeft(work, pools);
  return left === null ? null : Math.round(left);
}

class MoveTally {
  readonly #limits: MoveLimits;
  readonly #now: () => number;
  readonly #pace = new Pace<Load>();
  #started: number | undefined;
  /** Of the moves that have begun, by what their keys are, and by the number of keys alone. */
  #begun: Load = NOTHING;
  #counted: Load = NOTHING;
  /** Of those that have not, by the number of keys. */
  #ahead: Load = NOTHING;
  #done: Load = NOTHING;
  /** When it was last looked at with nothing done: what comes before, as a fork of the source, says nothing of the pace. */
  #idleMs = 0;
  #lastStallMs = 0;
  #longestStallMs = 0;

  constructor(limits: MoveLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Keys are looked at only when their move begins: what that says of them holds for those of moves ahead, too. */
  get #all(): Load {
    const [begun, counted, ahead] = [this.#begun, this.#counted, this.#ahead];
    const times = (of: 'bytes' | 'weight'): number => (counted[of] > 0 && begun[of] / counted[of]) || 1;
    return sumOf(begun, {
      ...ahead,
      bytes: times('bytes') * ahead.bytes,
      weight: times('weight') * ahead.weight,
    });
  }

  /** What so many of its keys are, on average. */
  partOf(keys: number): KeyWeight {
    return this.share(keys / Math.max(1, this.#all.keys));
  }

  share(part: number): KeyWeight {
    const { bytes, weight } = this.#all;
    return { bytes: part * bytes, weight: part * weight };
  }

  get elapsedMs(): number {
    return this.#started === undefined ? 0 : this.#now() - this.#started;
  }

  /** Adds a move that is ahead. */
  plan(planned: Size): void {
    this.#ahead = sumOf(this.#ahead, loadOf(planned));
  }

  /** Begins a move that was planned: its keys have been counted again. */
  begin(planned: Size, size: Size, load: Load): void {
    // The clock of all moves starts when the first one begins: nodes may have to be introduced before that.
    this.#started ??= this.#now();
    this.#ahead = sumOf(this.#ahead, loadOf(planned), -1);
    this.#counted = sumOf(this.#counted, loadOf(size));
    this.#begun = sumOf(this.#begun, load);
  }

  get #size(): Size {
    return sumOf(this.#counted, this.#ahead);
  }

  slotsMoved(slots: number): void {
    this.advance({ ...NOTHING, slots });
  }

  keysMoved(load: Load, stallMs: number): void {
    this.advance(load);
    this.#lastStallMs = stallMs;
    this.#longestStallMs = Math.max(this.#longestStallMs, stallMs);
  }

  advance(load: Load): void {
    this.#done = sumOf(this.#done, load);
    // What is taken back is soon given again: no pace.
    if (load.weight < 0) return;
    if (this.#done.weight <= 0 && this.#done.slots === 0) this.#idleMs = this.elapsedMs;
    this.#pace.mark(this.#workingMs, this.#done);
  }

  get #bytesDone(): number {
    const all = this.#all.bytes;
    return all === 0 ? 0 : Math.round(this.#size.bytes * Math.min(1, this.#done.bytes / all));
  }

  get moved(): Moved {
    const { keysPerSecond, longestStallMs } = this.figures;
    return {
      slots: this.#done.slots,
      keys: this.#done.keys,
      bytes: this.#bytesDone,
      longestStallMs,
      keysPerSecond,
    };
  }

  get #workingMs(): number {
    return this.elapsedMs - this.#idleMs;
  }

  get work(): Work {
    const elapsedMs = this.#workingMs;
    const costOf = costsWithin(this.#all, this.#limits);
    const half = this.#pace.halfway(elapsedMs);
    return {
      ...{ all: costOf(this.#all), done: costOf(this.#done), elapsedMs },
      since: half && { done: costOf(half.done), elapsedMs: half.elapsedMs },
    };
  }

  get figures(): MoveFigures {
    const { elapsedMs, work } = this;
    const { slots: slotsDone, keys: keysDone } = this.#done;
    const { slots, keys, bytes } = this.#size;
    return {
      ...{ slotsDone, slots, keysDone, keys, bytesDone: this.#bytesDone, bytes },
      keysPerSecond: elapsedMs > 0 ? Math.round((1000 * keysDone) / elapsedMs) : 0,
      etaMs: etaOf(work, []),
      lastStallMs: this.#lastStallMs,
      longestStallMs: this.#longestStallMs,
      elapsedMs,
    };
  }
}
