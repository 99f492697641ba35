/** What a key takes beside what MEMORY USAGE counts: its place in a table. */
const PLACE_BYTES = 16;
/** Less than this part says nothing of the pace, and at this part the servers still have to hand the slots over. */
const [LEAST, MOST] = [0.01, 0.95];

/**
 * How much of what the servers move to a target has arrived, by how much its memory has grown: they tell nothing of it, and a target counts
 * the keys only once they are all its own. What its clients write in the meantime counts too. Shared by all moves to the target.
 */
export class Arrivals {
  #first: number | undefined;
  #expected = 0;
  #moves = 0;

  /** Begins a move that brings so much. */
  begin({ keys, bytes }: { readonly keys: number; readonly bytes: number }): void {
    if (this.#moves === 0) [this.#first, this.#expected] = [undefined, 0];
    this.#moves += 1;
    this.#expected += bytes + PLACE_BYTES * keys;
  }

  /** Ends a move, however it has ended. */
  end(): void {
    this.#moves -= 1;
  }

  /** The part that has arrived of each move, if the target uses so much memory. The first to be told is that before anything arrived. */
  partAt(usedMemory: number): number {
    this.#first ??= usedMemory;
    const part = (usedMemory - this.#first) / this.#expected;
    return part > LEAST ? Math.min(MOST, part) : 0;
  }
}
