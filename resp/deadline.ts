/** The longest that a timer can wait. */
export const MAX_TIMER: number = 2 ** 31 - 1;

/**
 * One timer for a row of waits, of which only the first counts. It is not set anew for each, which would cost more
 * than what is waited for, but looks when it fires at how long there is still to go. It keeps no process alive:
 * the socket does while something is due.
 */
export class Deadline {
  readonly #progress: () => number;
  readonly #onPassed: (timeout: number) => void;
  #since = 0;
  #timeout = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerDue = 0;

  /** `progress` is any number that grows as long as the peer is heard. */
  constructor(progress: () => number, onPassed: (timeout: number) => void) {
    this.#progress = progress;
    this.#onPassed = onPassed;
  }

  /** Counts anew, `timeout` milliseconds from now; 0 for no limit. */
  start(timeout: number): void {
    this.#since = performance.now();
    this.#timeout = timeout;
    this.#arm();
  }

  /** Counts no more, until the next start. */
  pause(): void {
    this.#timeout = 0;
  }

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
    if (this.#since + this.#timeout > performance.now()) {
      this.#arm();
      return;
    }
    // A process that was busy or asleep has not looked at its sockets yet: let it do so before giving up.
    const since = this.#since;
    const progress = this.#progress();
    setImmediate(() => {
      if (this.#since !== since || this.#progress() !== progress) this.#onTimer();
      else if (this.#timeout !== 0) this.#onPassed(this.#timeout);
    });
  }
}
