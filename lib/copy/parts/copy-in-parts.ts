import { type Connection, ReplyError } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import type { Address } from '../../model/address.ts';
import { unlessAborted } from '../../nodes/abort.ts';
import type { Context } from '../../nodes/context.ts';
import { sameTtl } from '../../nodes/key-content.ts';
import type { ServerClock } from '../../nodes/server-clock.ts';
import { waitUntil } from '../../nodes/wait-until.ts';
import { holdFieldExpiry, holdStreamCounts } from '../../rdb/convert.ts';
import type { LeftKey } from '../conversion.ts';
import type { Owners } from '../owners.ts';
import { deleteWatched } from '../read-keys.ts';
import type { KeyReader } from '../scan-keys.ts';
import {
  gaveUp,
  noOwner,
  nothing,
  PASSING,
  refused,
  type StoredKey,
  TARGET_WAIT,
  type Written,
} from '../write-keys.ts';
import { type OpenValue, openValue, ttlNow } from './open-value.ts';
import { isStream } from './part-kinds.ts';
import { partName } from './part-name.ts';
import { isUnknown, type PartSource, readParts } from './read-parts.ts';
import { sameInParts } from './same-in-parts.ts';
import { dropGroups, hasLeftOut, type StreamFacts, streamFacts, tailCommands } from './stream-tail.ts';
import { TargetFailure, UnfinishedKey } from './unfinished-key.ts';

/** How often a key is read in parts that is written at the source in the meantime. */
const TRIES = 3;

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

/**
 * Copies a big key in parts, so that neither server is held up by it. WATCH at the source shows that it was not written in the meantime. In
 * the cluster it is written under another name, which expires, and renamed when it is whole.
 *
 * Resolves to undefined if that cannot be done, and nothing was changed: the key is gone or elsewhere, of another type, written at the source
 * all the time, or a user may not run one of the commands. Rejects as `writeKeys()` does.
 */
export async function copyInParts(
  from: KeyReader,
  key: string,
  to: Destination,
): Promise<CopiedInParts | undefined> {
  const name = partName(key);
  const place = `${to.db} ${name}`;
  // A scan may list a key twice. The other copy counts.
  if (to.unfinished.has(place)) return { ...nothing(), left: [] };
  to.unfinished.add(place);
  try {
    return await copyPatiently(from, key, name, to);
  } finally {
    to.unfinished.delete(place);
  }
}

function copyPatiently(
  from: KeyReader,
  key: string,
  name: string,
  to: Destination,
): Promise<CopiedInParts | undefined> {
  const { context, owners } = to;
  let tries = 0;
  let failedAt: number | undefined;
  // A copy may take longer than passing failures are tried again: that time begins with the first of them.
  return waitUntil({ ...TARGET_WAIT, timeoutMs: 0, signal: context.signal }, async () => {
    if (failedAt !== undefined) await owners.refresh().catch(() => undefined);
    const owner = owners.ownerOf(key);
    try {
      if (!owner) throw new TargetFailure(noOwner());
      const copied = await copyOnce(from, key, name, to, owner);
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

/** Throws a ReplyError if the source refuses a command, and a TargetFailure if the owner does or is not reached. */
async function copyOnce(
  from: KeyReader,
  key: string,
  name: string,
  to: Destination,
  owner: Address,
): Promise<CopiedInParts | 'changed' | undefined> {
  return watching(from, key, (source) =>
    onOwner(to, owner, async (connection) => {
      const known = to.replace ? undefined : await compareWith(connection, source, to.owners.clockOf(owner));
      return known ?? write(from.reader, source, to, new UnfinishedKey(connection, name, source.kind));
    }),
  );
}

/** Works on a connection of its own. What was sent on it before it broke is not followed by anything. */
async function onOwner<Result>(
  { context, db }: Destination,
  owner: Address,
  work: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await unlessAborted(context.connections.fresh(owner), context.signal).catch(failed);
  try {
    if (db > 0) await connection.command(['SELECT', db]).catch(failed);
    return await work(connection);
  } finally {
    connection.destroy();
  }
}

/** Opens a value and watches it. Resolves to undefined if it cannot be read in parts. */
async function watching<Result>(
  { reader, clock }: KeyReader,
  key: string,
  work: (source: Readable) => Promise<Result>,
): Promise<Result | undefined> {
  try {
    const life = await clock.question();
    const source = await openValue((commands) => reader.pipeline(commands), key, true, life);
    return isReadable(source) ? await work(source) : undefined;
  } finally {
    if (!reader.closed) await reader.pipeline([['UNWATCH']]).catch(() => undefined);
  }
}

type Readable = OpenValue & PartSource;

function isReadable(value: OpenValue | undefined): value is Readable {
  return value?.kind !== undefined;
}

/** Undefined if the cluster does not have the key. */
async function compareWith(
  connection: Connection,
  source: Readable,
  clock: ServerClock,
): Promise<CopiedInParts | undefined> {
  const life = await clock.question().catch(failed);
  const other = await openValue(
    (commands) => connection.pipeline(commands).catch(failed),
    source.key,
    false,
    life,
  );
  if (!other) return undefined;
  const isSame =
    isReadable(other) && sameTtl(ttlNow(other), ttlNow(source)) && (await sameInParts(source, other));
  return { ...nothing(), left: [], [isSame ? 'same' : 'conflicts']: [storedKey(source, 0)] };
}

async function write(
  reader: Connection,
  source: Readable,
  { context, readers, replace }: Destination,
  unfinished: UnfinishedKey,
): Promise<CopiedInParts | 'changed' | undefined> {
  const { key, length } = source;
  const holdsTimes = holdFieldExpiry(readers);
  const facts = isStream(source.kind) ? await streamFacts(source) : undefined;
  if (facts?.isBeyondCommands) return undefined;
  let isDone = false;
  try {
    for await (const part of readParts(source)) {
      context.signal?.throwIfAborted();
      if (part.times.size > 0 && !holdsTimes) return { ...nothing(), left: [{ key, why: 'field-expiry' }] };
      if (!(await unfinished.add(part))) return 'changed';
    }
    if (facts) {
      const end = await writeTail(source, unfinished, facts, holdStreamCounts(readers));
      if (end !== 'written') return end;
    }
    const [begun, ended] = await reader.pipeline([['MULTI'], ['EXEC']]);
    for (const reply of [begun, ended]) if (reply instanceof ReplyError) throw reply;
    if (ended === null) return 'changed';
    isDone = await unfinished.finish(key, length, () => ttlNow(source), replace);
    return isDone ? { ...nothing(), left: [], restored: [storedKey(source, unfinished.bytes)] } : 'changed';
  } finally {
    if (!isDone) await unfinished.drop();
  }
}

/** Resolves to undefined if it has what commands cannot write, or if its groups change all the time. */
async function writeTail(
  source: Readable,
  unfinished: UnfinishedKey,
  first: StreamFacts,
  holdsCounts: boolean,
): Promise<'written' | 'changed' | undefined> {
  let facts = first;
  let isWhole = true;
  try {
    for (let tries = 0; tries < TRIES && isWhole; tries++) {
      const written = facts;
      await unfinished.tell(
        (name) => tailCommands(source, name, written, holdsCounts),
        (sent, replies) => {
          isWhole &&= !hasLeftOut(sent, replies);
        },
      );
      // Not all that changes groups is noticed by WATCH: XACK is not.
      facts = await streamFacts(source);
      if (isWhole && JSON.stringify(facts) === JSON.stringify(written)) return 'written';
      await unfinished.tell(
        (name) => dropGroups(name, written),
        () => undefined,
      );
    }
    return undefined;
  } catch (error) {
    const cause = error instanceof TargetFailure && error.cause;
    // What was written of it is gone.
    if (cause instanceof ReplyError && ['ERR', 'NOGROUP'].includes(cause.code) && !isUnknown(cause))
      return 'changed';
    throw error;
  }
}

function storedKey({ key, ttlMs, readAt }: Readable, bytes: number): StoredKey {
  return { key, dump: '', ttlMs, readAt, bytes };
}

function failed(error: unknown): never {
  throw new TargetFailure(error);
}

/**
 * Deletes a key at the source that was copied in parts, unless it was written since: both are compared while it is watched. Resolves to
 * undefined if that cannot be done.
 */
export async function deleteInParts(
  from: KeyReader,
  key: string,
  to: Destination,
): Promise<'deleted' | 'changed' | undefined> {
  const owner = to.owners.ownerOf(key);
  if (!owner) return undefined;
  try {
    return await watching(from, key, async (source) => {
      const clock = to.owners.clockOf(owner);
      const known = await onOwner(to, owner, (connection) => compareWith(connection, source, clock));
      if (!known?.same.length) return 'changed';
      return (await deleteWatched(from.reader, known.same)) === 'deleted' ? 'deleted' : 'changed';
    });
  } catch (error) {
    if (error instanceof ReplyError || error instanceof TargetFailure) return undefined;
    throw error;
  }
}
