import { type Command, type Connection, type Reply, ReplyError } from '../../../resp/index.ts';
import { ClusterError } from '../../errors.ts';
import { formatAddress } from '../../model/address.ts';
import { globMatcher } from '../../model/glob.ts';
import type { NodeRecord } from '../../model/node.ts';
import { inRanges, slotOfKey } from '../../model/slot.ts';
import type { ClusterView } from '../../model/view.ts';
import { unlessAborted } from '../../nodes/abort.ts';
import type { Context } from '../../nodes/context.ts';
import { askInfo, databases } from '../../nodes/node-info.ts';
import { replicaInSync, type SourceNode } from '../key-source.ts';
import { type Lot, listKeys } from '../read-keys.ts';
import { PASSING } from '../write-keys.ts';
import type { KeyTally } from './key-tally.ts';

/** How to read the keys of the nodes. */
export interface Surveying {
  readonly tally: KeyTally;
  /** Resolves when so many more keys may be looked at. */
  readonly admit: (keys: number) => Promise<void>;
  /** Only keys that match it, in latin1. */
  readonly match: string | undefined;
  /** How many keys of each node to look at; all if undefined. */
  readonly sample: number | undefined;
  /** Called when sizes cannot be asked for. */
  readonly onUnmeasured: (refusal: ReplyError) => void;
  /** Called with the number of keys that were listed since. */
  readonly onRead: (keys: number) => void;
}

/** Keys that are asked about in one write: a quarter of a millisecond of the server's time. */
const AT_ONCE = 250;
/** A connection of its own: it selects databases and may be READONLY. */
const LANE = 2;

/** The node to read the slots of a master from: a replica that is in sync, or the master. */
export async function replicaOrMaster(
  context: Context,
  view: ClusterView,
  master: NodeRecord,
): Promise<SourceNode> {
  try {
    return { address: await replicaInSync(context, view, master), master, isReplica: true };
  } catch (error) {
    if (context.signal?.aborted || !(error instanceof ClusterError)) throw error;
    return { address: master.address, master, isReplica: false };
  }
}

/** The databases of a node that have keys, with how many. */
export async function databasesOn(
  { connections, signal }: Context,
  { address }: SourceNode,
): Promise<{ readonly db: number; readonly keys: number }[]> {
  return databases(await unlessAborted(askInfo(connections, address, ['keyspace']), signal));
}

/**
 * Looks at the keys of a node, in the slots of its master: all of them, or as many of them at random as are wanted. None is touched: their
 * idle times and frequencies stay.
 */
export async function surveyNode(
  { connections, signal }: Context,
  { address, master, isReplica }: SourceNode,
  held: readonly { readonly db: number; readonly keys: number }[],
  surveying: Surveying,
): Promise<void> {
  const connection = await unlessAborted(connections.get(address, LANE), signal);
  if (isReplica) await connection.command(['READONLY']);
  const { match, sample } = surveying;
  const accepts = (slot: number): boolean => !master || inRanges(slot, master.slots);
  const on = formatAddress(master?.address ?? address);
  const total = held.reduce((sum, { keys }) => sum + keys, 0);
  for (const { db, keys } of held) {
    const wanted = sample === undefined || sample >= total ? undefined : Math.ceil((sample * keys) / total);
    const lots =
      wanted === undefined
        ? listKeys(connection, db, { match, accepts, isNamesOnly: true })
        : randomKeys(connection, db, wanted, { matches: globMatcher(match ?? '*'), accepts });
    const weight = wanted === undefined ? 1 : keys / wanted;
    for await (const { keys: lot } of lots) {
      for (let at = 0; at < lot.length; at += AT_ONCE) {
        const some = lot.slice(at, at + AT_ONCE);
        await surveying.admit(some.length);
        signal?.throwIfAborted();
        const found = await unlessAborted(figuresOf(connection, some, surveying.onUnmeasured), signal);
        for (const figures of found) surveying.tally.add({ ...figures, db, on }, weight);
      }
      surveying.onRead(lot.length);
    }
  }
}

/** Keys drawn at random, so many of them. One may be drawn twice. */
async function* randomKeys(
  connection: Connection,
  db: number,
  wanted: number,
  {
    matches,
    accepts,
  }: { readonly matches: (key: string) => boolean; readonly accepts: (slot: number) => boolean },
): AsyncGenerator<Pick<Lot, 'keys'>> {
  await connection.command(['SELECT', db]);
  for (let left = wanted; left > 0; left -= AT_ONCE) {
    const draws = Array.from({ length: Math.min(left, AT_ONCE) }, (): Command => ['RANDOMKEY']);
    const drawn = await connection.pipeline(draws);
    const refused = drawn.find((reply) => reply instanceof ReplyError);
    if (refused) throw refused;
    const keys = drawn.flatMap((reply) => (typeof reply === 'string' ? [reply] : []));
    yield { keys: keys.filter((key) => matches(key) && accepts(slotOfKey(key))) };
  }
}

// A key that is gone, or that the node does not serve any more, is left out.
async function figuresOf(
  connection: Connection,
  keys: readonly string[],
  onUnmeasured: Surveying['onUnmeasured'],
): Promise<{ key: string; type: string; bytes: number; ttlMs: number | null }[]> {
  const replies = await connection.pipeline(
    keys.flatMap((key): Command[] => [
      ['TYPE', key],
      ['PTTL', key],
      ['MEMORY', 'USAGE', key],
    ]),
  );
  return keys.flatMap((key, index) => {
    const [type, ttl, bytes] = replies.slice(3 * index, 3 * index + 3);
    if (type === 'none' || isElsewhere(type) || isElsewhere(ttl)) return [];
    if (bytes instanceof ReplyError && !PASSING.has(bytes.code)) onUnmeasured(bytes);
    const size = typeof bytes === 'number' ? bytes : 0;
    return [
      { key, type: String(type), bytes: size, ttlMs: typeof ttl === 'number' && ttl >= 0 ? ttl : null },
    ];
  });
}

function isElsewhere(reply: Reply | undefined): boolean {
  if (!(reply instanceof ReplyError)) return false;
  if (PASSING.has(reply.code)) return true;
  throw reply;
}
