import { type Reply, ReplyError } from '../../../resp/index.ts';
import { contentOf, MOST_COMPARED_BYTES, sameTtl } from '../key-content.ts';
import { askAbout, type Link } from './link.ts';

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
  if (dumps.some((dump) => String(dump).length > MOST_COMPARED_BYTES)) return false;
  const contentAt = (end: 'source' | 'target') =>
    contentOf(
      async ([word = '', , ...more]) =>
        (await askAbout(link, end, db, [String(word)], [key], more.map(String)))[0] ?? null,
      key,
    );
  const [mine, theirs] = await Promise.all([contentAt('source'), contentAt('target')]);
  return mine !== undefined && mine === theirs;
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
