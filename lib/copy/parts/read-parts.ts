import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { firstCount, nextCount, type Part, type PartKind, partIn } from './part-kinds.ts';

/** Sends commands to the server that has a key. Error replies are values. */
export type Ask = (commands: readonly Command[]) => Promise<readonly Reply[]>;

/** A value that is to be read in parts. */
export interface PartSource {
  readonly ask: Ask;
  readonly key: string;
  readonly kind: PartKind;
  /** Number of elements, or bytes of a string. */
  readonly length: number;
  /** What it takes, by MEMORY USAGE. */
  readonly bytes: number;
  /** It is a hash whose fields may expire. */
  readonly mayExpire: boolean;
}

/** A part of a value, and of a hash when fields expire, in milliseconds since 1970, for those that do. */
export interface TimedPart extends Part {
  readonly times: ReadonlyMap<string, number>;
}

/** Reads a value in parts. The next one is asked for before the last is used. Throws a ReplyError if the server refuses. */
export async function* readParts(source: PartSource): AsyncGenerator<TimedPart> {
  const { kind, bytes, length } = source;
  let count = firstCount(kind, bytes, length);
  let coming: Promise<TimedPart> | undefined = readPart(source, '0', count);
  while (coming) {
    const part: TimedPart = await coming;
    count = nextCount(kind, part, count);
    coming = part.next === undefined ? undefined : readPart(source, part.next, count);
    coming?.catch(() => {});
    yield part;
  }
}

async function readPart(source: PartSource, from: string, count: number): Promise<TimedPart> {
  const { ask, key, kind, length, mayExpire } = source;
  const [reply] = await ask([kind.read(key, from, count)]);
  const part = partIn(kind, reply, from, count, length);
  if (!mayExpire || part.elements.length === 0) return { ...part, times: new Map() };
  const fields = fieldsOf(part.elements);
  const expiries = await fieldTimes(source, fields);
  const times = new Map<string, number>();
  for (const [index, field] of fields.entries()) {
    const time = expiries[index] ?? NO_EXPIRY;
    if (time >= 0) times.set(field, time);
  }
  // Those that have expired since are left out.
  return { ...part, elements: part.elements.filter((_, index) => expiries[index >> 1] !== GONE), times };
}

/** The fields in what HSCAN lists. */
export function fieldsOf(elements: readonly string[]): string[] {
  return elements.filter((_, index) => index % 2 === 0);
}

/** Of a field that does not expire. */
export const NO_EXPIRY = -1;
/** Of a field that does not exist. */
const GONE = -2;

/** When fields expire, as HPEXPIRETIME says. */
export async function fieldTimes(
  { ask, key, mayExpire }: PartSource,
  fields: readonly string[],
): Promise<number[]> {
  if (!mayExpire) return fields.map(() => NO_EXPIRY);
  const [reply] = await ask([['HPEXPIRETIME', key, 'FIELDS', fields.length, ...fields]]);
  if (reply instanceof ReplyError) throw reply;
  // Some servers answer null for a key that does not exist.
  return Array.isArray(reply) ? reply.map(Number) : fields.map(() => GONE);
}

/** True if the server does not know the command, or these arguments. */
export function isUnknown({ message }: ReplyError): boolean {
  return /^ERR (?:unknown (?:sub)?command|wrong number of arguments)/i.test(message);
}
