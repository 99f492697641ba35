import { isAbort, type MovedSoFar, NOTHING_SO_FAR, noticedAt, type Resumable } from '../errors.ts';
import type { Behind } from '../events.ts';
import type { Next } from '../model/next.ts';
import { expandSlots } from '../model/slot.ts';
import type { ClusterView } from '../model/view.ts';
import type { Plan, Step } from '../plan/plan.ts';

/** What was moved so far. */
type Moved = Pick<MovedSoFar, 'slots' | 'keys' | 'bytes'>;

/** What the end of an earlier run's moves has moved. */
interface Finished extends Moved {
  readonly longestStallMs: number;
  readonly keysPerSecond: number;
}

/** What an operation has done so far, to report it if it ends early. */
export class Account {
  /** The cluster as it was last seen. */
  view: ClusterView | undefined;
  /** When the caller's signal aborted, by `performance.now()`. */
  abortedAt: number | undefined;
  /** True if the operation changes nothing, so an aborted call has nothing to add to the signal's reason. */
  onlyLooks = false;
  /** What continues the operation once slots have moved. */
  onceMoved: Exclude<Resumable, 'no'> = 'same-call';
  /** Warnings that say the same of every node, and are given once. */
  readonly warned: Set<string> = new Set();
  /** Addresses of nodes whose id no member can have banned any more. */
  readonly unbanned: Set<string> = new Set();
  /** Addresses of nodes that were found fit to become members. */
  readonly admitted: Set<string> = new Set();
  /** Ids of replicas that hang: their links to their masters were ended. */
  readonly hung: Set<string> = new Set();
  /** Addresses of replicas that were asked to replace their masters, and have not been seen to. */
  readonly promotions: Set<string> = new Set();
  /** Replicas that have replaced their masters. */
  failovers = 0;
  /** Of those: the longest time from the request to the look at which the others agreed. */
  withoutMasterMs = 0;
  /** Addresses of nodes whose servers were restarted. */
  readonly restarted: Set<string> = new Set();
  /** What continues the operation, if the same call would do more than that. */
  again: Next | undefined;
  /** How far a copy that follows its source is behind it; undefined for any other operation. */
  behind: (() => Behind) | undefined;
  /** Moves of an earlier run that were finished first, until a result includes them. */
  finished: Finished | undefined;
  /** Steps of plans, other than moves, that were begun, and those that are done. */
  readonly begun: Set<Step> = new Set();
  readonly done: Set<Step> = new Set();
  /** The plans that were begun, in order. */
  readonly plans: Plan[] = [];
  #moved: () => Moved = () => NOTHING_SO_FAR;
  #before = 0;
  #copied = { keys: 0, bytes: 0 };

  /** A plan is now carried out; `moved` returns what it has moved. */
  begin(plan: Plan, moved: () => Moved): void {
    this.#before += this.#moved().slots;
    this.plans.push(plan);
    this.#moved = moved;
  }

  /** A replica is asked to replace its master. */
  asked(replica: string): void {
    this.promotions.add(replica);
  }

  /** It has replaced it. */
  answered(replica: string, tookMs = 0): void {
    this.promotions.delete(replica);
    this.failovers += 1;
    this.withoutMasterMs = Math.max(this.withoutMasterMs, tookMs);
  }

  /** Keys were written that are not part of a plan. */
  copied(keys: number, bytes: number): void {
    this.#copied = { keys: this.#copied.keys + keys, bytes: this.#copied.bytes + bytes };
  }

  /** The plan that was begun last. */
  get plan(): Plan | undefined {
    return this.plans.at(-1);
  }

  /** By slot: the id of the node that the plan moves it to. */
  get targets(): ReadonlyMap<number, string> {
    return new Map(
      (this.plan?.steps ?? []).flatMap((step) =>
        step.type === 'move-slots'
          ? expandSlots(step.slots).map((slot): [number, string] => [slot, step.target.id])
          : [],
      ),
    );
  }

  /** What the plan has moved, or what was copied. */
  get moved(): Moved {
    if (!this.plan) return { slots: 0, ...this.#copied };
    const { slots, keys, bytes } = this.#moved();
    return { slots, keys, bytes };
  }

  /** Slots that earlier plans have moved. */
  get movedBefore(): number {
    return this.#before;
  }

  /** True of a failure that was noticed when the signal had aborted, such as a node that falls silent as it is asked to close a slot. */
  isAfterAbort(failed: unknown, signal: AbortSignal | undefined): boolean {
    // An operation within this one has said so already.
    if (isAbort(failed, signal)) return false;
    return (noticedAt(failed) ?? Number.NEGATIVE_INFINITY) >= (this.abortedAt ?? Number.POSITIVE_INFINITY);
  }

  /** True if anything may have changed. */
  get hasBegun(): boolean {
    return this.plans.length > 0 || this.#copied.keys > 0;
  }
}
