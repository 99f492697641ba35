/** Lets many run in parallel, or one alone. Rule 19 (docs/moving-slots.md) relies on it for batches to one target. */
export class SharedLock {
  #inside = 0;
  #exclusive: Promise<void> = Promise.resolve();
  #waiting = 0;
  #wake: (() => void) | undefined;

  /** Runs work in parallel with others, once nothing runs alone or waits to. */
  async shared<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#waiting > 0) await this.#exclusive;
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      if (this.#inside === 0) this.#wake?.();
    }
  }

  /** Runs work alone: waits until all others have left, and holds back new ones until it is done. */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#waiting += 1;
    const run = async (): Promise<Result> => {
      if (this.#inside > 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      return work();
    };
    const result = this.#exclusive.then(run);
    this.#exclusive = result.then(
      () => this.#leave(),
      () => this.#leave(),
    );
    return result;
  }

  #leave(): void {
    this.#waiting -= 1;
  }
}
