import { streamEntries, streamNumbers } from '../../rdb/stream-value.ts';
import type { Value } from '../../rdb/value.ts';
import { decodedTail } from './decoded-stream.ts';
import { MOST_ELEMENTS, PART_BYTES, partKindOf } from './part-kinds.ts';
import { NO_EXPIRY, type TimedPart } from './read-parts.ts';
import type { HeldValue } from './same-in-parts.ts';

/** What is counted as one. */
interface Element {
  /** A field is followed by its value, a member by its score, an id by the number of fields and values, and these. */
  readonly texts: readonly string[];
  /** When it expires, in milliseconds since 1970. */
  readonly time?: number | undefined;
}

/** A value of a file, in parts, without the fields that have expired by `now`, in milliseconds since 1970. */
export function decodedValue(value: Value, now: number): HeldValue | undefined {
  const kind = partKindOf(value.kind);
  if (!kind) return undefined;
  const { elements, length } = elementsOf(value, now);
  const known = new Map<string, string>();
  return {
    ...{ kind, length, parts: () => partsOf(elements(), value.kind) },
    ...(value.kind === 'stream' ? { tail: async () => decodedTail(value) } : {}),
    // Nothing but a hash can have more elements and be the same: those that have expired.
    holds: async ({ elements: texts, times }) => {
      if (value.kind !== 'hash') return false;
      if (known.size === 0)
        for (const {
          texts: [field = '', text],
          time,
        } of elements())
          known.set(field, `${time ?? NO_EXPIRY} ${text}`);
      return texts.every(
        (field, at) =>
          at % 2 === 1 || known.get(field) === `${times.get(field) ?? NO_EXPIRY} ${texts[at + 1]}`,
      );
    },
  };
}

function elementsOf(
  value: Value,
  now: number,
): { readonly elements: () => Iterable<Element>; readonly length: number } {
  // Entries of a stream are many small texts: they are read as they are wanted.
  if (value.kind === 'stream')
    return { elements: () => entriesOf(value), length: streamNumbers(value).length };
  const elements = plainElements(value, now);
  return { elements: () => elements, length: value.kind === 'string' ? value.text.length : elements.length };
}

function* entriesOf({ nodes }: Extract<Value, { kind: 'stream' }>): Generator<Element> {
  for (const [id, flat] of streamEntries(nodes)) yield { texts: [id, `${flat.length}`, ...flat] };
}

function plainElements(value: Exclude<Value, { kind: 'stream' }>, now: number): Element[] {
  switch (value.kind) {
    case 'string':
      return Array.from({ length: Math.ceil(value.text.length / PART_BYTES) }, (_, index) => ({
        texts: [value.text.slice(index * PART_BYTES, (index + 1) * PART_BYTES)],
      }));
    case 'list':
      return value.items.map((text) => ({ texts: [text] }));
    case 'set':
      return value.members.map((text) => ({ texts: [text] }));
    case 'zset':
      return (
        value.members
          .map(({ member, score }) => ({ member, number: Buffer.from(score, 'latin1').readDoubleLE() }))
          // As servers order them: an RDB file has them in any order.
          .sort((one, other) => one.number - other.number || (one.member < other.member ? -1 : 1))
          .map(({ member, number }) => ({ texts: [member, scoreText(number)] }))
      );
    case 'hash': {
      return value.fields
        .filter(({ expiresAt = now + 1 }) => expiresAt > now)
        .map(({ field, value: text, expiresAt }) => ({ texts: [field, text], time: expiresAt }));
    }
  }
}

/** As servers read it back to the bit. */
function scoreText(score: number): string {
  return Object.is(score, -0) ? '-0' : String(score).replace('Infinity', 'inf');
}

async function* partsOf(elements: Iterable<Element>, kind: Value['kind']): AsyncGenerator<TimedPart> {
  let part: Element[] = [];
  let [bytes, place] = [0, 0];
  const taken = (): TimedPart => {
    const count = kind === 'string' ? bytes : part.length;
    const times = part.flatMap(({ texts: [field = ''], time }) =>
      time === undefined ? [] : [[field, time] as const],
    );
    return {
      elements: part.flatMap(({ texts }) => texts),
      count,
      bytes,
      from: kind === 'stream' ? (part[0]?.texts[0] ?? '-') : `${place}`,
      next: undefined,
      times: new Map(times),
    };
  };
  for (const element of elements) {
    const size = element.texts.reduce((sum, text) => sum + text.length, 0);
    if (part.length >= MOST_ELEMENTS || (part.length > 0 && bytes + size > PART_BYTES)) {
      const full = taken();
      yield full;
      place += full.count;
      [part, bytes] = [[], 0];
    }
    part.push(element);
    bytes += size;
  }
  if (part.length > 0) yield taken();
}
