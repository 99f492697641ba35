import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { badReply } from '../../errors.ts';
import type { PartSource } from './read-parts.ts';
import { idAfter } from './stream-entries.ts';

/** Pending entries that are read or written at once. */
const PAGE = 1000;

/** What a stream has besides its entries. */
export interface StreamFacts {
  readonly lastId: string;
  /** What Redis 7.0 and newer also know. */
  readonly counts: { readonly added: number; readonly maxDeletedId: string } | undefined;
  readonly groups: readonly Group[];
  /** It has what commands cannot write: producers (Redis 8.6), or pending entries that were deleted. */
  readonly isBeyondCommands: boolean;
}

interface Group {
  readonly name: string;
  readonly lastId: string;
  /** Number of entries read; null if the server does not know it. */
  readonly read: number | null;
  /** Consumers, each with its number of pending entries. */
  readonly consumers: readonly (readonly [name: string, pending: number])[];
}

type Asked = Pick<PartSource, 'ask' | 'key'>;

/** Throws a ReplyError if the server refuses. */
export async function streamFacts({ ask, key }: Asked): Promise<StreamFacts> {
  const [stream, groups = null] = await ask([
    ['XINFO', 'STREAM', key],
    ['XINFO', 'GROUPS', key],
  ]);
  const facts = namedIn(stream ?? null);
  const [added, maxDeletedId] = [facts.get('entries-added'), facts.get('max-deleted-entry-id')];
  const firstEntry = facts.get('first-entry');
  const firstId = Array.isArray(firstEntry) ? String(firstEntry[0]) : undefined;
  let isBeyondCommands = Number(facts.get('pids-tracked') ?? 0) > 0;
  const found: Group[] = [];
  for (const group of listIn(groups).map(namedIn)) {
    const name = String(group.get('name'));
    const [consumers = null, oldest = null] = await ask([
      ['XINFO', 'CONSUMERS', key, name],
      ['XPENDING', key, name, '-', '+', 1],
    ]);
    const [first] = listIn(oldest);
    if (Array.isArray(first) && (firstId === undefined || isBefore(String(first[0]), firstId)))
      isBeyondCommands = true;
    found.push({
      name,
      lastId: String(group.get('last-delivered-id')),
      read: typeof group.get('entries-read') === 'number' ? Number(group.get('entries-read')) : null,
      consumers: listIn(consumers)
        .map(namedIn)
        .map((consumer) => [String(consumer.get('name')), Number(consumer.get('pending'))]),
    });
  }
  return {
    lastId: String(facts.get('last-generated-id')),
    counts: added === undefined ? undefined : { added: Number(added), maxDeletedId: String(maxDeletedId) },
    groups: found,
    isBeyondCommands,
  };
}

/**
 * Commands that give a stream that has all its entries the rest, some at a time. With `IDLE`, the time since an entry was delivered is as at the source,
 * whatever the clocks say. When consumers were last seen is not kept.
 */
export async function* tailCommands(
  source: Asked,
  name: string,
  { lastId, counts, groups }: StreamFacts,
  holdsCounts: boolean,
): AsyncGenerator<Command[]> {
  const known = holdsCounts && counts;
  const numbers = known ? ['ENTRIESADDED', known.added, 'MAXDELETEDID', known.maxDeletedId] : [];
  yield [['XSETID', name, lastId, ...numbers]];
  for (const group of groups) {
    const read = holdsCounts && group.read !== null ? ['ENTRIESREAD', group.read] : [];
    // To read again what is pending creates a consumer, also on Redis 6.0, which lacks XGROUP CREATECONSUMER.
    const idle = group.consumers.filter(([, pending]) => pending === 0);
    yield [
      ['XGROUP', 'CREATE', name, group.name, group.lastId, ...read],
      ...idle.map(
        ([consumer]): Command => ['XREADGROUP', 'GROUP', group.name, consumer, 'STREAMS', name, '0'],
      ),
    ];
    for await (const { rows, readAt } of pendingPages(source, group)) {
      const claims = new Map<string, Command & string[]>();
      for (const { id, consumer, idleMs, deliveries } of rows) {
        const same = JSON.stringify([consumer, idleMs, deliveries]);
        const claim = claims.get(same) ?? ['XCLAIM', name, group.name, consumer, '0'];
        claim.push(id);
        claims.set(same, claim);
      }
      const sinceMs = performance.now() - readAt;
      yield [...claims].map(([same, claim]): Command => {
        const [, idleMs, deliveries] = JSON.parse(same);
        return [
          ...claim,
          ...['IDLE', Math.round(idleMs + sinceMs), 'RETRYCOUNT', deliveries, 'FORCE', 'JUSTID'],
        ];
      });
    }
  }
}

/** Commands that take its groups away again. */
export async function* dropGroups(key: string, { groups }: StreamFacts): AsyncGenerator<Command[]> {
  yield groups.map(({ name }): Command => ['XGROUP', 'DESTROY', key, name]);
}

/** True if XCLAIM left out pending entries: those that were deleted from the stream. */
export function hasLeftOut(commands: readonly Command[], replies: readonly Reply[]): boolean {
  // The five words before the ids, and the six after them.
  return commands.some(
    (command, index) =>
      command[0] === 'XCLAIM' && listIn(replies[index] ?? null).length < command.length - 11,
  );
}

/** True if two streams with the same entries are the same, as far as both servers know. */
export async function sameTail(one: Asked, other: Asked): Promise<boolean> {
  const [mine, theirs] = [await streamFacts(one), await streamFacts(other)];
  const counts = mine.counts !== undefined && theirs.counts !== undefined;
  if (JSON.stringify(plain(mine, counts)) !== JSON.stringify(plain(theirs, counts))) return false;
  for (const group of mine.groups) {
    const pages = pendingPages(other, group);
    for await (const { rows } of pendingPages(one, group)) {
      const { value } = await pages.next();
      if (JSON.stringify(rows.map(lasting)) !== JSON.stringify(value?.rows.map(lasting))) return false;
    }
  }
  return true;
}

function plain({ lastId, counts, groups }: StreamFacts, withCounts: boolean): unknown {
  return [
    lastId,
    withCounts ? counts : null,
    groups.map(({ read, ...group }) => [group, withCounts ? read : null]),
  ];
}

interface PendingEntry {
  readonly id: string;
  readonly consumer: string;
  readonly idleMs: number;
  readonly deliveries: number;
}

function lasting({ id, consumer, deliveries }: PendingEntry): unknown {
  return [id, consumer, deliveries];
}

async function* pendingPages(
  { ask, key }: Asked,
  { name, consumers }: Group,
): AsyncGenerator<{ readonly rows: PendingEntry[]; readonly readAt: number }> {
  if (consumers.every(([, pending]) => pending === 0)) return;
  for (let from: string | undefined = '-'; from !== undefined; ) {
    const [reply = null] = await ask([['XPENDING', key, name, from, '+', PAGE]]);
    const readAt = performance.now();
    const rows = listIn(reply).map((row): PendingEntry => {
      const [id, consumer, idleMs, deliveries] = listIn(row);
      return {
        id: String(id),
        consumer: String(consumer),
        idleMs: Number(idleMs),
        deliveries: Number(deliveries),
      };
    });
    const last = rows.at(-1);
    if (last) yield { rows, readAt };
    from = last && rows.length === PAGE ? idAfter(last.id) : undefined;
  }
}

function isBefore(one: string, other: string): boolean {
  const [[ms = 0n, sequence = 0n], [otherMs = 0n, otherSequence = 0n]] = [one, other].map((id) =>
    id.split('-').map(BigInt),
  ) as [bigint[], bigint[]];
  return ms < otherMs || (ms === otherMs && sequence < otherSequence);
}

function listIn(reply: Reply): readonly Reply[] {
  if (reply instanceof ReplyError) throw reply;
  if (!Array.isArray(reply)) throw badReply('a command about a stream did not return a list');
  return reply;
}

function namedIn(reply: Reply): Map<string, Reply> {
  const flat = listIn(reply);
  const named = new Map<string, Reply>();
  for (let at = 0; at + 1 < flat.length; at += 2) named.set(String(flat[at]), flat[at + 1] ?? null);
  return named;
}
