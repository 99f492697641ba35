import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError, ReplyError } from '../../../resp/index.ts';
import type { Address } from '../../model/address.ts';
import type { Batch, BatchEnd, Lane } from './batch.ts';
import { fenceTarget } from './fence.ts';
import { Gate } from './gate.ts';
import { sizesOf } from './key-feed.ts';
import { isUnsettled, Leftovers } from './leftovers.ts';
import type { Link } from './link.ts';
import { cannotFence, cannotMigrate } from './migrate-errors.ts';

/** A batch is given up when it has failed for this long. */
const RETRY_FOR_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** A node that takes longer over PING is not asked for more. */
const PING_TIMEOUT_MS = 1000;
/**
 * MIGRATE's timeout for batches of small keys, of all that are under way together: a frozen target holds up the source for
 * each of them in turn, and must not for a node timeout.
 */
const BASE_TIMEOUT_MS = 2000;
/** A target that is well may take so long over a batch now and then. */
const LEAST_TIMEOUT_MS = 50;
/** Enough for an operator who is many batches away from the source. */
const MOST_LANES = 32;
/** What a node takes to restore a large key, at the least. */
const BYTES_PER_MS = 10_000;

/** What was done with a batch. */
export interface BatchDone {
  /** Keys that have left the source. */
  readonly gone: number;
  /** Milliseconds the last attempt held up the source. */
  readonly stallMs: number;
}

/** A batch as the mover is handed it. */
export interface MoveBatch extends Batch {
  /** Bytes of all keys, where they are known. */
  readonly bytes?: number;
  /**
   * True of a slot that this run has opened, its target being empty: then the source is the authority for every key it
   * holds, and what the target has of it is an older copy. In a slot that was found open nothing is replaced unless both
   * sides hold the same value.
   */
  readonly ours: boolean;
  /** How many batches may be under way at one time, this one among them. @default 1 */
  readonly lanes?: number;
}

/** How many batches may be under way at one time: each has its part of the time for which a frozen target holds up the source. */
export function mostLanes(migrateTimeout: number = BASE_TIMEOUT_MS): number {
  return Math.max(1, Math.min(MOST_LANES, Math.floor(migrateTimeout / LEAST_TIMEOUT_MS)));
}

/** Moves batches of keys over one link, whatever becomes of the single MIGRATE. */
export class KeyMover {
  readonly leftovers: Leftovers;
  readonly #link: Link;
  readonly #gate: Gate;

  /** `gate`: of all who move keys to the same target. Where something has failed there, nothing else is under way beside it. */
  constructor(link: Link, gate: Gate = new Gate()) {
    this.#link = link;
    this.#gate = gate;
    this.leftovers = new Leftovers(link);
  }

  /** Resolves when none of the keys is on the source any more but those in conflict. Rejects with ClusterError `MIGRATE_FAILED`. */
  async move(lane: Lane, batch: MoveBatch): Promise<BatchDone> {
    const started = performance.now();
    let { keys, bytes } = batch;
    let [replace, gone, isRetry] = [false, 0, false];
    let mayBeCopied = !batch.ours;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      // What has failed may fail again, and takes its time then: nothing else is under way beside it.
      const options = { replace, timeoutMs: this.#timeoutFor(bytes, isRetry ? 1 : batch.lanes) };
      const send = (): Promise<BatchEnd> => lane.send({ ...batch, keys }, options);
      const end = await (isRetry ? this.#gate.alone(send) : this.#gate.beside(send));
      if (end.type === 'moved') return { gone: gone + end.gone, stallMs: end.stallMs };
      // A client has deleted one of the keys, or all: the others still go.
      if (end.type === 'refused' && isVanished(end.error)) {
        keys = await this.leftovers.withoutVanished(batch, keys, mayBeCopied, this.#timeoutFor());
        if (keys.length === 0) return { gone, stallMs: 0 };
        continue;
      }
      if (!isWorthRetrying(end.error)) throw cannotMigrate(this.#link, batch.slot, end.error);
      if (!isBusyKey(end.error)) this.#tellRetry(batch.slot, end.error);
      isRetry = true;
      // From here on a client may delete a key of which the target has a copy, up to the moment when it has gone.
      mayBeCopied ||= isUnsettled(end) || isBusyKey(end.error);
      let left: readonly string[] | undefined;
      while (left === undefined) {
        await this.#awaitBoth(batch.slot, { ...end, keys }, started, pause);
        left = await this.#settle(lane, batch, keys, end, mayBeCopied).catch(ifBroken);
      }
      gone += keys.length - left.length;
      keys = left;
      if (!batch.ours && isBusyKey(end.error))
        [keys, replace] = await this.leftovers.withoutConflicts(batch, left);
      else replace = batch.ours;
      if (keys.length === 0) return { gone, stallMs: 0 };
      bytes = (await sizesOf(this.#link, batch.db, keys)).reduce((sum, size) => sum + size, 0);
    }
  }

  // What is left to move, once it is certain that no older attempt goes on.
  async #settle(
    lane: Lane,
    batch: MoveBatch,
    keys: readonly string[],
    end: BatchEnd & { error: Error },
    mayBeCopied: boolean,
  ): Promise<readonly string[]> {
    if (!isUnsettled(end))
      return end.type === 'refused' ? keys : this.leftovers.left(batch, keys, end, mayBeCopied);
    return this.#gate.alone(async () => {
      try {
        await lane.fence();
        await fenceTarget(this.#link);
      } catch (error) {
        if (error instanceof ReplyError) throw cannotFence(this.#link, batch.slot, error);
        throw error;
      }
      return this.leftovers.left(batch, keys, end, mayBeCopied);
    });
  }

  // While the target is frozen a MIGRATE would only hold up the source, and all its clients, until it times out.
  async #awaitBoth(
    slot: number,
    failed: BatchEnd & { readonly error: Error; readonly keys: readonly string[] },
    started: number,
    pause: number,
  ): Promise<void> {
    const { sourceAddress, targetAddress } = this.#link;
    const { error, keys } = failed;
    do {
      if (performance.now() - started > RETRY_FOR_MS) {
        throw cannotMigrate(this.#link, slot, error, isUnsettled(failed) ? keys : []);
      }
      if (!isBusyKey(error)) await sleep(pause);
    } while (!(await this.#answers(sourceAddress)) || !(await this.#answers(targetAddress)));
  }

  async #answers(address: Address): Promise<boolean> {
    try {
      await this.#link.context.connections.ask(address, ['PING'], { timeout: PING_TIMEOUT_MS });
      return true;
    } catch (error) {
      return error instanceof ReplyError;
    }
  }

  #timeoutFor(bytes = 0, lanes = 1): number {
    const { migrateTimeout: given } = this.#link.context.options;
    const least = Math.min(LEAST_TIMEOUT_MS, given ?? LEAST_TIMEOUT_MS);
    const share = Math.max(least, Math.ceil((given ?? BASE_TIMEOUT_MS) / lanes));
    return given === undefined ? share + Math.ceil(bytes / BYTES_PER_MS) : share;
  }

  #tellRetry(slot: number, { message }: Error): void {
    const { context, source } = this.#link;
    context.emit({ type: 'retry', node: source.address, slot, reason: message });
  }
}

// A node that has gone again meanwhile, or has come back and does not serve yet, is waited for again: to end here would
// leave it to the next run to tell what was moved from what was deleted, and that it cannot.
function ifBroken(error: unknown): undefined {
  if (!(error instanceof Error) || !isWorthRetrying(error)) throw error;
}

// Some of the keys of a transaction are not there, or none is.
function isVanished({ code, message }: ReplyError): boolean {
  return code === 'ASK' || (code === 'TRYAGAIN' && message.includes('Multiple keys'));
}

function isBusyKey(error: Error): boolean {
  return error instanceof ReplyError && error.message.includes('BUSYKEY');
}

// What passes by itself: the target is not there, is still loading or does not serve yet, or the answer was lost.
function isWorthRetrying(error: Error): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof ReplyError)) return false;
  return /IOERR|BUSYKEY|LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|NOREPLICAS/.test(error.message);
}
