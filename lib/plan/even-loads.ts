import { SLOT_COUNT } from '../model/slot.ts';

/** Stands for no owner in an array of numbers, which is fast. */
const NOBODY = -1;

/** A master's weight relative to the others, and its slots. */
export interface Carrier {
  readonly weight: number;
  readonly slots: readonly number[];
}

/**
 * Shares slots out so that the load of each carrier comes within `threshold` per cent of its weighted share, and as little
 * load as can be found moves. Resolves to the owner of each slot, by its place among the carriers, or `NOBODY`.
 *
 * An optimal answer takes exponential time. This is a greedy search: each step reduces the load outside the allowed
 * bounds, and moves that turn out to be unnecessary are undone. It ends when no step helps, so that running it on its own
 * result changes nothing. A carrier with a weight keeps at least one slot, since a master that gives its last slot away
 * becomes a replica. Carriers of weight 0 give all slots.
 */
export function evenLoads(
  carriers: readonly Carrier[],
  loads: ArrayLike<number>,
  threshold: number,
): Int32Array {
  const scales = new Scales(carriers, loads, threshold);
  scales.empty();
  while (scales.level() && scales.putBack());
  return scales.owners;
}

class Scales {
  readonly owners: Int32Array = new Int32Array(SLOT_COUNT).fill(NOBODY);
  readonly #before: Int32Array;
  readonly #weights: readonly number[];
  readonly #loads: Float64Array;
  /** By carrier: its slots by load, the lightest first; of equal load the highest slot first. */
  readonly #held: number[][];
  /** By carrier: the smallest load above 0 of a slot; 0 if there is none. */
  readonly #lightest: Float64Array;
  /** By carrier: its exact share of the load. */
  readonly #shares: Float64Array;
  // How much each carrier may still take and give. Integers, like the loads: with rounding, two steps could undo each
  // other forever.
  readonly #most: Float64Array;
  readonly #room: Float64Array;
  readonly #slack: Float64Array;

  constructor(carriers: readonly Carrier[], loads: ArrayLike<number>, threshold: number) {
    this.#loads = Float64Array.from({ length: SLOT_COUNT }, (_, slot) => Math.round(loads[slot] ?? 0));
    this.#weights = carriers.map(({ weight }) => weight);
    this.#held = carriers.map(({ slots }) => [...slots].sort((a, b) => this.#order(a, b)));
    for (const [index, { slots }] of carriers.entries()) for (const slot of slots) this.owners[slot] = index;
    this.#before = this.owners.slice();
    const sums = carriers.map(({ slots }) => slots.reduce((sum, slot) => sum + this.#load(slot), 0));
    const all = sums.reduce((sum, load) => sum + load, 0);
    const weights = this.#weights.reduce((sum, weight) => sum + weight, 0);
    this.#shares = Float64Array.from(this.#weights, (weight) => (all * weight) / weights);
    const least = this.#shares.map((share) => Math.max(0, Math.floor(share * (1 - threshold / 100))));
    const most = this.#shares.map((share) => Math.ceil(share * (1 + threshold / 100)));
    this.#most = most;
    this.#room = most.map((bound, index) => bound - (sums[index] ?? 0));
    this.#slack = least.map((bound, index) => (sums[index] ?? 0) - bound);
    this.#lightest = Float64Array.from(carriers, (_, index) => this.#findLightest(index));
  }

  /** Takes all slots from carriers of weight 0, the heaviest first, and gives each to the carrier furthest below its share. */
  empty(): void {
    for (const [index, weight] of this.#weights.entries()) {
      if (weight > 0) continue;
      for (let at = this.#count(index) - 1; at >= 0; at--) {
        const slot = this.#held[index]?.[at] ?? 0;
        const emptiest = (to: number) => -this.#count(to) / this.#weight(to);
        const furthest = (to: number) => (this.#shares[to] ?? 0) - this.#sum(to);
        this.#move(index, at, this.#first(this.#load(slot) === 0 ? emptiest : furthest));
      }
    }
  }

  /** Moves slots as long as that helps. Returns whether any was moved. */
  level(): boolean {
    let steps = 0;
    for (let before = -1; before !== steps; ) {
      before = steps;
      for (const index of this.#sorted((one) => this.#over(one))) {
        while (this.#over(index) > 0 && this.#giveAway(index)) steps += 1;
      }
      for (const index of this.#sorted((one) => this.#under(one))) {
        while (this.#under(index) > 0 && this.#bringTo(index)) steps += 1;
      }
    }
    return steps > 0;
  }

  /** Returns slots that need not have moved, the heaviest first. Returns whether there were any. */
  putBack(): boolean {
    let steps = 0;
    // A slot that goes back may make the room that a heavier one needs to go back too.
    for (let before = -1; before !== steps; ) {
      before = steps;
      steps += this.#putBackOnce();
    }
    return steps > 0;
  }

  #putBackOnce(): number {
    const moved = [...this.owners.keys()]
      .filter((slot) => this.owners[slot] !== this.#before[slot] && this.#weight(this.#before[slot]) > 0)
      .sort((a, b) => this.#order(b, a));
    let steps = 0;
    for (const slot of moved) {
      const [from, to] = [this.owners[slot] ?? 0, this.#before[slot] ?? 0];
      if (this.#count(from) < 2 || this.#gain(from, to, this.#load(slot)) < 0) continue;
      this.#move(from, this.#place(from, slot), to);
      steps += 1;
    }
    return steps;
  }

  #giveAway(from: number): boolean {
    const to = this.#best(this.#slack, this.#room, (one) => this.#helps(from, one));
    if (to >= 0) this.#moveOne(from, to);
    return to >= 0;
  }

  #bringTo(to: number): boolean {
    const from = this.#best(this.#room, this.#slack, (one) => this.#helps(one, to));
    if (from >= 0) this.#moveOne(from, to);
    return from >= 0;
  }

  // The gain of a move rises with its load, then stays level, then falls: if the lightest slot does not help, none does.
  #helps(from: number, to: number): boolean {
    const lightest = this.#lightest[from] ?? 0;
    return lightest > 0 && from !== to && this.#gain(from, to, lightest) > 0 && this.#count(from) > 1;
  }

  #findLightest(index: number): number {
    const slots = this.#held[index] ?? [];
    return this.#load(slots[firstWhere(slots.length, (at) => this.#load(slots[at]) > 0)]);
  }

  // Moves the heaviest slot whose whole load helps; if there is none, the next heavier one, which helps in part.
  #moveOne(from: number, to: number): void {
    const [over, under] = [this.#over(from), this.#under(to)];
    const gives = over > 0 ? over : (this.#slack[from] ?? 0);
    const takes = under > 0 ? under : (this.#room[to] ?? 0);
    const slots = this.#held[from] ?? [];
    const after = (load: number) => firstWhere(slots.length, (at) => this.#load(slots[at]) > load);
    const next = after(Math.min(gives, takes));
    const fits = next > 0 && this.#load(slots[next - 1]) > 0;
    // Of equal loads the lowest slot, which is last.
    this.#move(from, fits ? next - 1 : after(this.#load(slots[next])) - 1, to);
  }

  /** By how much moving this load reduces the load outside the allowed bounds. */
  #gain(from: number, to: number, load: number): number {
    const [roomThere = 0, slackThere = 0] = [this.#room[from], this.#slack[from]];
    const [roomHere = 0, slackHere = 0] = [this.#room[to], this.#slack[to]];
    const now = outside(roomThere, slackThere) + outside(roomHere, slackHere);
    return now - outside(roomThere + load, slackThere - load) - outside(roomHere - load, slackHere + load);
  }

  #move(from: number, at: number, to: number): void {
    const [slot = 0] = this.#held[from]?.splice(at, 1) ?? [];
    this.#held[to]?.splice(this.#place(to, slot), 0, slot);
    this.owners[slot] = to;
    for (const [index, load] of [
      [from, this.#load(slot)],
      [to, -this.#load(slot)],
    ] as const) {
      this.#room[index] = (this.#room[index] ?? 0) + load;
      this.#slack[index] = (this.#slack[index] ?? 0) - load;
      this.#lightest[index] = this.#findLightest(index);
    }
  }

  #place(index: number, slot: number): number {
    const slots = this.#held[index] ?? [];
    return firstWhere(slots.length, (at) => this.#order(slots[at] ?? 0, slot) >= 0);
  }

  #order(a: number, b: number): number {
    return this.#load(a) - this.#load(b) || b - a;
  }

  /**
   * Of the possible carriers with a weight: the one with the greatest need, or if none has a need, the one with the most
   * left. The first of equals; -1 if there is none.
   */
  #best(needed: Float64Array, left: Float64Array, isPossible: (index: number) => boolean): number {
    let [best, most] = [-1, Number.NEGATIVE_INFINITY];
    for (let index = 0; index < needed.length; index++) {
      const need = needed[index] as number;
      const worth = need < 0 ? -need : (left[index] as number) - 2 ** 53;
      if (worth > most && this.#weights[index] !== 0 && isPossible(index)) [best, most] = [index, worth];
    }
    return best;
  }

  /** Of the carriers with a weight: the one of most worth, the first of equals. */
  #first(worth: (index: number) => number): number {
    let [best, most] = [0, Number.NEGATIVE_INFINITY];
    for (const [index, weight] of this.#weights.entries()) {
      if (weight > 0 && worth(index) > most) [best, most] = [index, worth(index)];
    }
    return best;
  }

  /** The carriers with a weight, by worth, the most first. */
  #sorted(worth: (index: number) => number): number[] {
    return this.#weights
      .map((weight, index) => ({ index, weight, worth: worth(index) }))
      .filter(({ weight }) => weight > 0)
      .sort((a, b) => b.worth - a.worth || a.index - b.index)
      .map(({ index }) => index);
  }

  #load(slot: number | undefined): number {
    return this.#loads[slot ?? NOBODY] ?? 0;
  }

  #weight(index: number | undefined): number {
    return this.#weights[index ?? NOBODY] ?? 0;
  }

  #sum(index: number): number {
    return (this.#most[index] ?? 0) - (this.#room[index] ?? 0);
  }

  #count(index: number): number {
    return this.#held[index]?.length ?? 0;
  }

  #over(index: number): number {
    return Math.max(0, -(this.#room[index] ?? 0));
  }

  #under(index: number): number {
    return Math.max(0, -(this.#slack[index] ?? 0));
  }
}

function outside(room: number, slack: number): number {
  return Math.max(0, -room) + Math.max(0, -slack);
}

/** Binary search: the first number below `count` that meets a condition which then holds for all after it, else `count`. */
function firstWhere(count: number, condition: (at: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (condition(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
