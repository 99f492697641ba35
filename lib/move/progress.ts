import type { ClusterEvent, MoveFigures } from '../events.ts';
import { countSlots } from '../model/node.ts';
import type { MoveLimits } from '../options.ts';
import type { MoveContent, MoveStep } from '../plan/plan.ts';
import { costsWithin, type KeyWeight, type Load, weightOf } from './cost.ts';
import { Pace, poolsOf, timeLeft, type Work } from './pace.ts';
import { hasLimit, Throttle } from './throttle.ts';

const REPORT_EVERY_MS = 100;

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
  readonly #limits: MoveLimits;
  readonly #throttle: Throttle;
  readonly #total: MoveTally;
  readonly #poolOf: (id: string) => string;
  readonly #pools = new Map<string, MoveTally>();
  #movesDone = 0;

  /** The total is that of all moves of the plan from the beginning, though some may begin late. */
  constructor(emit: (event: ClusterEvent) => void, moves: readonly MoveStep[], limits: MoveLimits) {
    this.#emit = emit;
    this.#moves = moves.length;
    this.#limits = limits;
    this.#throttle = new Throttle(limits);
    this.#total = new MoveTally(limits);
    // What one pool leaves of a limit, another takes.
    const isLimited = hasLimit(limits);
    this.#poolOf = isLimited ? () => '' : poolsOf(moves);
    for (const move of moves)
      for (const tally of [this.#total, this.#poolWith(move)])
        tally.add(plannedSize(move), loadOf(plannedSize(move)));
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
    // Keys are counted again when a move begins.
    const planned = plannedSize(step);
    const [load, plannedLoad] = [{ ...loadOf(size), ...weighed }, loadOf(planned)];
    const tallies = [this.#total, this.#poolWith(step)];
    for (const tally of tallies) {
      tally.start();
      tally.add(size, load);
      tally.add(planned, plannedLoad, -1);
    }
    this.#emit({ type: 'move-start', ...pair, ...size });
    const own = new MoveTally(this.#limits);
    own.add(size, load);
    own.start();
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
    const left = timeLeft(
      work,
      [...this.#pools.values()].map((pool) => pool.work),
    );
    const etaMs = left === null ? null : Math.round(left);
    this.#emit({ type: 'move-total', moves: this.#moves, movesDone: this.#movesDone, ...figures, etaMs });
  }

  #poolWith({ source }: MoveStep): MoveTally {
    const name = this.#poolOf(source.id);
    const known = this.#pools.get(name);
    if (known) return known;
    const tally = new MoveTally(this.#limits);
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

function sumOf(one: Load, other: Load, times: 1 | -1): Load {
  return {
    slots: one.slots + times * other.slots,
    keys: one.keys + times * other.keys,
    bytes: one.bytes + times * other.bytes,
    weight: one.weight + times * other.weight,
  };
}

class MoveTally {
  readonly #limits: MoveLimits;
  readonly #pace = new Pace<Load>();
  #started: number | undefined;
  #size: Size = { slots: 0, keys: 0, bytes: 0 };
  /** By which time is told, as well as it is known. */
  #all: Load = NOTHING;
  #done: Load = NOTHING;
  #lastStallMs = 0;
  #longestStallMs = 0;

  constructor(limits: MoveLimits) {
    this.#limits = limits;
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
    return this.#started === undefined ? 0 : performance.now() - this.#started;
  }

  // The clock of all moves starts when the first one begins: nodes may have to be introduced before that.
  start(): void {
    this.#started ??= performance.now();
  }

  /** Adds a move to what there is, or with -1 takes it out. */
  add({ slots, keys, bytes }: Size, load: Load, times: 1 | -1 = 1): void {
    const size = this.#size;
    this.#size = {
      slots: size.slots + times * slots,
      keys: size.keys + times * keys,
      bytes: size.bytes + times * bytes,
    };
    this.#all = sumOf(this.#all, load, times);
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
    this.#done = sumOf(this.#done, load, 1);
    // What is taken back is soon given again: no pace.
    if (load.weight >= 0) this.#pace.mark(this.elapsedMs, this.#done);
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

  get work(): Work {
    const { elapsedMs } = this;
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
    const left = timeLeft(work, []);
    return {
      ...{ slotsDone, slots, keysDone, keys, bytesDone: this.#bytesDone, bytes },
      keysPerSecond: elapsedMs > 0 ? Math.round((1000 * keysDone) / elapsedMs) : 0,
      etaMs: left === null ? null : Math.round(left),
      lastStallMs: this.#lastStallMs,
      longestStallMs: this.#longestStallMs,
      elapsedMs,
    };
  }
}
