import { type Reply, ReplyError } from '../../../resp/index.ts';
import { askAbout, type Link } from './link.ts';

/** Two reads of one key's time to live may differ by the time between them. */
const TTL_TOLERANCE_MS = 1000;

/** Longer values are not read whole to be compared: a DUMP that differs is then difference enough. */
const MOST_BYTES = 1024 * 1024;

/**
 * Compares keys on both ends of an open slot by DUMP and PTTL: DEBUG DIGEST is not to be had on production servers. Sets and
 * hashes come out of DUMP in an order of their own on each node, and servers of other versions write other bytes, so what
 * differs is compared by what clients see of it.
 * A key that only one side holds is in neither list.
 */
export async function sortConflicts(
  link: Link,
  db: number,
  keys: readonly string[],
): Promise<{ same: string[]; different: string[] }> {
  const [here, there] = await Promise.all([read(link, 'source', db, keys), read(link, 'target', db, keys)]);
  const same: string[] = [];
  const different: string[] = [];
  for (const [index, key] of keys.entries()) {
    const [mine, theirs] = [here[index], there[index]];
    if (!mine || !theirs || mine.dump === null || theirs.dump === null) continue;
    const isSame =
      sameTtl(mine.ttl, theirs.ttl) &&
      (mine.dump === theirs.dump || (await sameContent(link, db, key, [mine.dump, theirs.dump])));
    (isSame ? same : different).push(key);
  }
  return { same, different };
}

async function sameContent(link: Link, db: number, key: string, dumps: readonly Reply[]): Promise<boolean> {
  if (dumps.some((dump) => String(dump).length > MOST_BYTES)) return false;
  const [mine, theirs] = await Promise.all([
    contentOf(link, 'source', db, key),
    contentOf(link, 'target', db, key),
  ]);
  return mine !== undefined && mine === theirs;
}

// What clients see of a value, as text; undefined for what cannot be seen whole, such as streams.
async function contentOf(
  link: Link,
  end: 'source' | 'target',
  db: number,
  key: string,
): Promise<string | undefined> {
  const askKey = async (words: readonly string[], more: readonly string[] = []): Promise<Reply> =>
    (await askAbout(link, end, db, words, [key], more))[0] ?? null;
  const type = String(await askKey(['TYPE']));
  switch (type) {
    case 'string':
      return JSON.stringify([type, await askKey(['GET'])]);
    case 'list':
      return JSON.stringify([type, await askKey(['LRANGE'], ['0', '-1'])]);
    case 'zset':
      return JSON.stringify([type, await askKey(['ZRANGE'], ['0', '-1', 'WITHSCORES'])]);
    case 'set':
      return JSON.stringify([type, listOf(await askKey(['SMEMBERS'])).toSorted()]);
    case 'hash': {
      const fields = listOf(await askKey(['HKEYS'])).toSorted();
      const values = await askKey(['HMGET'], fields);
      // Redis 7.4 and Valkey 9.0: fields may have a time to live. An older server refuses the command on both sides.
      const times = await askKey(['HPEXPIRETIME'], ['FIELDS', `${fields.length}`, ...fields]);
      return JSON.stringify([type, fields, values, times instanceof ReplyError ? null : times]);
    }
    default:
      return undefined;
  }
}

function listOf(reply: Reply): string[] {
  return Array.isArray(reply) ? reply.map(String) : [];
}

interface Value {
  readonly dump: Reply;
  readonly ttl: Reply;
}

async function read(
  link: Link,
  end: 'source' | 'target',
  db: number,
  keys: readonly string[],
): Promise<Value[]> {
  const [dumps, ttls] = await Promise.all([
    askAbout(link, end, db, ['DUMP'], keys),
    askAbout(link, end, db, ['PTTL'], keys),
  ]);
  return keys.map((_, index) => ({ dump: found(dumps[index]), ttl: found(ttls[index]) }));
}

// A node that is giving a slot away answers ASK for keys it does not hold, such as those of a batch that were moved.
function found(reply: Reply | undefined): Reply {
  if (reply === undefined) return null;
  if (!(reply instanceof ReplyError)) return reply;
  if (reply.code === 'ASK') return null;
  throw reply;
}

function sameTtl(a: Reply, b: Reply): boolean {
  const [one, other] = [Number(a), Number(b)];
  return one < 0 === other < 0 && Math.abs(one - other) <= TTL_TOLERANCE_MS;
}
