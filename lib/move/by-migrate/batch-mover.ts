import { ReplyError } from '../../../resp/index.ts';
import { pause } from '../../nodes/wait-until.ts';
import { askAbout, type Ends, whoAnswers } from '../ends.ts';
import { SharedLock } from '../shared-lock.ts';
import {
  type Again,
  afterEnd,
  type BatchState,
  isBusyKey,
  isWorthRetrying,
  sendingIn,
} from './after-failure.ts';
import type { Batch, BatchEnd, Lane } from './batch.ts';
import type { Known } from './conflict.ts';
import { fenceTarget } from './fence.ts';
import { sizesOf } from './key-feed.ts';
import { Leftovers } from './leftovers.ts';
import { cannotFence, cannotMigrate, endReplaced } from './migrate-errors.ts';
import type { TargetProof } from './prove-target.ts';
import type { ReplaceAuthority } from './replace-authority.ts';
import { TransferCount } from './transfer-count.ts';

/** Give up a batch that has failed for this long. */
const RETRY_FOR_MS = 30_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** A healthy target may take this long over a batch now and then. */
const LEAST_TIMEOUT_MS = 50;
/** Enough for an operator whose distance to the source spans many batches. */
const MOST_LANES = 32;
/** The least time that a node takes to restore a large key. */
const BYTES_PER_MS = 10_000;

/** The outcome of a batch. */
export interface BatchDone {
  /** Keys that have left the source. */
  readonly gone: number;
  /** Milliseconds that the last attempt blocked the source. */
  readonly stallMs: number;
}

/** A batch as the mover receives it. */
export interface MoveBatch extends Batch {
  /** Bytes of all keys, if they are known. */
  readonly bytes?: number;
  /** How many batches may be in flight at once, including this one. @default 1 */
  readonly lanes?: number;
}

/** How long a batch has been tried, and how long to wait before the next attempt. */
interface Trying {
  readonly started: number;
  readonly pauseMs: number;
}

/** How many batches may be in flight at once. They share the time for which a frozen target may block the source. */
export function mostLanes(migrateTimeout: number): number {
  return Math.max(1, Math.min(MOST_LANES, Math.floor(migrateTimeout / LEAST_TIMEOUT_MS)));
}

/**
 * Moves batches of keys from one end of a move to the other, whatever happens to a single MIGRATE. after-failure.ts decides what
 * comes next, and this class does it. Rules 19, 20 and 26 (docs/moving-slots.md).
 */
export class BatchMover {
  readonly leftovers: Leftovers;
  readonly #ends: Ends;
  readonly #authority: ReplaceAuthority;
  readonly #lock: SharedLock;
  readonly #proof: TargetProof;
  readonly #transfers: TransferCount;
  #last: Batch | undefined;

  /** `lock` is shared by all that move keys to the same target. After a failure there, nothing else runs beside the batch. */
  constructor(
    ends: Ends,
    authority: ReplaceAuthority,
    proof: TargetProof,
    lock: SharedLock = new SharedLock(),
    transfers: TransferCount = new TransferCount(),
  ) {
    this.#transfers = transfers;
    this.#proof = proof;
    this.#ends = ends;
    this.#authority = authority;
    this.#lock = lock;
    this.leftovers = new Leftovers(ends);
  }

  /** Keys that were moved last. */
  get last(): Batch | undefined {
    return this.#last;
  }

  /**
   * Resolves once the source holds none of the keys but those in conflict. Resolves to undefined, with nothing sent, if the batch
   * before it on the lane failed. Rejects with ClusterError `MIGRATE_FAILED`.
   */
  async move(lane: Lane, batch: MoveBatch): Promise<BatchDone | undefined> {
    const started = performance.now();
    const isGranted = this.#authority.isGranted(batch.slot);
    let known: Known = { overwrites: this.#authority.overwrites(batch.slot) };
    let state: BatchState = 'new';
    let { keys, bytes } = batch;
    let gone = 0;
    /** The error of the first attempt after which keys may have reached the target late: later attempts may find them there. */
    let unanswered: Error | undefined;
    if (!this.#proof.isGiven) {
      const given = await this.#proof.giveOpen(batch);
      if (given.type === 'copied') {
        state = 'copied';
        known = { ...known, copy: given.copy };
        // At once: if this run is killed while the copy is there, a key that is then deleted on the source comes back.
        if (!isGranted) ({ keys, state } = await this.leftovers.withoutConflicts(batch, known));
      }
      // Of keys that the target holds already only equal copies leave the source: none is lost, wherever they go.
      if (given.type === 'held')
        ({ keys, state } = await this.leftovers.withoutConflicts({ ...batch, keys: given.keys }, known));
      if (keys.length === 0) return { gone, stallMs: 0 };
    }
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const { replace, alone } = sendingIn(state, isGranted);
      const timeoutMs = this.#timeoutFor(bytes, alone ? 1 : batch.lanes);
      const options = { replace, timeoutMs, mayHaveCopies: state !== 'new' || !isGranted };
      const send = (): Promise<BatchEnd> => lane.send({ ...batch, keys }, options);
      const end = await (alone ? this.#lock.exclusive(send) : this.#lock.shared(send));
      if (end.type === 'moved' || end.type === 'failed')
        this.#transfers.note(
          this.#ends,
          end.isLoose ? await this.#arrived({ ...batch, keys }, end.gone) : end.gone,
        );
      if (end.type === 'moved') this.#last = { ...batch, keys };
      const step = afterEnd(end, state, isGranted);
      if (step.do === 'hand-back') return undefined;
      if (step.do === 'finish') return { gone: gone + step.gone, stallMs: step.stallMs };
      if (step.do === 'give-up')
        throw cannotMigrate(this.#ends, batch.slot, step.error, step.isUnsettled ? keys : []);
      if (step.fence) unanswered ??= step.error;
      const error = (isBusyKey(step.error) && unanswered) || step.error;
      const left = await this.#settle(lane, { ...batch, keys }, { ...step, error }, { started, pauseMs });
      const hasFailed = step.wait !== 'no';
      if (hasFailed) gone += keys.length - left.length;
      ({ keys, state } = step.compare
        ? await this.leftovers.withoutConflicts({ ...batch, keys: left }, known)
        : { keys: left, state: step.state });
      if (keys.length === 0) return { gone, stallMs: 0 };
      if (hasFailed) bytes = (await sizesOf(this.#ends, batch.db, keys)).reduce((sum, size) => sum + size, 0);
    }
  }

  /** Of keys that left the source or were deleted there: so many have arrived; or all, if none has, which is found out when all are counted. */
  async #arrived({ db, keys }: Batch, gone: number): Promise<number> {
    const found = await askAbout(this.#ends, 'target', db, ['EXISTS'], keys).catch(() => []);
    const there = found.filter((reply) => reply === 1).length;
    return there === 0 ? gone : Math.min(gone, there);
  }

  // What is left to move, once it is certain that no earlier attempt is still running.
  async #settle(lane: Lane, batch: Batch, step: Again, since: Trying): Promise<readonly string[]> {
    if (step.wait === 'no') {
      const left = await this.#look(lane, batch, step).catch(ifBroken);
      if (left) return left;
    }
    if (step.wait === 'after-pause') this.#tellRetry(batch.slot, step.error);
    const wait = step.wait === 'no' ? 'after-pause' : step.wait;
    for (;;) {
      await this.#awaitBoth(batch, { ...step, wait }, since);
      const left = await this.#look(lane, batch, step).catch(ifBroken);
      if (left) return left;
    }
  }

  async #look(lane: Lane, batch: Batch, step: Again): Promise<readonly string[]> {
    if (!step.look) return batch.keys;
    const look = () => this.leftovers.left(batch, step, this.#timeoutFor());
    if (!step.fence) return look();
    return this.#lock.exclusive(async () => {
      await this.#fence(lane, batch.slot);
      return look();
    });
  }

  async #fence(lane: Lane, slot: number): Promise<void> {
    try {
      await lane.fence();
      await fenceTarget(this.#ends);
    } catch (error) {
      if (error instanceof ReplyError) throw cannotFence(this.#ends, slot, error);
      throw error;
    }
  }

  // While the target is frozen, a MIGRATE would only block the source, and all its clients, until it times out. A server that took the
  // address of an end would take keys as well.
  async #awaitBoth({ slot, keys }: Batch, step: Again, { started, pauseMs }: Trying): Promise<void> {
    for (;;) {
      if (performance.now() - started > RETRY_FOR_MS) {
        throw cannotMigrate(this.#ends, slot, step.error, step.fence ? keys : []);
      }
      if (step.wait === 'after-pause') await pause(pauseMs);
      const { source, target } = await whoAnswers(this.#ends);
      const replaced = target === 'another' ? 'target' : source === 'another' ? 'source' : undefined;
      if (replaced) throw endReplaced(this.#ends, replaced, this.#transfers.unproven);
      if (source === 'itself' && target === 'itself') return;
    }
  }

  #timeoutFor(bytes = 0, lanes = 1): number {
    // A frozen target blocks the source for each batch in flight in turn, so they share the time.
    const { migrateTimeout, migrateTimeoutGrows } = this.#ends.context.settings;
    const share = Math.max(Math.min(LEAST_TIMEOUT_MS, migrateTimeout), Math.ceil(migrateTimeout / lanes));
    return migrateTimeoutGrows ? share + Math.ceil(bytes / BYTES_PER_MS) : share;
  }

  #tellRetry(slot: number, { message }: Error): void {
    const { context, source } = this.#ends;
    context.emit({ type: 'retry', node: source.address, slot, reason: message });
  }
}

// Wait again for a node that has gone again, or is back but does not serve yet. If the move ended here, the next run could not
// tell keys that were moved from keys that were deleted.
function ifBroken(error: unknown): undefined {
  if (!(error instanceof Error) || !isWorthRetrying(error)) throw error;
}
