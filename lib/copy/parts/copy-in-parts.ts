import { type Connection, ReplyError } from '../../../resp/index.ts';
import type { Address } from '../../model/address.ts';
import type { ServerClock } from '../../nodes/server-clock.ts';
import { holdStreamCounts } from '../../rdb/convert.ts';
import type { KeyReader } from '../scan-keys.ts';
import { nothing, type StoredKey } from '../write-keys.ts';
import { openValue, ttlNow } from './open-value.ts';
import { isStream } from './part-kinds.ts';
import { readParts } from './read-parts.ts';
import { sameInParts } from './same-in-parts.ts';
import { askTail, dropGroups, type StreamTail, writeTail } from './stream-tail.ts';
import type { UnfinishedKey } from './unfinished-key.ts';
import {
  type CopiedInParts,
  compareWithOwner,
  type Destination,
  inParts,
  isReadable,
  onOwner,
  type PartedValue,
  type Readable,
  TRIES,
  type TryInParts,
  writeInParts,
} from './write-in-parts.ts';

/**
 * Copies a big key in parts, so that neither server is held up by it. WATCH at the source shows that it was not written in the meantime. In
 * the cluster it is written under another name, which expires, and renamed when it is whole.
 *
 * Resolves to undefined if that cannot be done, and nothing was changed: the key is gone or elsewhere, of another type, written at the source
 * all the time, or a user may not run one of the commands. Rejects as `writeKeys()` does.
 */
export function copyInParts(
  from: KeyReader,
  key: string,
  to: Destination,
): Promise<CopiedInParts | undefined> {
  // Throws a ReplyError if the source refuses a command, and a TargetFailure if the owner does or is not reached.
  return inParts(key, to, (owner, name) =>
    watching(from, key, (source) =>
      onOwner(to, owner, async (connection): Promise<TryInParts> => {
        const isSame = to.replace ? undefined : await compareWatched(connection, owner, to, source);
        if (isSame !== undefined)
          return { ...nothing(), left: [], [isSame ? 'same' : 'conflicts']: [storedInParts(source)] };
        return write(from.reader, source, to, connection, to.owners.clockOf(owner), name);
      }),
    ),
  );
}

/** Opens a value and watches it. Resolves to undefined if it cannot be read in parts. */
export async function watching<Result>(
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

function parted(source: Readable): PartedValue {
  return { ...source, parts: () => readParts(source), ttlNow: () => ttlNow(source) };
}

/** Whether the owner of a key has the same; undefined if it does not have it. Throws a TargetFailure. */
export function compareWatched(
  connection: Connection,
  owner: Address,
  to: Destination,
  source: Readable,
): Promise<boolean | undefined> {
  return compareWithOwner(connection, owner, to, parted(source), (other) => sameInParts(source, other));
}

async function write(
  reader: Connection,
  source: Readable,
  to: Destination,
  connection: Connection,
  clock: ServerClock,
  name: string,
): Promise<TryInParts> {
  const tail = isStream(source.kind) ? await askTail(source) : undefined;
  if (tail?.facts.isBeyondCommands) return undefined;
  return writeInParts(connection, name, parted(source), to, clock, async (unfinished) => {
    const end = tail ? await finishStream(source, unfinished, tail, holdStreamCounts(to.readers)) : 'written';
    if (end !== 'written') return end;
    const [begun, ended] = await reader.pipeline([['MULTI'], ['EXEC']]);
    for (const reply of [begun, ended]) if (reply instanceof ReplyError) throw reply;
    return ended === null ? 'changed' : 'written';
  });
}

/** Resolves to undefined if it has what commands cannot write, or if its groups change all the time. */
async function finishStream(
  source: Readable,
  unfinished: UnfinishedKey,
  first: StreamTail,
  holdsCounts: boolean,
): Promise<'written' | undefined> {
  let tail = first;
  for (let tries = 0; tries < TRIES; tries++) {
    const { facts } = tail;
    if (!(await writeTail(unfinished, tail, holdsCounts))) return undefined;
    // Not all that changes groups is noticed by WATCH: XACK is not.
    tail = await askTail(source);
    if (JSON.stringify(tail.facts) === JSON.stringify(facts)) return 'written';
    await unfinished.tell(
      (name) => dropGroups(name, facts),
      () => undefined,
    );
  }
  return undefined;
}

export function storedInParts({ key, ttlMs, readAt }: Readable): StoredKey {
  return { key, dump: '', ttlMs, readAt, bytes: 0 };
}
