import type { Request } from './request.ts';

/** Removed requests are dropped from the array in bulk, once there are more than this. */
const MOST_REMOVED = 1024;

/** The requests of a connection, oldest first: those that wait for replies, then those not completely written. */
export class RequestQueue {
  // Requests before #head are removed; those from #unsent on are not completely written.
  #requests: (Request | undefined)[] = [];
  #head = 0;
  #unsent = 0;

  /** The request that the next reply belongs to; undefined if the queue is empty. */
  get head(): Request | undefined {
    return this.#requests[this.#head];
  }

  /** The first request that is not completely written. */
  get unsent(): Request | undefined {
    return this.#requests[this.#unsent];
  }

  /** True if no caller waits for a reply. Replies to abandoned requests may still be due. */
  get isIdle(): boolean {
    return this.#requests.every((request) => request === undefined || request.settled);
  }

  push(request: Request): void {
    this.#requests.push(request);
  }

  /** Marks the first unsent request as completely written. */
  markSent(): void {
    this.#unsent++;
  }

  /** Removes the head and returns the new one. */
  shift(): Request | undefined {
    this.#requests[this.#head++] = undefined;
    if (this.#unsent < this.#head) this.#unsent = this.#head;
    if (this.#head === this.#requests.length) {
      this.clear();
    } else if (this.#head > MOST_REMOVED && this.#head * 2 > this.#requests.length) {
      this.#requests = this.#requests.slice(this.#head);
      this.#unsent -= this.#head;
      this.#head = 0;
    }
    return this.#requests[this.#head];
  }

  /** Removes an unsent request. */
  remove(request: Request): void {
    const index = this.#requests.indexOf(request, this.#unsent);
    if (index === this.#head) this.shift();
    else if (index !== -1) this.#requests.splice(index, 1);
  }

  /** Removes all requests and returns them. */
  clear(): Request[] {
    const removed = this.#requests.slice(this.#head) as Request[];
    this.#requests = [];
    this.#head = 0;
    this.#unsent = 0;
    return removed;
  }
}
