import { type Command, type Reply, ReplyError } from '../../resp/index.ts';

/** Two reads of one key's time to live may differ by the time between them. */
const TTL_TOLERANCE_MS = 1000;

/** Longer values are not read whole to compare them: if the DUMP differs, they count as different. */
export const MOST_COMPARED_BYTES: number = 1024 * 1024;

/**
 * What clients see of a value, as text; undefined for a value that cannot be seen whole, such as a stream. Each node dumps sets
 * and hashes in its own order, and servers of other versions write other bytes. `ask` sends one command to the node that holds
 * the key, and returns errors as values.
 */
export async function contentOf(
  ask: (command: Command) => Promise<Reply>,
  key: string,
): Promise<string | undefined> {
  const type = String(await ask(['TYPE', key]));
  switch (type) {
    case 'string':
      return JSON.stringify([type, await ask(['GET', key])]);
    case 'list':
      return JSON.stringify([type, await ask(['LRANGE', key, '0', '-1'])]);
    case 'zset':
      return JSON.stringify([type, await ask(['ZRANGE', key, '0', '-1', 'WITHSCORES'])]);
    case 'set':
      return JSON.stringify([type, listOf(await ask(['SMEMBERS', key])).toSorted()]);
    case 'hash': {
      const fields = listOf(await ask(['HKEYS', key])).toSorted();
      const values = await ask(['HMGET', key, ...fields]);
      // Redis 7.4 and Valkey 9.0: fields may have a time to live. An older server refuses the command on both sides.
      const times = await ask(['HPEXPIRETIME', key, 'FIELDS', `${fields.length}`, ...fields]);
      return JSON.stringify([type, fields, values, times instanceof ReplyError ? null : times]);
    }
    default:
      return undefined;
  }
}

function listOf(reply: Reply): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

/** Reads the reply of PTTL: milliseconds, undefined for a key that does not expire. */
export function ttlOf(reply: Reply): number | undefined {
  const ttlMs = Number(reply);
  return ttlMs < 0 ? undefined : ttlMs;
}

/** True if two times to live are the same except for the time between their reads, of which `slackMs` is known. */
export function sameTtl(one: number | undefined, other: number | undefined, slackMs = 0): boolean {
  if (one === undefined || other === undefined) return one === other;
  return Math.abs(one - other) <= TTL_TOLERANCE_MS + slackMs;
}
