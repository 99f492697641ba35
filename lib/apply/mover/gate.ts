/** Lets many pass side by side, or one alone. */
export class Gate {
  #inside = 0;
  #alone: Promise<void> = Promise.resolve();
  #waiting = 0;
  #wake: (() => void) | undefined;

  /** Runs work beside others, when nobody is alone or waits to be. */
  async beside<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#waiting > 0) await this.#alone;
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
      if (this.#inside === 0) this.#wake?.();
    }
  }

  /** Runs work when all who are inside have left, and nobody enters before it is done. */
  alone<Result>(work: () => Promise<Result>): Promise<Result> {
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
    const result = this.#alone.then(run);
    this.#alone = result.then(
      () => this.#leave(),
      () => this.#leave(),
    );
    return result;
  }

  #leave(): void {
    this.#waiting -= 1;
  }
}
