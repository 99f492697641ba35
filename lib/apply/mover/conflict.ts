import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import { askSource, askTarget, type Link } from './link.ts';

/** Two reads of one key's time to live may differ by the time between them. */
const TTL_TOLERANCE_MS = 1000;

/**
 * Compares keys on both ends of an open slot by DUMP and PTTL: DEBUG DIGEST is not to be had on production servers.
 * A key that only one side holds is in neither list.
 */
export async function sortConflicts(
  link: Link,
  keys: readonly string[],
): Promise<{ same: string[]; different: string[] }> {
  // A node answers for a slot it is importing only to a client that says ASKING first; to others that changes nothing.
  const commands = keys.flatMap((key): Command[] => [['ASKING'], ['DUMP', key], ['ASKING'], ['PTTL', key]]);
  const [onSource, onTarget] = await Promise.all([askSource(link, commands), askTarget(link, commands)]);
  const same: string[] = [];
  const different: string[] = [];
  for (const [index, key] of keys.entries()) {
    const here = { dump: found(onSource[4 * index + 1]), ttl: found(onSource[4 * index + 3]) };
    const there = { dump: found(onTarget[4 * index + 1]), ttl: found(onTarget[4 * index + 3]) };
    if (here.dump === null || there.dump === null) continue;
    (here.dump === there.dump && sameTtl(here.ttl, there.ttl) ? same : different).push(key);
  }
  return { same, different };
}

// A node that is giving a slot away answers ASK for keys it does not hold, such as those of a batch that were moved.
function found(reply: Reply | undefined): Reply | undefined {
  if (!(reply instanceof ReplyError)) return reply;
  if (reply.code === 'ASK') return null;
  throw reply;
}

function sameTtl(a: Reply | undefined, b: Reply | undefined): boolean {
  const [one, other] = [Number(a), Number(b)];
  return one < 0 === other < 0 && Math.abs(one - other) <= TTL_TOLERANCE_MS;
}
