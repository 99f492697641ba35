/** The longest delay that setTimeout accepts, in milliseconds. */
export const MAX_TIMER: number = 2 ** 31 - 1;

/**
 * One timer for a queue of waits of which only the first is timed. Setting a timer per wait would cost more than the
 * command itself, so the timer stays set and, when it fires, checks how much time is left. It does not keep the process
 * alive: the socket does that while a reply is due.
 */
export class Deadline {
  readonly #progress: () => number;
  readonly #onPassed: (timeout: number) => void;
  #since = 0;
  #timeout = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDue = 0;

  /** `progress` returns a number that grows as data arrives. `onPassed` gets the timeout that passed, in milliseconds. */
  constructor(progress: () => number, onPassed: (timeout: number) => void) {
    this.#progress = progress;
    this.#onPassed = onPassed;
  }

  /** Restarts the count: `timeout` milliseconds from now; 0 for no limit. */
  start(timeout: number): void {
    this.#since = performance.now();
    this.#timeout = timeout;
    this.#arm();
  }

  /** Suspends the count until the next `start()`. The timer stays set, since setting it costs more than letting it fire. */
  pause(): void {
    this.#timeout = 0;
  }

  /** Ends the count and clears the timer. */
  stop(): void {
    this.#timeout = 0;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#timeout === 0) return;
    const due = this.#since + this.#timeout;
    if (this.#timer !== undefined && this.#timerDue <= due) return;
    clearTimeout(this.#timer);
    this.#timerDue = due;
    this.#timer = setTimeout(() => this.#onTimer(), Math.min(due - performance.now(), MAX_TIMER)).unref();
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (this.#timeout === 0) return;
    const now = performance.now();
    if (this.#since + this.#timeout > now) this.#arm();
    else this.#lookAgain(now + this.#timeout);
  }

  // A process that was busy or suspended may have unread data, so let it read its sockets before giving up, and again as
  // long as they have more. `until` bounds that: an endless reply would have more data every time.
  #lookAgain(until: number): void {
    const [since, progress] = [this.#since, this.#progress()];
    setImmediate(() => {
      if (this.#timeout === 0) return;
      if (this.#since !== since) this.#arm();
      else if (this.#progress() !== progress && performance.now() < until) this.#lookAgain(until);
      else this.#onPassed(this.#timeout);
    });
  }
}
