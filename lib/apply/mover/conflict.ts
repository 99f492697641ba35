import type { Command, Reply } from '../../../resp/index.ts';
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
  const [onSource, onTarget] = await Promise.all([
    askSource(
      link,
      keys.flatMap((key): Command[] => [
        ['DUMP', key],
        ['PTTL', key],
      ]),
    ),
    // The target answers for a slot it is importing only to a client that says ASKING first.
    askTarget(
      link,
      keys.flatMap((key): Command[] => [['ASKING'], ['DUMP', key], ['ASKING'], ['PTTL', key]]),
    ),
  ]);
  const same: string[] = [];
  const different: string[] = [];
  for (const [index, key] of keys.entries()) {
    const here = { dump: onSource[2 * index], ttl: onSource[2 * index + 1] };
    const there = { dump: onTarget[4 * index + 1], ttl: onTarget[4 * index + 3] };
    for (const reply of [here.dump, here.ttl, there.dump, there.ttl]) if (reply instanceof Error) throw reply;
    if (here.dump === null || there.dump === null) continue;
    (here.dump === there.dump && sameTtl(here.ttl, there.ttl) ? same : different).push(key);
  }
  return { same, different };
}

function sameTtl(a: Reply | undefined, b: Reply | undefined): boolean {
  const [one, other] = [Number(a), Number(b)];
  return one < 0 === other < 0 && Math.abs(one - other) <= TTL_TOLERANCE_MS;
}
