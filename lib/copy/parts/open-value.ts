import type { Command, Reply } from '../../../resp/index.ts';
import { ReplyError } from '../../../resp/index.ts';
import type { LifeQuestion } from '../../nodes/server-clock.ts';
import { partKindOf } from './part-kinds.ts';
import { type Ask, isUnknown, type PartSource } from './read-parts.ts';

/** A key that is there. */
export interface OpenValue extends Omit<PartSource, 'kind'> {
  /** Undefined if values of its type are not read in parts. */
  readonly kind: PartSource['kind'] | undefined;
  /** What was left of its life when it was read; undefined for a key that does not expire. */
  readonly ttlMs: number | undefined;
  /** `performance.now()` when it was read. */
  readonly readAt: number;
}

/**
 * Finds out what a key is. Resolves to undefined if it does not exist. With `isWatched` the next transaction on the connection fails if it
 * changes before that. Throws a ReplyError if the server refuses.
 */
export async function openValue(
  ask: Ask,
  key: string,
  isWatched: boolean,
  life: LifeQuestion,
): Promise<OpenValue | undefined> {
  // Refused by the ACL, EXEC gives another error than this. After MULTI it would be too late to learn that.
  const watch: Command[] = isWatched ? [['EXEC'], ['WATCH', key]] : [];
  const replies = await ask([...watch, ['TYPE', key], ['MEMORY', 'USAGE', key], ...life.commands(key)]);
  const readAt = performance.now();
  const [type, bytes] = replies.slice(watch.length, watch.length + 2).map(accepted);
  const ttlMs = life.left(replies.slice(watch.length + 2), readAt);
  if (isWatched) for (const reply of replies.slice(0, 2)) if (!isOutsideOfMulti(reply)) accepted(reply);
  if (type === 'none') return undefined;
  const kind = partKindOf(type);
  const value = { ask, key, bytes: Number(bytes), ttlMs, readAt };
  if (!kind) return { ...value, kind, length: 0, mayExpire: false };
  const questions: Command[] = kind.length === 'HLEN' ? expiryQuestions(key) : [];
  const [length = null, ...answers] = await ask([[kind.length, key], ...questions]);
  const mayExpire = questions.length > 0 && someFieldsExpire(answers);
  return { ...value, kind, length: Number(accepted(length)), mayExpire };
}

/** What to ask to learn whether fields of a hash may expire: to ask for each of them costs as much as to read them. */
function expiryQuestions(key: string): Command[] {
  return [
    ['HPEXPIRETIME', key, 'FIELDS', 1, ''],
    ['INFO', 'keyspace'],
  ];
}

/** False if the server does not know such fields, or has no hash that has some. Throws a ReplyError if it refuses. */
function someFieldsExpire([when, info]: readonly Reply[]): boolean {
  if (when instanceof ReplyError && isUnknown(when)) return false;
  accepted(when ?? null);
  const counts = [...String(info).matchAll(/,(?:subexpiry|keys_with_volatile_items)=(\d+)/g)];
  return counts.length === 0 || counts.some(([, count]) => count !== '0');
}

function accepted(reply: Reply): Reply {
  if (reply instanceof ReplyError) throw reply;
  return reply;
}

function isOutsideOfMulti(reply: Reply): boolean {
  return reply instanceof ReplyError && /EXEC without MULTI/i.test(reply.message);
}

/** What is left of a time to live. */
export function ttlNow({ ttlMs, readAt }: Pick<OpenValue, 'ttlMs' | 'readAt'>): number | undefined {
  // A key that has expired since must expire at once: a time of 0 would mean that it never does.
  return ttlMs === undefined ? undefined : Math.max(1, Math.round(ttlMs - (performance.now() - readAt)));
}
