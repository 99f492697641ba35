import { type Command, type Connection, ConnectionError, ReplyError } from '../../../resp/index.ts';
import type { Address } from '../../model/address.ts';
import { unlessAborted } from '../../nodes/abort.ts';
import type { Context } from '../../nodes/context.ts';
import { pause } from '../../nodes/wait-until.ts';
import type { LeftKey } from '../conversion.ts';
import { type Copied, copyKeys } from '../copy-lot.ts';
import type { Owners } from '../owners.ts';
import type { Destination } from '../parts/write-in-parts.ts';
import { type Lot, lots } from '../read-keys.ts';
import type { KeyReader } from '../scan-keys.ts';
import { bytesOf, PASSING, type StoredKey } from '../write-keys.ts';
import type { ChangedKeys, ChangedLot } from './changed-keys.ts';

/** Copies that run at once, each over connections of its own. */
const WORKERS = 4;
/** Names that are taken at once. */
const TAKEN_AT_ONCE = 250;
/** For changes of one key to become one copy. */
const PAUSE_MS = 10;
/** A source that does not serve a key is asked again after this time. */
const ELSEWHERE_MS = 100;
/** Lanes 0 to 5 are for looking and for scans. */
const FIRST_LANE = 8;
/** After a value of this length, so many keys are measured before they are read, not to read many such at once. */
const [LARGE_BYTES, MEASURED] = [64 * 1024, 100_000];
/** Most keys that are named because the target cannot hold them. */
const MOST_NAMED = 1000;

/** Where changed keys come from and where they go. */
export interface CopyScene {
  readonly source: Context;
  readonly sourceOwners: Owners;
  readonly target: Context;
  readonly targetOwners: Owners;
  /** The database of the target for each of the source. Throws if it has none. */
  readonly databaseFor: (db: number) => number;
  /** RDB versions that the target reads. */
  readonly formats: readonly number[];
}

/** Copies the present value of changed keys, and deletes those that are gone. */
export class ChangeCopier {
  readonly done = { keys: 0, deleted: 0, bytes: 0, converted: 0 };
  readonly #scene: CopyScene;
  readonly #changed: ChangedKeys;
  readonly #left = new Map<string, LeftKey>();
  readonly #unfinished = new Set<string>();
  readonly #selected = new WeakMap<Connection, number>();
  /** Keys that are still to be measured. */
  #measured = 0;
  #onCopied: ((lot: ChangedLot) => void) | undefined;

  constructor(scene: CopyScene, changed: ChangedKeys) {
    this.#scene = scene;
    this.#changed = changed;
  }

  /** The first thousand keys that the target cannot hold, as they are now. */
  get left(): LeftKey[] {
    return [...this.#left.values()];
  }

  /** From now on, also calls this with keys that were copied. */
  set onCopied(take: ((lot: ChangedLot) => void) | undefined) {
    this.#onCopied = take;
  }

  /** Copies until the signal aborts: then it rejects with its reason. */
  async run(signal: AbortSignal): Promise<never> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const work = async (lane: number): Promise<never> => {
      for (;;) {
        either.throwIfAborted();
        if (!(await this.#copySome(lane, either))) await pause(PAUSE_MS, either);
      }
    };
    const workers = Array.from({ length: WORKERS }, (_, index) => work(FIRST_LANE + index));
    try {
      return await Promise.race(workers);
    } finally {
      stop.abort(new Error('another copy has failed'));
      await Promise.allSettled(workers);
    }
  }

  /** Resolves to false if there was nothing to copy. */
  async #copySome(lane: number, signal: AbortSignal): Promise<boolean> {
    const lot = this.#changed.take(TAKEN_AT_ONCE);
    if (!lot) return false;
    const again = new Set(lot.keys);
    try {
      for (const [owner, keys] of this.#byOwner(lot.keys)) {
        const copied = await this.#copyFrom(owner, lane, { db: lot.db, keys }, signal);
        for (const key of copied) again.delete(key);
      }
    } finally {
      this.#changed.done(lot, [...again]);
    }
    if (again.size === lot.keys.length) await pause(ELSEWHERE_MS, signal);
    return true;
  }

  #byOwner(keys: readonly string[]): Map<Address, string[]> {
    const groups = new Map<Address, string[]>();
    for (const key of keys) {
      const owner = this.#scene.sourceOwners.ownerOf(key);
      // Without one it waits for the next look.
      if (!owner) continue;
      const group = groups.get(owner);
      if (group) group.push(key);
      else groups.set(owner, [key]);
    }
    return groups;
  }

  /** Resolves to the keys that need not be copied again. */
  async #copyFrom(
    owner: Address,
    lane: number,
    { db, keys }: ChangedLot,
    signal: AbortSignal,
  ): Promise<string[]> {
    const copied: string[] = [];
    try {
      const connection = await this.#connectionTo(owner, lane, db, signal);
      const clock = this.#scene.sourceOwners.clockOf(owner);
      for (const lot of lots(keys, await this.#sizesOf(connection, keys))) {
        signal.throwIfAborted();
        copied.push(...(await this.#copyLot({ reader: connection, clock }, db, lot)));
      }
    } catch (error) {
      // It may fail over: the next look shows who has its slots then.
      const isPassing = error instanceof ReplyError && PASSING.has(error.code);
      if (!(error instanceof ConnectionError || isPassing)) throw error;
    }
    return copied;
  }

  // To measure a key costs half as much as to read it, so it is done only where some are large.
  async #sizesOf(connection: Connection, keys: readonly string[]): Promise<number[]> {
    if (this.#measured <= 0) return keys.map(() => 0);
    this.#measured -= keys.length;
    const measured = await connection.pipeline(keys.map((key): Command => ['MEMORY', 'USAGE', key]));
    return measured.map((size) => (typeof size === 'number' ? size : 0));
  }

  async #connectionTo(owner: Address, lane: number, db: number, signal: AbortSignal): Promise<Connection> {
    const connection = await unlessAborted(this.#scene.source.connections.get(owner, lane), signal);
    if ((this.#selected.get(connection) ?? 0) === db) return connection;
    await connection.command(['SELECT', db]);
    this.#selected.set(connection, db);
    return connection;
  }

  async #copyLot(from: KeyReader, db: number, lot: Lot): Promise<string[]> {
    const elsewhere = new Set<string>();
    const written = await copyKeys(from, lot, this.destination(db), {
      deletesGone: true,
      onElsewhere: (key) => elsewhere.add(key),
    });
    const { restored } = written;
    if (restored.some((stored) => bytesOf(stored) > LARGE_BYTES))
      this.#measured = Math.max(this.#measured, MEASURED);
    if (lot.isBig) this.expectBig();
    this.#count(restored);
    for (const { key } of restored) this.#left.delete(nameOf(db, key));
    this.leave(db, written);
    const copied = lot.keys.filter((key) => !elsewhere.has(key));
    this.#onCopied?.({ db, keys: copied });
    return copied;
  }

  /** The source has keys that are copied in parts: from now on, every key is measured. */
  expectBig(): void {
    this.#measured = Number.POSITIVE_INFINITY;
  }

  /** Where keys of a database of the source go, over what is there. */
  destination(db: number): Destination {
    const { target, targetOwners, formats, databaseFor } = this.#scene;
    return {
      ...{ context: target, owners: targetOwners, db: databaseFor(db), replace: true, readers: formats },
      unfinished: this.#unfinished,
    };
  }

  /** The target cannot hold these. */
  leave(db: number, { left, unread }: Pick<Copied, 'left' | 'unread'>): void {
    const keys = [...left, ...unread.map(({ key }): LeftKey => ({ key, why: 'refused' }))];
    for (const one of keys) if (this.#left.size < MOST_NAMED) this.#left.set(nameOf(db, one.key), one);
  }

  #count(restored: readonly StoredKey[]): void {
    let [keys, bytes] = [0, 0];
    for (const stored of restored) {
      if (stored.isGone) {
        this.done.deleted += 1;
        continue;
      }
      keys += 1;
      bytes += bytesOf(stored);
      if (stored.converted !== undefined) this.done.converted += 1;
    }
    this.done.keys += keys;
    this.done.bytes += bytes;
    this.#scene.target.account.copied(keys, bytes);
  }
}

function nameOf(db: number, key: string): string {
  return `${db} ${key}`;
}
