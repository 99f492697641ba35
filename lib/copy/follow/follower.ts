import { ConnectionError, type ReplyError } from '../../../resp/index.ts';
import { ClusterError, messageOf } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import type { ClusterView } from '../../model/view.ts';
import { eitherSignal } from '../../nodes/abort.ts';
import { DONE, pause, waitUntil } from '../../nodes/wait-until.ts';
import { compareSides } from '../compare/compare-sides.ts';
import { DifferenceTally } from '../compare/difference-tally.ts';
import { Side } from '../compare/side.ts';
import { convertKeys } from '../conversion.ts';
import type { CopyTally } from '../copy-tally.ts';
import { importFrom } from '../import-source.ts';
import { type KeySource, lookAgain } from '../key-source.ts';
import { Owners } from '../owners.ts';
import { readKeys } from '../read-keys.ts';
import { type KeyLot, scanKeys } from '../scan-keys.ts';
import { writeKeys } from '../write-keys.ts';
import { ChangedKeys } from './changed-keys.ts';
import { ChangeCopier } from './copy-changed.ts';
import type { Change } from './key-positions.ts';
import { SourceStreams } from './source-streams.ts';

/** How often the source is looked at. */
const LOOK_MS = 1000;
const PROGRESS_MS = 500;
const PAUSE_MS = 50;
/** A comparison that failed because slots were moving is made again after this time. */
const AGAIN_MS = 1000;
/** Time between two comparisons where streams are refused: as long as the first took, but not less. */
const LEAST_BETWEEN_MS = 1000;
/** Failures of a comparison that pass: slots move, or a master fails over. */
const PASSING_CODES: ReadonlySet<string> = new Set([
  'NOT_REACHED',
  'OPEN_SLOT',
  'SLOTS_UNCOVERED',
  'NODES_DISAGREE',
  'NODE_UNREACHABLE',
]);

/** What is followed, and where its changes go. */
export interface FollowScene {
  readonly source: KeySource;
  readonly target: KeySource;
  /** Databases of the source, with those of the target. */
  readonly databases: readonly { readonly db: number; readonly to: number }[];
  /** True if no database of the source may be left out. */
  readonly isEveryDatabase: boolean;
  /** True if the source has one database. */
  readonly isOneDatabase: boolean;
  /** RDB versions that the target reads. */
  readonly formats: readonly number[];
  /** The target has keys: what only it has is deleted. */
  readonly hasKeys: boolean;
  readonly tally: CopyTally;
}

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
  /** Why every key has to be compared; undefined if it does not. */
  #gap: string | undefined;
  /** When the last comparison began that was carried through. */
  #comparedAt = 0;
  #compareAgainAt = 0;
  #isCopied = false;
  #toldAt = 0;
  #seenBefore = { changes: 0, at: performance.now() };

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
        databaseFor: (db) => this.#places.get(db) ?? 0,
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
      this.#targetOwners.refresh().then(() => this.copier.run(this.#signal)),
      this.#watch(),
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
    await this.#untilStreaming();
    // What was before is copied now.
    this.#gap = undefined;
    await this.#copyAll();
    this.#isCopied = true;
    if (this.scene.hasKeys) this.#gap ??= 'the cluster has keys that the source may not have';
    this.#comparedAt = performance.now();
    return work(this.#signal);
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
    const { source, target } = this.scene;
    const again = async (side: KeySource): Promise<Side> =>
      Side.of(side.view ? { ...side, view: await lookAgain(side, side.view, importFrom(side.name)) } : side);
    return Promise.all([again(source), again(target)]);
  }

  // A scan is slower than a stream may be: it leaves room for that.
  async #room(): Promise<void> {
    this.#tell();
    const wait = { what: 'changed keys to be copied', pauseMs: PAUSE_MS, signal: this.#signal };
    await waitUntil(wait, () => (this.changed.isHalfFull ? { missing: [] } : DONE));
  }

  async #copyAll(): Promise<void> {
    const { source } = this.scene;
    try {
      await scanKeys(source, {
        what: importFrom(source.name),
        databases: [...this.#places.keys()],
        listing: {},
        visit: (lot) => this.#copyLot(lot),
      });
    } catch (error) {
      if (this.#signal.aborted || !isPassing(error)) throw error;
      this.#gap ??= messageOf(error);
    }
  }

  async #copyLot({ db, keys: names, reader, onElsewhere, isAgain }: KeyLot): Promise<void> {
    const { target, formats, tally } = this.scene;
    await this.#room();
    const lot = { db, keys: names };
    this.changed.hold(lot);
    try {
      const { keys, left } = convertKeys(await readKeys(reader, names, false, onElsewhere), formats);
      const to = this.#places.get(db) ?? 0;
      const written = await writeKeys(target.context, this.#targetOwners, keys, { db: to, replace: false });
      tally.add(written.restored, isAgain ? 0 : written.same.length, 0);
      this.copier.leave(db, [
        ...left,
        ...written.unread.map(({ key }) => ({ key, why: 'refused' as const })),
      ]);
      // An older value, or one that the streams have brought since.
      for (const { key } of written.conflicts) this.changed.add(db, key);
    } finally {
      this.changed.release(lot);
    }
  }

  async #untilStreaming(): Promise<void> {
    const { emit, settings } = this.scene.target.context;
    const what = 'the source to send its changes';
    await waitUntil(
      { what, timeoutMs: settings.agreeTimeout, pauseMs: PAUSE_MS, signal: this.#signal, emit },
      async () => {
        const view = await this.streams.refresh();
        if (this.streams.isRefused || this.streams.isWhole(view)) return DONE;
        return { missing: ['a master'], giveUp: () => unfollowed(view) };
      },
    );
  }

  async #watch(): Promise<never> {
    const { emit, settings } = this.scene.source.context;
    for (;;) {
      await pause(LOOK_MS, this.#signal);
      await waitUntil(
        {
          what: 'the source to answer',
          timeoutMs: settings.agreeTimeout,
          pauseMs: LOOK_MS,
          signal: this.#signal,
          emit,
        },
        async () => {
          try {
            await this.streams.refresh();
            return DONE;
          } catch (error) {
            if (!isPassing(error)) throw error;
            return { missing: [messageOf(error)], giveUp: () => error };
          }
        },
      );
    }
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
    const now = performance.now();
    if (!this.#isCopied || now - this.#toldAt < PROGRESS_MS) return;
    this.#toldAt = now;
    const { done } = this.copier;
    const { changes, at } = this.#seenBefore;
    this.#seenBefore = { changes: this.changed.seen, at: now };
    const { keys, ms } = this.behind;
    this.scene.target.context.emit({
      type: 'follow-progress',
      source: this.scene.source.name,
      by: this.streams.isRefused ? 'comparing' : 'streams',
      behindKeys: keys,
      behindMs: ms,
      changesPerSecond: Math.round((1000 * (this.changed.seen - changes)) / Math.max(1, now - at)),
      copied: done.keys,
      deleted: done.deleted,
      elapsedMs: now - this.#started,
    });
  }
}

function isPassing(error: unknown): error is Error {
  if (error instanceof ClusterError) return PASSING_CODES.has(error.code);
  return error instanceof ConnectionError || (error as Partial<ReplyError> | null)?.code === 'LOADING';
}

function unfollowed(view: ClusterView): Error {
  const name = formatAddress(view.seed);
  return new ClusterError('NODE_UNREACHABLE', `Cannot follow ${name}: a master does not send its changes`, {
    address: name,
    resumable: 'same-call',
  });
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
