import { type Command, ReplyError } from '../../../resp/index.ts';
import { isStream, type PartKind, partIn } from './part-kinds.ts';
import { fieldsOf, fieldTimes, NO_EXPIRY, type PartSource, readParts, type TimedPart } from './read-parts.ts';
import { sameTail } from './stream-tail.ts';

/**
 * True if two values of one type are the same, read in parts; fields of hashes with their expiry. Throws a ReplyError if one of the
 * servers refuses.
 */
export async function sameInParts(one: PartSource, other: PartSource): Promise<boolean> {
  if (one.kind !== other.kind) return false;
  if (one.kind.isOrdered) {
    const isSame = one.length === other.length && (await holdsAll(one, other));
    return isSame && (!isStream(one.kind) || sameTail(one, other));
  }
  // Fields that have expired count until they are deleted.
  return (await holdsAll(one, other)) && (one.length === other.length || holdsAll(other, one));
}

async function holdsAll(one: PartSource, other: PartSource): Promise<boolean> {
  for await (const part of readParts(one)) {
    if (part.elements.length > 0 && !(await holds(other, part))) return false;
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
  return (
    text === other || (at % width === 1 && other !== undefined && Object.is(Number(text), Number(other)))
  );
}
