import type { ClusterEvent, MoveFigures } from '../../events.ts';
import type { MoveLimits } from '../../options.ts';
import type { MoveContent, MoveStep } from '../../plan/plan.ts';
import { Throttle } from './throttle.ts';

const REPORT_EVERY_MS = 100;
/** A slot costs time even where it is empty: as much as some keys do. */
const KEYS_PER_SLOT = 20;

/** What was moved. */
export interface Moved {
  readonly slots: number;
  readonly keys: number;
  /** An estimate, see `MoveContent`. */
  readonly bytes: number;
  /** Milliseconds the slowest MIGRATE held up its source. */
  readonly longestStallMs: number;
  /** From the first move's begin to the last one's end. */
  readonly keysPerSecond: number;
}

/** Counts what the moves of a plan have done, holds them to their limits, and tells of it a few times a second. */
export class Ledger {
  readonly #emit: (event: ClusterEvent) => void;
  readonly #moves: number;
  readonly #throttle: Throttle;
  readonly #total = new Tally();
  #movesDone = 0;

  constructor(emit: (event: ClusterEvent) => void, moves: number, limits?: MoveLimits) {
    this.#emit = emit;
    this.#moves = moves;
    this.#throttle = new Throttle(limits);
  }

  /** Begins a move, of which the source and the target are known to be there. */
  begin(step: MoveStep, method: 'atomic' | 'migrate', slots: number, content: MoveContent): Progress {
    let pair = { source: step.source.address, target: step.target.address, method };
    const size = { slots, keys: content.keys, bytes: content.bytes };
    this.#total.add(size);
    this.#emit({ type: 'move-start', ...pair, ...size });
    return new Progress(size, this.#total, this.#throttle, {
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

  /** All that was moved until now. */
  get moved(): Moved {
    return this.#total.moved;
  }

  #tellTotal(): void {
    const { figures } = this.#total;
    this.#emit({ type: 'move-total', moves: this.#moves, movesDone: this.#movesDone, ...figures });
  }
}

interface Teller {
  readonly tell: (figures: MoveFigures, state: string | undefined) => void;
  readonly end: (figures: MoveFigures) => void;
  readonly goOnBy: (method: 'atomic' | 'migrate') => void;
}

/** How far one move has come. */
export class Progress {
  /** Shared by all moves of a plan. */
  readonly throttle: Throttle;
  readonly #own = new Tally();
  readonly #total: Tally;
  readonly #teller: Teller;
  #state: string | undefined;
  #toldMs = 0;

  constructor(size: Size, total: Tally, throttle: Throttle, teller: Teller) {
    this.throttle = throttle;
    this.#own.add(size);
    this.#total = total;
    this.#teller = teller;
  }

  /** Keys are on the target; `stallMs` is for how long that held up the source. */
  keysMoved(keys: number, stallMs = 0): void {
    for (const tally of [this.#own, this.#total]) tally.keysMoved(keys, stallMs);
    this.#tellNowAndThen();
  }

  /** Slots belong to the target. */
  slotsMoved(slots: number): void {
    for (const tally of [this.#own, this.#total]) tally.slotsDone += slots;
    this.#tellNowAndThen();
  }

  /** What the servers say they are at. */
  reached(state: string): void {
    this.#state = state;
    this.#tellNowAndThen();
  }

  /** From now on the move is made in another way. */
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

class Tally {
  slotsDone = 0;
  #started: number | undefined;
  #size: Size = { slots: 0, keys: 0, bytes: 0 };
  #keysDone = 0;
  #lastStallMs = 0;
  #longestStallMs = 0;

  get elapsedMs(): number {
    return this.#started === undefined ? 0 : performance.now() - this.#started;
  }

  // The clock of all moves runs from the first one's begin: nodes may have to be introduced before.
  add({ slots, keys, bytes }: Size): void {
    this.#started ??= performance.now();
    const size = this.#size;
    this.#size = { slots: size.slots + slots, keys: size.keys + keys, bytes: size.bytes + bytes };
  }

  keysMoved(keys: number, stallMs: number): void {
    this.#keysDone += keys;
    this.#lastStallMs = stallMs;
    this.#longestStallMs = Math.max(this.#longestStallMs, stallMs);
  }

  get #bytesDone(): number {
    const { keys, bytes } = this.#size;
    return keys === 0 ? 0 : Math.round(bytes * Math.min(1, this.#keysDone / keys));
  }

  get moved(): Moved {
    const { keysPerSecond, longestStallMs } = this.figures;
    return {
      slots: this.slotsDone,
      keys: this.#keysDone,
      bytes: this.#bytesDone,
      longestStallMs,
      keysPerSecond,
    };
  }

  get figures(): MoveFigures {
    const { elapsedMs, slotsDone } = this;
    const [keysDone, { slots, keys, bytes }] = [this.#keysDone, this.#size];
    const [work, done] = [keys + KEYS_PER_SLOT * slots, keysDone + KEYS_PER_SLOT * slotsDone];
    return {
      ...{ slotsDone, slots, keysDone, keys, bytesDone: this.#bytesDone, bytes },
      keysPerSecond: elapsedMs > 0 ? Math.round((1000 * keysDone) / elapsedMs) : 0,
      etaMs: done > 0 ? Math.round((elapsedMs * Math.max(0, work - done)) / done) : null,
      lastStallMs: this.#lastStallMs,
      longestStallMs: this.#longestStallMs,
      elapsedMs,
    };
  }
}
