import { readListpack } from './packed.ts';
import { RdbBytes, RdbFault, times } from './rdb-bytes.ts';
import { skipProducers } from './rdb-values.ts';
import { lengthOf, stringOf } from './write.ts';

/**
 * A stream. Its parts are kept as they are written, since all versions write them alike: numbers with their encoding, ids as
 * 16 bytes, times as 8 bytes. Newer versions only add parts.
 */
export interface Stream {
  readonly kind: 'stream';
  /** 1 to 4: RDB types 15, 19, 21 and 26. */
  readonly version: number;
  /** The entries in listpacks, each with the id of its first entry. */
  readonly nodes: readonly (readonly [id: string, listpack: string])[];
  /** Number of entries, and the last id. */
  readonly counts: string;
  /** From version 2: first id, largest deleted id, number of entries ever added. */
  readonly history: string;
  readonly groups: readonly StreamGroup[];
  /** It remembers producers, or has limits of its own for that. Only version 4 has them, and they are not read. */
  readonly hasProducers: boolean;
}

export interface StreamGroup {
  readonly name: string;
  readonly lastId: string;
  /** From version 2: number of entries read. */
  readonly read: string;
  /** Pending entries: id, delivery time and delivery count of each, with their number before them. */
  readonly pending: string;
  readonly consumers: readonly Consumer[];
}

interface Consumer {
  readonly name: string;
  readonly seenAt: string;
  /** From version 3. */
  readonly activeAt: string;
  /** Ids of pending entries, with their number before them. */
  readonly pending: string;
}

const ID_BYTES = 16;
const TIME_BYTES = 8;

/** Reads a stream of this version. What version 4 adds, the entries that producers are known to have sent, is read over. */
export function readStream(bytes: RdbBytes, version: number): Stream {
  const numbers = (count: number) => raw(bytes, () => times(count, () => bytes.length()));
  const nodes = times(bytes.length(), () => [bytes.string(), bytes.string()] as const);
  const counts = numbers(3);
  const history = numbers(version >= 2 ? 5 : 0);
  const groups = times(bytes.length(), () => ({
    name: bytes.string(),
    lastId: numbers(2),
    read: numbers(version >= 2 ? 1 : 0),
    pending: raw(bytes, () =>
      times(bytes.length(), () => {
        bytes.skip(ID_BYTES + TIME_BYTES);
        bytes.length();
      }),
    ),
    consumers: times(bytes.length(), () => ({
      name: bytes.string(),
      seenAt: bytes.raw(TIME_BYTES),
      activeAt: bytes.raw(version >= 3 ? TIME_BYTES : 0),
      pending: raw(bytes, () => times(bytes.length(), () => bytes.skip(ID_BYTES))),
    })),
  }));
  const hasProducers = version >= 4 && skipProducers(bytes);
  return { kind: 'stream', version, nodes, counts, history, groups, hasProducers };
}

/** Writes a stream in a version that is not newer than its own. */
export function writeStream({ nodes, counts, history, groups }: Stream, version: number): string {
  return [
    lengthOf(nodes.length),
    ...nodes.flatMap(([id, listpack]) => [stringOf(id), stringOf(listpack)]),
    counts,
    version >= 2 ? history : '',
    lengthOf(groups.length),
    ...groups.flatMap(({ name, lastId, read, pending, consumers }) => [
      stringOf(name),
      lastId,
      version >= 2 ? read : '',
      pending,
      lengthOf(consumers.length),
      ...consumers.flatMap(({ name, seenAt, activeAt, pending }) => [
        stringOf(name),
        seenAt,
        version >= 3 ? activeAt : '',
        pending,
      ]),
    ]),
  ].join('');
}

/**
 * What a stream holds, as text, as far as this version writes it. Streams with the same entries may have them in other listpacks. When an entry was
 * delivered, and a consumer last seen, is left out: commands cannot write that exactly.
 */
export function streamContent({ nodes, counts, history, groups }: Stream, version: number): string {
  const hasMore = version >= 2;
  return JSON.stringify([
    [...streamEntries(nodes)],
    counts,
    hasMore ? history : '',
    groups.map(({ name, lastId, read, pending, consumers }) => [
      ...[name, lastId, hasMore ? read : '', deliveriesIn(pending)],
      consumers.map((consumer) => [consumer.name, consumer.pending]),
    ]),
  ]);
}

const [IS_DELETED, HAS_SAME_FIELDS] = [1, 2];

/** An entry: its id, and its fields and values. */
export type StreamEntry = readonly [id: string, flat: readonly string[]];

/** The entries of a stream, in the order of their ids. */
export function* streamEntries(nodes: Stream['nodes']): Generator<StreamEntry> {
  for (const [id, listpack] of nodes) yield* entriesIn(id, listpack);
}

/** Entries of a listpack (streamAppendItem): the ids are counted from the one of the first, and most have its fields. */
function* entriesIn(firstId: string, listpack: string): Generator<StreamEntry> {
  const [ms, sequence] = idNumbers(firstId);
  const elements = readListpack(listpack) ?? [];
  const numberAt = (at: number): bigint => {
    const text = elements[at] ?? '';
    if (!/^-?\d+$/.test(text)) throw new RdbFault('entries of a stream that cannot be read', at);
    return BigInt(text);
  };
  const lengthAt = (at: number): number => Math.abs(Number(numberAt(at)));
  const named = lengthAt(2);
  const fields = elements.slice(3, 3 + named);
  // After the fields of the first entry there is a 0, and after each entry the number of its elements.
  for (let at = 4 + named; at < elements.length; ) {
    const flags = lengthAt(at);
    const [afterMs, afterSequence] = [numberAt(at + 1), numberAt(at + 2)];
    const hasSame = (flags & HAS_SAME_FIELDS) !== 0;
    const length = hasSame ? named : 2 * lengthAt(at + 3);
    const from = at + (hasSame ? 3 : 4);
    const texts = elements.slice(from, from + length);
    const flat = hasSame ? texts.flatMap((text, index) => [fields[index] ?? '', text]) : texts;
    if (!(flags & IS_DELETED)) yield [idText([ms + afterMs, sequence + afterSequence]), flat];
    at = from + length + 1;
  }
}

function idNumbers(id: string): [ms: bigint, sequence: bigint] {
  const bytes = Buffer.from(id, 'latin1');
  return [bytes.readBigUInt64BE(0), bytes.readBigUInt64BE(8)];
}

/** An id as commands write it. */
function idText([ms = 0n, sequence = 0n]: readonly bigint[]): string {
  return `${BigInt.asUintN(64, ms)}-${BigInt.asUintN(64, sequence)}`;
}

/** What the numbers of a stream and of a group say, with ids as commands write them. */
export function streamNumbers({ counts, history }: Pick<Stream, 'counts' | 'history'>): {
  readonly length: number;
  readonly lastId: string;
  readonly counts: { readonly added: number; readonly maxDeletedId: string } | undefined;
} {
  const [length = 0n, ...lastId] = numbersIn(counts);
  const [, , ms = 0n, sequence = 0n, added] = numbersIn(history);
  return {
    length: Number(length),
    lastId: idText(lastId),
    counts: added === undefined ? undefined : { added: Number(added), maxDeletedId: idText([ms, sequence]) },
  };
}

/** A pending entry of a group. */
export interface PendingEntry {
  readonly id: string;
  readonly consumer: string;
  /** In milliseconds since 1970. */
  readonly deliveredAt: number;
  readonly deliveries: number;
}

/** The pending entries of a group, in the order of their ids. */
export function* pendingEntries({ pending, consumers }: StreamGroup): Generator<PendingEntry> {
  const owners = new Map<string, string>();
  for (const consumer of consumers) for (const id of idsOf(consumer)) owners.set(id, consumer.name);
  const bytes = bytesOf(pending);
  for (let left = bytes.length(); left > 0; left--) {
    const id = bytes.raw(ID_BYTES);
    const [deliveredAt, deliveries] = [bytes.time(), bytes.length()];
    yield { id: idText(idNumbers(id)), consumer: owners.get(id) ?? '', deliveredAt, deliveries };
  }
}

/** What a group has besides its pending entries. */
export function groupNumbers({ lastId, read, consumers }: StreamGroup): {
  readonly lastId: string;
  /** Number of entries read; null if that is not known. */
  readonly read: number | null;
  readonly consumers: readonly (readonly [name: string, pending: number])[];
} {
  const [count = UNKNOWN] = numbersIn(read);
  return {
    lastId: idText(numbersIn(lastId)),
    read: count === UNKNOWN ? null : Number(count),
    consumers: consumers.map(({ name, pending }) => [name, bytesOf(pending).length()]),
  };
}

/** -1, as an unsigned number (SCG_INVALID_ENTRIES_READ). */
const UNKNOWN = 2n ** 64n - 1n;

function numbersIn(text: string): bigint[] {
  const bytes = bytesOf(text);
  const numbers: bigint[] = [];
  while (bytes.available > 0) numbers.push(bytes.exactLength());
  return numbers;
}

function idsOf({ pending }: Consumer): string[] {
  const bytes = bytesOf(pending);
  return times(bytes.length(), () => bytes.raw(ID_BYTES));
}

function bytesOf(text: string): RdbBytes {
  const bytes = new RdbBytes();
  bytes.add(Buffer.from(text, 'latin1'));
  return bytes;
}

/** The ids of pending entries, each with how often it was delivered. */
function deliveriesIn(pending: string): unknown[] {
  const bytes = bytesOf(pending);
  return times(bytes.length(), () => {
    const id = bytes.raw(ID_BYTES);
    bytes.skip(TIME_BYTES);
    return [id, bytes.length()];
  });
}

function raw(bytes: RdbBytes, skip: () => void): string {
  const from = bytes.at;
  skip();
  const length = bytes.at - from;
  bytes.at = from;
  return bytes.raw(length);
}
