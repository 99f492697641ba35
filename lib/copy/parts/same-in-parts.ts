import { type Command, ReplyError } from '../../../resp/index.ts';
import { isStream, type PartKind, partIn } from './part-kinds.ts';
import { fieldsOf, fieldTimes, NO_EXPIRY, type PartSource, readParts, type TimedPart } from './read-parts.ts';
import { askTail, type StreamTail, sameTail } from './stream-tail.ts';

/** A value that can be compared in parts. */
export interface HeldValue {
  readonly kind: PartKind;
  /** Number of elements, or bytes of a string. */
  readonly length: number;
  readonly parts: () => AsyncIterable<TimedPart>;
  /** True if it has the elements of this part, fields of hashes with their expiry; of ordered values in the same place. */
  readonly holds: (part: TimedPart) => Promise<boolean>;
  /** What a stream has besides its elements. */
  readonly tail?: () => Promise<StreamTail>;
}

/** A value on a server, as it is compared. */
export function held(source: PartSource): HeldValue {
  const { kind, length } = source;
  return {
    ...{ kind, length, parts: () => readParts(source), holds: (part) => holds(source, part) },
    ...(isStream(kind) ? { tail: () => askTail(source) } : {}),
  };
}

/** True if two values on servers are the same, read in parts. Throws a ReplyError if one of the servers refuses. */
export async function sameInParts(one: PartSource, other: PartSource): Promise<boolean> {
  return sameHeld(held(one), held(other));
}

/** The same of values wherever they are. */
export async function sameHeld(one: HeldValue, other: HeldValue): Promise<boolean> {
  if (!(await sameElements(one, other))) return false;
  return !one.tail || !other.tail || sameTail(await one.tail(), await other.tail());
}

async function sameElements(one: HeldValue, other: HeldValue): Promise<boolean> {
  if (one.kind !== other.kind) return false;
  if (one.kind.isOrdered) return one.length === other.length && holdsAll(one, other);
  // Fields that have expired count until they are deleted.
  return (await holdsAll(one, other)) && (one.length === other.length || holdsAll(other, one));
}

async function holdsAll(one: HeldValue, other: HeldValue): Promise<boolean> {
  for await (const part of one.parts()) {
    if (part.elements.length > 0 && !(await other.holds(part))) return false;
  }
  return true;
}

async function holds(source: PartSource, part: TimedPart): Promise<boolean> {
  const { ask, key, kind, length } = source;
  const { elements, from, times, count } = part;
  if (kind.isOrdered) {
    const [reply] = await ask([kind.read(key, from, count)]);
    const found = partIn(kind, reply, from, count, length).elements;
    return (
      found.length === elements.length && elements.every((text, at) => isSame(kind, text, found[at], at))
    );
  }
  if (kind.length === 'SCARD') {
    const replies = await ask(elements.map((member): Command => ['SISMEMBER', key, member]));
    return replies.every((reply) => {
      if (reply instanceof ReplyError) throw reply;
      return reply === 1;
    });
  }
  const fields = fieldsOf(elements);
  const [values] = await ask([['HMGET', key, ...fields]]);
  if (!Array.isArray(values)) throw values;
  const theirs = await fieldTimes(source, fields);
  return fields.every(
    (field, at) => elements[2 * at + 1] === values[at] && (times.get(field) ?? NO_EXPIRY) === theirs[at],
  );
}

// Servers differ in how many digits of a score they write.
function isSame({ width }: PartKind, text: string, other: string | undefined, at: number): boolean {
  if (text === other) return true;
  // All write infinities alike.
  const number = at % width === 1 ? Number(text) : Number.NaN;
  return !Number.isNaN(number) && Object.is(number, Number(other));
}
