import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { addEntries, flatEntries, idAfter } from './stream-entries.ts';

/** Bytes that are read or written at once: servers handle this much in a few milliseconds. */
export const PART_BYTES: number = 512 * 1024;
/** Most elements at once. */
export const MOST_ELEMENTS = 5000;

/** A part of a value. */
export interface Part {
  /** Flat, as the reply to `read` lists them. */
  readonly elements: readonly string[];
  /** How many there are, as `length` counts them. */
  readonly count: number;
  readonly bytes: number;
  /** Where it begins: a place, or a cursor. */
  readonly from: string;
  /** Where the next part begins; undefined after the last. */
  readonly next: string | undefined;
}

/** How values of a type are read and written in parts. */
export interface PartKind {
  /** The command that says how many elements, or bytes of a string, there are. */
  readonly length: string;
  /** Parts are found by their place, not by a cursor that only one server knows. */
  readonly isOrdered: boolean;
  /** Reads a part from a place, or a cursor, on. */
  readonly read: (key: string, from: string, count: number) => Command;
  /** Adds elements to a value, or begins it. */
  readonly write: (key: string, elements: readonly string[]) => Command[];
  /** Elements in the reply for each one that is counted; entries of streams differ. */
  readonly width: number;
}

const toPlace = (from: string, count: number): string => `${Number(from) + count - 1}`;
const scored = (elements: readonly string[]): string[] =>
  elements.map((_, index) => elements[index ^ 1] ?? '');

const KINDS: Readonly<Record<string, PartKind>> = {
  string: {
    ...{ length: 'STRLEN', isOrdered: true, width: 1 },
    read: (key, from, count) => ['GETRANGE', key, from, toPlace(from, count)],
    write: (key, elements) => [['APPEND', key, ...elements]],
  },
  list: {
    ...{ length: 'LLEN', isOrdered: true, width: 1 },
    read: (key, from, count) => ['LRANGE', key, from, toPlace(from, count)],
    write: (key, elements) => [['RPUSH', key, ...elements]],
  },
  zset: {
    ...{ length: 'ZCARD', isOrdered: true, width: 2 },
    read: (key, from, count) => ['ZRANGE', key, from, toPlace(from, count), 'WITHSCORES'],
    write: (key, elements) => [['ZADD', key, ...scored(elements)]],
  },
  set: {
    ...{ length: 'SCARD', isOrdered: false, width: 1 },
    read: (key, from, count) => ['SSCAN', key, from, 'COUNT', count],
    write: (key, elements) => [['SADD', key, ...elements]],
  },
  hash: {
    ...{ length: 'HLEN', isOrdered: false, width: 2 },
    read: (key, from, count) => ['HSCAN', key, from, 'COUNT', count],
    write: (key, elements) => [['HSET', key, ...elements]],
  },
  // What there is besides entries follows them: see stream-tail.ts.
  stream: {
    ...{ length: 'XLEN', isOrdered: true, width: 1 },
    read: (key, from, count) => ['XRANGE', key, from, '+', 'COUNT', count],
    write: addEntries,
  },
};

/** True for streams, which have more than their elements. */
export function isStream({ length }: PartKind): boolean {
  return length === 'XLEN';
}

/** How values of this TYPE are read and written in parts. Undefined for types of modules. */
export function partKindOf(type: Reply | undefined): PartKind | undefined {
  return typeof type === 'string' && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
}

/** How many elements, or bytes of a string, to read first of a value of this size. */
export function firstCount(kind: PartKind, bytes: number, length: number): number {
  return kind.length === 'STRLEN' ? PART_BYTES : countFor(bytes, length);
}

/** How many to read after a part of which `count` were asked for. */
export function nextCount(kind: PartKind, part: Part, count: number): number {
  if (kind.length === 'STRLEN' || part.count === 0) return count;
  return Math.min(2 * count, countFor(part.bytes, part.count));
}

function countFor(bytes: number, elements: number): number {
  return Math.max(1, Math.min(MOST_ELEMENTS, Math.floor((PART_BYTES * elements) / Math.max(1, bytes))));
}

/** Takes the reply to `read`. Throws the error that it is, and a TypeError if it is none of its replies. */
export function partIn(
  kind: PartKind,
  reply: Reply | undefined,
  from: string,
  count: number,
  length: number,
): Part {
  if (reply instanceof ReplyError) throw reply;
  if (isStream(kind)) return entriesIn(reply, from, count);
  const [cursor, list] = kind.isOrdered ? [undefined, reply] : Array.isArray(reply) ? reply : [];
  const elements = typeof list === 'string' ? [list] : list;
  if (!Array.isArray(elements)) throw new TypeError(`no part of a value: ${JSON.stringify(reply)}`);
  const texts = elements.map(String);
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  const place = Number(from) + count;
  const next = kind.isOrdered ? (place < length ? `${place}` : undefined) : String(cursor);
  const found = kind.length === 'STRLEN' ? bytes : texts.length / kind.width;
  return { elements: texts, count: found, bytes, from, next: next === '0' ? undefined : next };
}

function entriesIn(reply: Reply | undefined, from: string, asked: number): Part {
  const elements = flatEntries(reply);
  if (!elements || !Array.isArray(reply)) throw new TypeError(`no entries: ${JSON.stringify(reply)}`);
  const count = reply.length;
  const bytes = elements.reduce((sum, text) => sum + text.length, 0);
  const last = count < asked ? undefined : reply.at(-1);
  const next = Array.isArray(last) ? idAfter(String(last[0])) : undefined;
  return { elements, count, bytes, from, next };
}
