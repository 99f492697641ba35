/**
 * Knows for which slots MIGRATE may use REPLACE without comparing: those that this run opened while the target held no key of
 * them. The source then answers for every key it holds (`getNodeByQuery`), so the target's copy of one is older. In any other
 * slot the target may hold newer values, so nothing is granted. Rules 2 and 10 (docs/moving-slots.md).
 */
export class ReplaceAuthority {
  readonly #granted = new Set<number>();
  readonly #foundOpen: Set<number>;

  /** `foundOpen`: slots that an end had open before this run. */
  constructor(foundOpen: Iterable<number> = []) {
    this.#foundOpen = new Set(foundOpen);
  }

  /** True if this run opened the slot, and the target held no key of it then. */
  isGranted(slot: number): boolean {
    return this.#granted.has(slot);
  }

  /** True if keys of the slot may have reached the target before this run opened it. */
  isFoundOpen(slot: number): boolean {
    return this.#foundOpen.has(slot);
  }

  /** Both ends have opened the slots for this run, and the target holds no key of them. A slot that was found open stays so. */
  grantOpenedEmpty(slots: Iterable<number>): void {
    for (const slot of slots) if (!this.#foundOpen.has(slot)) this.#granted.add(slot);
  }

  /** Another run has opened the slots, the target owns them, or it holds keys of them. */
  noteFoundOpen(slots: Iterable<number>): void {
    for (const slot of slots) {
      this.#foundOpen.add(slot);
      this.#granted.delete(slot);
    }
  }

  /** The slots have changed hands: clients write to them at the target now. */
  withdraw(slots: Iterable<number>): void {
    for (const slot of slots) this.#granted.delete(slot);
  }
}
