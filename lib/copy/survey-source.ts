import { type Command, type Connection, ReplyError } from '../../resp/index.ts';
import { expandSlots } from '../model/slot.ts';
import { unlessAborted } from '../nodes/abort.ts';
import { askRdbSupport } from '../nodes/rdb-support.ts';
import { ANY_LIFE } from '../nodes/server-clock.ts';
import { holdFieldExpiry } from '../rdb/convert.ts';
import { readsRdb } from '../rdb/versions.ts';
import { convertKeys, type LeftKey, type Outlook, OutlookTally } from './conversion.ts';
import type { KeySource, SourceNode } from './key-source.ts';
import { openValue } from './parts/open-value.ts';
import { readParts } from './parts/read-parts.ts';
import { listKeys, readKeys } from './read-keys.ts';
import { PASSING } from './write-keys.ts';

/** The types of values that every server knows. */
const COMMON_TYPES = new Set(['string', 'list', 'set', 'zset', 'hash', 'stream']);

/**
 * Finds out how the keys of these databases would be written for servers of these RDB versions. If they read what a node of the
 * source writes, none of its keys is looked at. Otherwise each key's type is asked, and hashes are read if their fields may not
 * expire there.
 */
export async function surveySource(
  source: KeySource,
  nodes: readonly SourceNode[],
  databases: readonly { readonly db: number }[],
  readers: readonly number[],
): Promise<Outlook> {
  const tally = new OutlookTally();
  for (const node of nodes) await surveyNode(source, node, databases, readers, tally);
  return tally.outlook;
}

async function surveyNode(
  { context: { connections, signal } }: KeySource,
  { address, master, isReplica }: SourceNode,
  databases: readonly { readonly db: number }[],
  readers: readonly number[],
  tally: OutlookTally,
): Promise<void> {
  const { rdb: written } = await askRdbSupport(connections, address);
  if (written === undefined || readers.every((reader) => readsRdb(reader, written))) return;
  const connection = await unlessAborted(connections.get(address), signal);
  if (isReplica) await connection.command(['READONLY']);
  const owned = master && new Set(expandSlots(master.slots));
  const listing = owned ? { accepts: (slot: number) => owned.has(slot) } : {};
  const isPlain = holdFieldExpiry(readers);
  const onElsewhere = master ? () => {} : undefined;
  for (const { db } of databases) {
    for await (const { keys: lot, isBig } of listKeys(connection, db, listing)) {
      signal?.throwIfAborted();
      const types = await connection.pipeline(lot.map((key): Command => ['TYPE', key]));
      for (const type of types) {
        if (type instanceof ReplyError && !(master && PASSING.has(type.code))) throw type;
      }
      const hashes = isPlain ? [] : lot.filter((_, index) => types[index] === 'hash');
      const expires =
        isBig && hashes[0] !== undefined ? await hasFieldTimes(connection, hashes[0]) : undefined;
      if (expires !== undefined) {
        const left: LeftKey[] = expires ? hashes.map((key) => ({ key, why: 'field-expiry' })) : [];
        tally.add({ converted: 1 - left.length, left });
      } else if (hashes.length > 0)
        tally.add(convertKeys(await readKeys(connection, hashes, false, ANY_LIFE, onElsewhere), readers));
      for (const [index, key] of lot.entries()) {
        const type = types[index];
        if (type instanceof ReplyError || type === 'none') continue;
        if (COMMON_TYPES.has(String(type))) tally.convert(isPlain || type !== 'hash' ? 1 : 0);
        else tally.leave({ key, why: 'module' });
      }
    }
  }
}

/** Reads a big hash in parts. Resolves to undefined if that cannot be done: it is read whole then. */
async function hasFieldTimes(connection: Connection, key: string): Promise<boolean | undefined> {
  try {
    const value = await openValue((commands) => connection.pipeline(commands), key, false, ANY_LIFE);
    if (!value?.kind) return undefined;
    for await (const { times } of readParts({ ...value, kind: value.kind })) if (times.size > 0) return true;
    return false;
  } catch (error) {
    if (error instanceof ReplyError) return undefined;
    throw error;
  }
}
