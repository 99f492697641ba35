import { type Reply, ReplyError } from '../../../resp/index.ts';
import { askAbout, type Link } from './link.ts';

/** Two reads of one key's time to live may differ by the time between them. */
const TTL_TOLERANCE_MS = 1000;

/**
 * Compares keys on both ends of an open slot by DUMP and PTTL: DEBUG DIGEST is not to be had on production servers.
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
    (mine.dump === theirs.dump && sameTtl(mine.ttl, theirs.ttl) ? same : different).push(key);
  }
  return { same, different };
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
