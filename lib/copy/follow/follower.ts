import { ClusterError, messageOf } from '../../errors.ts';
import { eitherSignal } from '../../nodes/abort.ts';
import { DONE, pause, waitUntil } from '../../nodes/wait-until.ts';
import { compareSides } from '../compare/compare-sides.ts';
import { DifferenceTally } from '../compare/difference-tally.ts';
import { Side } from '../compare/side.ts';
import { importFrom } from '../import-source.ts';
import { type KeySource, lookAgain } from '../key-source.ts';
import { Owners } from '../owners.ts';
import { lossesOf, stateOf, type TargetState } from '../target-steadiness.ts';
import { ChangedKeys } from './changed-keys.ts';
import { ChangeCopier } from './copy-changed.ts';
import { copyEveryKey } from './first-copy.ts';
import type { FollowScene } from './follow-scene.ts';
import type { Change } from './key-positions.ts';
import { isPassing } from './passing.ts';
import { ProgressTeller } from './progress-teller.ts';
import { SourceStreams } from './source-streams.ts';
import { untilStreaming, watchSource } from './watch-source.ts';

const PAUSE_MS = 50;
/** How often the target is looked at. */
const LOOK_MS = 1000;
/** A comparison that failed because slots were moving is made again after this time. */
const AGAIN_MS = 1000;
/** Time between two comparisons where streams are refused: as long as the first took, but not less. */
const LEAST_BETWEEN_MS = 1000;

/**
 * Makes a cluster equal to its source, and keeps it so: copies every key, reads the replication streams of the source for the names of
 * keys that change, and copies the present value of each. If changes may have been missed, every key is compared, and what differs is
 * copied: after a cut that no backlog covers, FLUSHALL, a script that is replicated as such, or more changes than names can be held.
 * Without streams that is done over and over.
 */
export class Follower {
  readonly scene: FollowScene;
  readonly changed: ChangedKeys = new ChangedKeys();
  readonly copier: ChangeCopier;
  readonly streams: SourceStreams;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #sourceOwners: Owners;
  readonly #targetOwners: Owners;
  readonly #started: number = performance.now();
  readonly #places: ReadonlyMap<number, number>;
  readonly #progress: ProgressTeller;
  /** Why every key has to be compared; undefined if it does not. */
  #gap: string | undefined;
  /** When the last comparison began that was carried through. */
  #comparedAt = 0;
  #compareAgainAt = 0;
  #isCopied = false;
  #targetState: TargetState | undefined;

  constructor(given: FollowScene) {
    const signal = eitherSignal(given.target.context.signal, this.#stop.signal);
    const stoppable = (side: KeySource): KeySource => ({ ...side, context: { ...side.context, signal } });
    this.#signal = signal;
    this.scene = { ...given, source: stoppable(given.source), target: stoppable(given.target) };
    const { scene } = this;
    const { source, target, formats } = scene;
    this.#places = new Map(scene.databases.map(({ db, to }) => [db, to]));
    this.#sourceOwners = new Owners(source.context, source.address);
    this.#targetOwners = new Owners(target.context, target.address);
    this.copier = new ChangeCopier(
      {
        source: source.context,
        sourceOwners: this.#sourceOwners,
        target: target.context,
        targetOwners: this.#targetOwners,
        databaseFor: (db) => this.#databaseFor(db),
        formats,
      },
      this.changed,
    );
    const handlers = {
      onChange: (change: Change, db: number, node: string) => this.#onChange(change, db, node),
      onGap: (node: string, reason: string) => this.#onGap(node, reason),
      onRefused: (node: string, reason: Error) => this.#onRefused(node, reason),
    };
    this.streams = new SourceStreams(source.context, this.#sourceOwners, handlers, scene.isOneDatabase);
    this.#progress = new ProgressTeller(target.context, source.name);
    const { account } = target.context;
    account.behind = () => this.behind;
  }

  /** Changed keys that are not copied yet, and for how long. */
  get behind(): { readonly keys: number; readonly ms: number } {
    const now = performance.now();
    const isUnknown = this.hasGap || this.streams.isRefused;
    const unknownMs = isUnknown ? now - (this.#comparedAt || this.#started) : 0;
    const cutMs = now - (this.streams.cutSince ?? now);
    return { keys: this.changed.size, ms: Math.round(Math.max(unknownMs, cutMs, this.changed.behindMs)) };
  }

  /** True if nothing is known to differ but keys that have just changed. */
  get isCaughtUp(): boolean {
    return this.#isCopied && !this.hasGap && this.streams.cutSince === undefined;
  }

  /** True if changes may have been missed, and all keys have yet to be compared. */
  get hasGap(): boolean {
    return this.#gap !== undefined || this.changed.isFull;
  }

  /** Follows until the work is done, and resolves to its result. Rejects with the reason of the context's signal. */
  async run<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const all = [
      this.#copyAndFollow(work),
      this.lookAtTarget().then(() => this.copier.run(this.#signal)),
      this.#watchTarget(),
      watchSource(this.streams, this.scene.source.context),
    ];
    try {
      return await Promise.race(all);
    } finally {
      this.#stop.abort(new Error('it is not followed any more'));
      this.streams.close();
      await Promise.allSettled(all);
    }
  }

  async #copyAndFollow<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    await untilStreaming(this.streams, this.scene.target.context);
    // What was before is copied now.
    this.#gap = undefined;
    await this.#copyAll();
    this.#isCopied = true;
    if (this.scene.hasKeys) this.#gap ??= 'the cluster has keys that the source may not have';
    this.#comparedAt = performance.now();
    return work(this.#signal);
  }

  /**
   * All keys are compared if masters of the target may have lost some since it was last looked at. Resolves to the names of those that do not
   * answer.
   */
  async lookAtTarget(): Promise<readonly string[]> {
    const { context } = this.scene.target;
    const before = this.#targetState;
    const now = await stateOf(context, this.#targetOwners, before);
    this.#targetState = now;
    for (const { node, message } of before ? lossesOf(context, before, now) : []) this.#onGap(node, message);
    return now.silent;
  }

  async #watchTarget(): Promise<never> {
    for (;;) {
      await pause(LOOK_MS, this.#signal);
      await this.lookAtTarget().catch((error: unknown) => {
        // Whoever writes to it waits for it.
        if (!isPassing(error)) throw error;
      });
    }
  }

  async #copyAll(): Promise<void> {
    try {
      await copyEveryKey(this.scene, {
        changed: this.changed,
        copier: this.copier,
        room: () => this.#room(),
      });
    } catch (error) {
      if (this.#signal.aborted || !isPassing(error)) throw error;
      this.#gap ??= messageOf(error);
    }
  }

  #databaseFor(db: number): number {
    return this.#places.get(db) ?? 0;
  }

  /** Brings the target closer to the source: compares if that is due, else waits a moment. */
  async step(): Promise<void> {
    const signal = this.#signal;
    signal.throwIfAborted();
    const isTime = this.streams.isRefused && performance.now() >= this.#compareAgainAt;
    if (this.hasGap || (isTime && this.changed.size === 0)) await this.compare();
    this.#tell();
    await pause(PAUSE_MS, signal);
    signal.throwIfAborted();
  }

  /** Looks for keys that differ, which are then copied, unless slots of either side keep moving: then that is still due. */
  async compare(): Promise<boolean> {
    const began = performance.now();
    const reason = this.#gap;
    this.#gap = undefined;
    this.changed.takeFull();
    try {
      await this.#compareAll();
      this.#comparedAt = began;
      const now = performance.now();
      this.#compareAgainAt = now + Math.max(LEAST_BETWEEN_MS, now - began);
      return true;
    } catch (error) {
      if (this.#signal.aborted || !isPassing(error)) throw error;
      this.#gap = reason ?? messageOf(error);
      await pause(AGAIN_MS, this.#signal);
      return false;
    }
  }

  async #compareAll(): Promise<void> {
    const [one, other] = await this.sides();
    const tally = new DifferenceTally(this.scene.target.context, 0, ({ db, key }) =>
      this.changed.add(db, key),
    );
    await compareSides(one, other, {
      databases: this.scene.databases,
      rounds: 1,
      tally,
      admit: () => this.#room(),
    });
  }

  /** Both sides as they are now, to compare keys. */
  async sides(): Promise<readonly [Side, Side]> {
    const [source, target] = await this.sources();
    return Promise.all([Side.of(source), Side.of(target)]);
  }

  /** The same, to ask other things: masters may have failed over since the first look. */
  async sources(): Promise<readonly [KeySource, KeySource]> {
    const { source, target } = this.scene;
    const again = async (side: KeySource): Promise<KeySource> =>
      side.view ? { ...side, view: await lookAgain(side, side.view, importFrom(side.name)) } : side;
    return Promise.all([again(source), again(target)]);
  }

  // A scan is slower than a stream may be: it leaves room for that.
  async #room(): Promise<void> {
    this.#tell();
    const wait = { what: 'changed keys to be copied', pauseMs: PAUSE_MS, signal: this.#signal };
    await waitUntil(wait, () => (this.changed.isHalfFull ? { missing: [] } : DONE));
  }

  #onChange(change: Change, db: number, node: string): void {
    if (change.what === 'any-key') this.#onGap(node, `${change.by} may have changed any of its keys`);
    if (change.what !== 'keys') return;
    this.#addAll(db, change.keys);
    if (change.also) this.#addAll(change.also.db, change.also.keys);
  }

  #addAll(db: number, keys: readonly string[]): void {
    if (!this.#places.has(db)) {
      if (this.scene.isEveryDatabase) this.#stop.abort(databaseLacking(this.scene.source.name, db));
      return;
    }
    for (const key of keys) this.changed.add(db, key);
  }

  #onGap(node: string, reason: string): void {
    if (this.#gap === undefined && this.#isCopied)
      this.scene.target.context.emit({ type: 'follow-gap', node, reason });
    this.#gap ??= `${node}: ${reason}`;
  }

  #onRefused(node: string, reason: Error): void {
    const message = `${node} does not send its changes (${reason.message}): all keys are compared over and over instead`;
    this.scene.target.context.emit({ type: 'warning', node, message });
  }

  #tell(): void {
    if (!this.#isCopied) return;
    this.#progress.tell(() => ({
      by: this.streams.isRefused ? 'comparing' : 'streams',
      behind: this.behind,
      seen: this.changed.seen,
      done: this.copier.done,
    }));
  }
}

function databaseLacking(name: string, db: number): Error {
  return new ClusterError(
    'DATABASES_DIFFER',
    `Cannot follow ${name}: the cluster does not have its database ${db}`,
    {
      address: name,
      hint: 'What was copied before is kept',
    },
  );
}
