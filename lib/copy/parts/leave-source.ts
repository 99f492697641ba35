import { type Connection, type Reply, ReplyError } from '../../../resp/index.ts';
import { holdStreamCounts } from '../../rdb/convert.ts';
import type { LeftKey } from '../conversion.ts';
import { deleteWatched } from '../read-keys.ts';
import type { KeyLot, KeyReader } from '../scan-keys.ts';
import { PASSING } from '../write-keys.ts';
import { compareWatched, storedInParts, watching } from './copy-in-parts.ts';
import { isStream } from './part-kinds.ts';
import { keyThatLeaves, leavingName } from './part-name.ts';
import { askTail, hasLeftOut, tailCommands } from './stream-tail.ts';
import { TargetFailure } from './unfinished-key.ts';
import { type Destination, failed, onOwner } from './write-in-parts.ts';

/**
 * Deletes a key at the source that was copied in parts, unless it was written since: both are compared while it is watched. WATCH does not
 * notice commands that only change the groups of a stream, such as XACK: it takes another name first, under which no client changes it, and
 * the cluster is given what has changed by then. Resolves to undefined if that cannot be done.
 */
export async function deleteInParts(
  from: KeyReader & Pick<KeyLot, 'db'>,
  key: string,
  to: Destination,
): Promise<'deleted' | 'changed' | undefined> {
  const owner = to.owners.ownerOf(key);
  if (!owner) return undefined;
  try {
    return await watching(from, key, async (source) =>
      onOwner(to, owner, async (connection) => {
        if (!(await compareWatched(connection, owner, to, source))) return 'changed';
        if (isStream(source.kind)) return await leave(from, key, to, connection);
        return (await deleteWatched(from.reader, [storedInParts(source)])) === 'deleted'
          ? 'deleted'
          : 'changed';
      }),
    );
  } catch (error) {
    if (error instanceof ReplyError || error instanceof TargetFailure) return undefined;
    throw error;
  }
}

/** The same of a stream that is watched, and the same in the cluster. */
async function leave(
  { reader, db }: KeyReader & Pick<KeyLot, 'db'>,
  key: string,
  to: Destination,
  connection: Connection,
): Promise<'deleted' | 'changed' | undefined> {
  const name = leavingName(key);
  const place = placeOf(db, name);
  to.unfinished.add(place);
  try {
    const renamed = await renameWatched(reader, key, name);
    // It has been written, or another of that name is there.
    if (renamed !== 1) return renamed === 0 ? undefined : 'changed';
    let isDeleted = false;
    try {
      if (!(await bringTail(reader, name, connection, key, holdStreamCounts(to.readers)))) return 'changed';
      const deleted = await reader.command(['UNLINK', name]);
      isDeleted = true;
      return deleted === 1 ? 'deleted' : undefined;
    } finally {
      if (!isDeleted && !reader.closed) await reader.pipeline([['RENAMENX', name, key]]);
    }
  } finally {
    to.unfinished.delete(place);
  }
}

/** Resolves to the reply of RENAMENX; undefined if the key was written since it is watched. Throws a ReplyError if the source refuses. */
async function renameWatched(reader: Connection, key: string, name: string): Promise<Reply | undefined> {
  // Not in one write: without the right to MULTI, the server would rename it whatever has become of it.
  const begun = await reader.pipeline([['MULTI']]);
  const replies: readonly Reply[] =
    begun[0] instanceof ReplyError ? begun : await reader.pipeline([['RENAMENX', key, name], ['EXEC']]);
  const refused = replies.flat().find((reply) => reply instanceof ReplyError);
  if (refused) throw refused;
  const ended = replies.at(-1);
  return Array.isArray(ended) ? ended[0] : undefined;
}

/** Resolves to false if the stream has what commands cannot write. Throws a ReplyError or a TargetFailure. */
async function bringTail(
  reader: Connection,
  name: string,
  connection: Connection,
  key: string,
  holdsCounts: boolean,
): Promise<boolean> {
  const tail = await askTail({ ask: (commands) => reader.pipeline(commands), key: name });
  if (tail.facts.isBeyondCommands) return false;
  const there = await askTail({ ask: (commands) => connection.pipeline(commands), key }).catch(failed);
  for await (const commands of tailCommands(key, tail, holdsCounts, there)) {
    const replies = await connection.pipeline(commands).catch(failed);
    for (const reply of replies) if (reply instanceof ReplyError) failed(reply);
    if (hasLeftOut(commands, replies)) return false;
  }
  return true;
}

/**
 * Gives streams their names again that a run which was interrupted has left under others, and resolves to the keys of a lot by their own
 * names: `back` are those that were given them. `stuck` are those whose own name has been taken since.
 */
export async function putBack(
  { reader, db, keys: listed, onElsewhere }: KeyLot,
  { unfinished }: Destination,
): Promise<{ readonly keys: string[]; readonly back: string[]; readonly stuck: LeftKey[] }> {
  const [keys, back, stuck]: [string[], string[], LeftKey[]] = [[], [], []];
  for (const name of listed) {
    const key = keyThatLeaves(name);
    if (key === undefined) keys.push(name);
    else if (!unfinished.has(placeOf(db, name))) {
      const [reply] = await reader.pipeline([['RENAMENX', name, key]]);
      if (reply === 1) back.push(key);
      else if (reply === 0) stuck.push({ key: name, why: 'leaving' });
      else if (reply instanceof ReplyError && onElsewhere && PASSING.has(reply.code)) onElsewhere(name);
      else if (!isGone(reply)) throw reply;
    }
  }
  return { keys, back, stuck };
}

// Expired, or deleted since it was listed.
function isGone(reply: Reply | undefined): boolean {
  return reply instanceof ReplyError && /no such key/i.test(reply.message);
}

function placeOf(db: number, name: string): string {
  return `source ${db} ${name}`;
}
