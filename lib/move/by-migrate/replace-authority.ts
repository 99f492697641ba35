/**
 * Knows for which slots MIGRATE may use REPLACE without comparing: those that this run opened while the target held no key of
 * them. The source then answers for every key it holds (`getNodeByQuery`), so the target's copy of one is older. In any other
 * slot the target may hold newer values, so nothing is granted. Rules 2 and 10 (docs/moving-slots.md).
 */
export class ReplaceAuthority {
  readonly #granted = new Set<number>();
  readonly #foundOpen: Set<number>;
  readonly #ofTarget = new Set<number>();
  readonly #overwrites: boolean;

  /**
   * `foundOpen`: slots that an end had open before this run. `overwrites`: the operator gives up what the target holds of slots that
   * it does not own, where it differs.
   */
  constructor(foundOpen: Iterable<number> = [], overwrites = false) {
    this.#foundOpen = new Set(foundOpen);
    this.#overwrites = overwrites;
  }

  /** True if this run opened the slot, and the target held no key of it then. */
  isGranted(slot: number): boolean {
    return this.#granted.has(slot);
  }

  /** True if keys of the slot may have reached the target before this run opened it. */
  isFoundOpen(slot: number): boolean {
    return this.#foundOpen.has(slot);
  }

  /** True if values of the target that differ are given up. Not once it owns the slot: clients see them then. */
  overwrites(slot: number): boolean {
    return this.#overwrites && !this.#ofTarget.has(slot);
  }

  /** Both ends have opened the slots for this run, and the target holds no key of them. A slot that was found open stays so. */
  grantOpenedEmpty(slots: Iterable<number>): void {
    for (const slot of slots) if (!this.#foundOpen.has(slot)) this.#granted.add(slot);
  }

  /** The target owns the slots. */
  noteOfTarget(slots: Iterable<number>): void {
    for (const slot of slots) this.#ofTarget.add(slot);
    this.noteFoundOpen(slots);
  }

  /** Another run has opened the slots, or the target holds keys of them. */
  noteFoundOpen(slots: Iterable<number>): void {
    for (const slot of slots) {
      this.#foundOpen.add(slot);
      this.#granted.delete(slot);
    }
  }

  /** The slots have changed hands: clients write to them at the target now. */
  withdraw(slots: Iterable<number>): void {
    for (const slot of slots) {
      this.#ofTarget.add(slot);
      this.#granted.delete(slot);
    }
  }
}
