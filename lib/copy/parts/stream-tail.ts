import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { badReply } from '../../errors.ts';
import { PRODUCER_LIMIT } from '../../rdb/rdb-values.ts';
import type { PartSource } from './read-parts.ts';
import { idAfter } from './stream-entries.ts';
import type { UnfinishedKey } from './unfinished-key.ts';

/** Pending entries that are read or written at once. */
export const PAGE = 1000;

/** What a stream has besides its entries. */
export interface StreamFacts {
  readonly lastId: string;
  /** What Redis 7.0 and newer also know. */
  readonly counts: { readonly added: number; readonly maxDeletedId: string } | undefined;
  readonly groups: readonly ConsumerGroup[];
  /**
   * It has what commands cannot write: producers, or limits for them, which would not be written on every server (Redis 8.6); or pending entries
   * that were deleted.
   */
  readonly isBeyondCommands: boolean;
}

export interface ConsumerGroup {
  readonly name: string;
  readonly lastId: string;
  /** Number of entries read; null if the server does not know it. */
  readonly read: number | null;
  /** Consumers, each with its number of pending entries. */
  readonly consumers: readonly (readonly [name: string, pending: number])[];
}

/** What a stream has besides its entries, from a server or a file. */
export interface StreamTail {
  readonly facts: StreamFacts;
  /** The pending entries of one of its groups, at most `PAGE` at a time. */
  readonly pending: (group: ConsumerGroup) => AsyncIterable<PendingPage>;
}

interface PendingPage {
  readonly rows: readonly PendingRow[];
  /** Tells XCLAIM when an entry was delivered. */
  readonly delivered: (row: PendingRow) => readonly [how: 'IDLE' | 'TIME', ms: number];
  /** Ids that are not pending any more. */
  readonly gone?: readonly string[];
}

type Asked = Pick<PartSource, 'ask' | 'key'>;

/** Throws a ReplyError if the server refuses. */
export async function askTail(asked: Asked): Promise<StreamTail> {
  return { facts: await streamFacts(asked), pending: (group) => pendingPages(asked, group) };
}

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
  const limits = [facts.get('idmp-duration'), facts.get('idmp-maxsize')];
  let isBeyondCommands =
    Number(facts.get('pids-tracked') ?? 0) > 0 ||
    limits.some((limit = PRODUCER_LIMIT) => limit !== PRODUCER_LIMIT);
  const found: ConsumerGroup[] = [];
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
 * Gives a stream that has all its entries the rest, some at a time. When consumers were last seen is not kept. Resolves to false if the server
 * leaves out pending entries: those that were deleted from the stream. Throws a TargetFailure.
 */
export async function writeTail(
  unfinished: UnfinishedKey,
  tail: StreamTail,
  holdsCounts: boolean,
): Promise<boolean> {
  let isWhole = true;
  await unfinished.tell(
    (name) => tailCommands(name, tail, holdsCounts),
    (sent, replies) => {
      isWhole &&= !hasLeftOut(sent, replies);
    },
  );
  return isWhole;
}

/** Commands that give a stream the rest of another with the same entries: all of it, or what differs from what is `there`. */
export async function* tailCommands(
  name: string,
  tail: StreamTail,
  holdsCounts: boolean,
  there?: StreamTail,
): AsyncGenerator<Command[]> {
  const { lastId, counts, groups } = tail.facts;
  const known = holdsCounts && counts;
  const numbers = known ? ['ENTRIESADDED', known.added, 'MAXDELETEDID', known.maxDeletedId] : [];
  yield [['XSETID', name, lastId, ...numbers]];
  const isNamed = (own: string) => (one: ConsumerGroup) => one.name === own;
  for (const group of groups) {
    const own = there?.facts.groups.find(isNamed(group.name));
    const read = holdsCounts && group.read !== null ? ['ENTRIESREAD', group.read] : [];
    const [has, had] = [group, own].map((one) => new Map(one?.consumers));
    // To read again what is pending creates a consumer, also on Redis 6.0, which lacks XGROUP CREATECONSUMER.
    const idle = group.consumers.filter(([consumer, count]) => count === 0 && !had?.has(consumer));
    yield [
      ['XGROUP', own ? 'SETID' : 'CREATE', name, group.name, group.lastId, ...read],
      ...idle.map(
        ([consumer]): Command => ['XREADGROUP', 'GROUP', group.name, consumer, 'STREAMS', name, '0'],
      ),
    ];
    for await (const page of own && there ? differing(tail, there, group, own) : tail.pending(group))
      yield pendingCommands(name, group, page);
    const gone = own?.consumers.filter(([consumer]) => !has?.has(consumer)) ?? [];
    yield gone.map(([consumer]): Command => ['XGROUP', 'DELCONSUMER', name, group.name, consumer]);
  }
  const others = there?.facts.groups.filter((group) => !groups.some(isNamed(group.name))) ?? [];
  yield others.map((group): Command => ['XGROUP', 'DESTROY', name, group.name]);
}

function pendingCommands(
  name: string,
  group: ConsumerGroup,
  { rows, delivered, gone }: PendingPage,
): Command[] {
  const claims = new Map<string, readonly [claim: Command & string[], row: PendingRow]>();
  for (const row of rows) {
    const same = JSON.stringify([row.consumer, row.at, row.deliveries]);
    const [claim] = claims.get(same) ?? [['XCLAIM', name, group.name, row.consumer, '0']];
    claim.push(row.id);
    claims.set(same, [claim, row]);
  }
  const commands = [...claims.values()].map(
    ([claim, row]): Command => [
      ...claim,
      ...[...delivered(row), 'RETRYCOUNT', row.deliveries, 'FORCE', 'JUSTID'],
    ],
  );
  return gone?.length ? [...commands, ['XACK', name, group.name, ...gone]] : commands;
}

/** The pending entries of a group that are not the same `there`, and those that are there alone. */
async function* differing(
  tail: StreamTail,
  there: StreamTail,
  group: ConsumerGroup,
  own: ConsumerGroup,
): AsyncGenerator<PendingPage> {
  const others = rowsOf(there.pending(own));
  let other = await others.next();
  for await (const { rows, delivered } of tail.pending(group)) {
    const [changed, gone]: [PendingRow[], string[]] = [[], []];
    for (const row of rows) {
      for (; !other.done && isBefore(other.value.id, row.id); other = await others.next())
        gone.push(other.value.id);
      const same = !other.done && other.value.id === row.id ? other.value : undefined;
      if (!same || JSON.stringify(lasting(same)) !== JSON.stringify(lasting(row))) changed.push(row);
      if (same) other = await others.next();
    }
    yield { rows: changed, delivered, gone };
  }
  const gone: string[] = [];
  for (; !other.done; other = await others.next()) gone.push(other.value.id);
  yield { rows: [], delivered: () => ['IDLE', 0], gone };
}

async function* rowsOf(pages: AsyncIterable<PendingPage>): AsyncGenerator<PendingRow, undefined> {
  for await (const { rows } of pages) yield* rows;
}

/** Commands that take its groups away again. */
export async function* dropGroups(key: string, { groups }: StreamFacts): AsyncGenerator<Command[]> {
  yield groups.map(({ name }): Command => ['XGROUP', 'DESTROY', key, name]);
}

export function hasLeftOut(commands: readonly Command[], replies: readonly Reply[]): boolean {
  // The five words before the ids, and the six after them.
  return commands.some(
    (command, index) =>
      command[0] === 'XCLAIM' && listIn(replies[index] ?? null).length < command.length - 11,
  );
}

/** True if two streams with the same entries are the same, as far as both servers know. */
export async function sameTail(one: StreamTail, other: StreamTail): Promise<boolean> {
  const [mine, theirs] = [one.facts, other.facts];
  const counts = mine.counts !== undefined && theirs.counts !== undefined;
  if (JSON.stringify(plain(mine, counts)) !== JSON.stringify(plain(theirs, counts))) return false;
  for (const group of mine.groups) {
    const pages = other.pending(group)[Symbol.asyncIterator]();
    for await (const { rows } of one.pending(group)) {
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

export interface PendingRow {
  readonly id: string;
  readonly consumer: string;
  /** Since when it is pending, in milliseconds: `PendingPage.delivered` knows what from. */
  readonly at: number;
  readonly deliveries: number;
}

function lasting({ id, consumer, deliveries }: PendingRow): unknown {
  return [id, consumer, deliveries];
}

/** With `IDLE`, the time since an entry was delivered is as at the source, whatever the clocks say. */
async function* pendingPages(
  { ask, key }: Asked,
  { name, consumers }: ConsumerGroup,
): AsyncGenerator<PendingPage> {
  if (consumers.every(([, pending]) => pending === 0)) return;
  for (let from: string | undefined = '-'; from !== undefined; ) {
    const [reply = null] = await ask([['XPENDING', key, name, from, '+', PAGE]]);
    const readAt = performance.now();
    const rows = listIn(reply).map((row): PendingRow => {
      const [id, consumer, idleMs, deliveries] = listIn(row);
      return {
        id: String(id),
        consumer: String(consumer),
        at: Number(idleMs),
        deliveries: Number(deliveries),
      };
    });
    const last = rows.at(-1);
    if (last) yield { rows, delivered: ({ at }) => ['IDLE', Math.round(at + performance.now() - readAt)] };
    from = last && rows.length === PAGE ? idAfter(last.id) : undefined;
  }
}

export function isBefore(one: string, other: string): boolean {
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
