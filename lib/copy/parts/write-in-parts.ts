import { type Connection, ReplyError } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import type { Address } from '../../model/address.ts';
import type { Context } from '../../nodes/context.ts';
import { sameTtl } from '../../nodes/key-content.ts';
import type { ServerClock } from '../../nodes/server-clock.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import { holdFieldExpiry } from '../../rdb/convert.ts';
import type { LeftKey } from '../conversion.ts';
import type { Owners } from '../owners.ts';
import { gaveUp, noOwner, nothing, PASSING, refused, TARGET_WAIT, type Written } from '../write-keys.ts';
import { type OpenValue, openValue, ttlNow } from './open-value.ts';
import type { PartKind } from './part-kinds.ts';
import { partName } from './part-name.ts';
import { isUnknown, type PartSource, type TimedPart } from './read-parts.ts';
import { isUnfinishedGone, TargetFailure, UnfinishedKey } from './unfinished-key.ts';

/** How often a key is written in parts of which the source, or what was written, changes in the meantime. */
export const TRIES = 3;

/** Where keys are copied to. */
export interface Destination {
  readonly context: Context;
  readonly owners: Owners;
  /** Database of the cluster. */
  readonly db: number;
  /** Overwrite keys that exist with another value. */
  readonly replace: boolean;
  /** RDB versions that the masters read. */
  readonly readers: readonly number[];
  /** Keys that are being written in parts: one for all who write to this cluster. */
  readonly unfinished: Set<string>;
}

/** A key that was copied in parts. */
export interface CopiedInParts extends Written {
  readonly left: readonly LeftKey[];
}

/** What became of one try; undefined if it cannot be done. */
export type TryInParts = CopiedInParts | 'changed' | undefined;

/** A value that is to be written in parts. */
export interface PartedValue {
  readonly key: string;
  readonly kind: PartKind;
  /** Number of elements, or bytes of a string. */
  readonly length: number;
  readonly parts: () => AsyncIterable<TimedPart>;
  /** What is left of its life, in milliseconds; undefined for a key that does not expire. */
  readonly ttlNow: () => number | undefined;
}

/** A value on a server that can be read in parts. */
export type Readable = OpenValue & PartSource;

export function isReadable(value: OpenValue | undefined): value is Readable {
  return value?.kind !== undefined;
}

/** Works on a connection of its own to the owner of a key. What was sent on it before it broke is not followed by anything. */
export async function onOwner<Result>(
  { context, db }: Destination,
  owner: Address,
  work: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await context.connections.fresh(owner, context.signal).catch(failed);
  try {
    if (db > 0) await connection.command(['SELECT', db]).catch(failed);
    return await work(connection);
  } finally {
    connection.destroy();
  }
}

/**
 * Tries to write a key in parts, again while failures pass. Resolves to undefined if that cannot be done, and nothing was changed: the key
 * changes all the time, or a user may not run one of the commands. Rejects as `writeKeys()` does.
 */
export async function inParts(
  key: string,
  to: Destination,
  work: (owner: Address, name: string) => Promise<TryInParts>,
): Promise<CopiedInParts | undefined> {
  const name = partName(key);
  const place = `${to.db} ${name}`;
  // A scan may list a key twice. The other copy counts.
  if (to.unfinished.has(place)) return { ...nothing(), left: [] };
  to.unfinished.add(place);
  try {
    return await patiently(key, to, (owner) => work(owner, name));
  } finally {
    to.unfinished.delete(place);
  }
}

function patiently(
  key: string,
  { context, owners }: Destination,
  work: (owner: Address) => Promise<TryInParts>,
): Promise<CopiedInParts | undefined> {
  let tries = 0;
  let failedAt: number | undefined;
  // A copy may take longer than passing failures are tried again: that time begins with the first of them.
  return waitUntil({ ...TARGET_WAIT, timeoutMs: 0, signal: context.signal }, async () => {
    if (failedAt !== undefined) await owners.refresh().catch(() => undefined);
    const owner = owners.ownerOf(key);
    try {
      if (!owner) throw new TargetFailure(noOwner());
      const copied = await work(owner);
      if (copied !== 'changed') return { done: copied };
      tries += 1;
      return tries < TRIES ? 'again' : { done: undefined };
    } catch (error) {
      if (error instanceof ReplyError) return { done: undefined };
      if (!(error instanceof TargetFailure)) throw error;
      const { cause } = error;
      if (cause instanceof ReplyError && (cause.code === 'NOPERM' || isUnknown(cause)))
        return { done: undefined };
      if (owner && cause instanceof ReplyError && !PASSING.has(cause.code)) throw refused(owner, key, cause);
      failedAt ??= performance.now();
      const isOver = performance.now() - failedAt > TARGET_WAIT.timeoutMs;
      return { missing: [messageOf(cause)], ...(isOver ? { giveUp: () => gaveUp(owner, cause) } : {}) };
    }
  });
}

/** Whether the owner of a key has the same; undefined if it does not have it. `isSame` compares the values. Throws a TargetFailure. */
export async function compareWithOwner(
  connection: Connection,
  owner: Address,
  { owners }: Destination,
  value: Pick<PartedValue, 'key' | 'ttlNow'>,
  isSame: (other: Readable) => Promise<boolean>,
): Promise<boolean | undefined> {
  const life = await owners.clockOf(owner).question().catch(failed);
  const ask = (commands: Parameters<Connection['pipeline']>[0]) =>
    connection.pipeline(commands).catch(failed);
  const other = await openValue(ask, value.key, false, life);
  if (!other) return undefined;
  return isReadable(other) && sameTtl(ttlNow(other), value.ttlNow()) && (await isSame(other));
}

/**
 * Writes a value in parts: under another name, which expires, and renames it when it is whole. `complete` is called before that, and may stop
 * it; if what was written is gone by then, the key has changed. Throws a TargetFailure.
 */
export async function writeInParts(
  connection: Connection,
  name: string,
  value: PartedValue,
  { context, readers, replace }: Destination,
  clock: ServerClock,
  complete: (unfinished: UnfinishedKey) => Promise<TryInParts | 'written'>,
): Promise<TryInParts> {
  const { key } = value;
  const unfinished = new UnfinishedKey(connection, name, value.kind);
  const holdsTimes = holdFieldExpiry(readers);
  let isDone = false;
  try {
    for await (const part of value.parts()) {
      context.signal?.throwIfAborted();
      if (part.times.size > 0 && !holdsTimes) return { ...nothing(), left: [{ key, why: 'field-expiry' }] };
      if (!(await unfinished.add(part))) return 'changed';
    }
    const end = await complete(unfinished).catch((error: unknown) => {
      if (isUnfinishedGone(error)) return 'changed' as const;
      throw error;
    });
    if (end !== 'written') return end;
    isDone = await unfinished.finish(value, await clock.question().catch(failed), replace);
    if (!isDone) return 'changed';
    const stored = {
      key,
      dump: '',
      ttlMs: value.ttlNow(),
      readAt: performance.now(),
      bytes: unfinished.bytes,
    };
    return { ...nothing(), left: [], restored: [stored] };
  } finally {
    if (!isDone) await unfinished.drop();
  }
}

export function failed(error: unknown): never {
  throw new TargetFailure(error);
}
