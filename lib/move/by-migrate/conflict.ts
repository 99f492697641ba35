import { type Reply, ReplyError } from '../../../resp/index.ts';
import { contentOf, MOST_COMPARED_BYTES, sameTtl, ttlOf } from '../../nodes/key-content.ts';
import { inParallel } from '../../nodes/parallel.ts';
import { askAbout, type Ends } from '../ends.ts';
import type { KeyCopy } from './prove-target.ts';

/**
 * What a key on the source is beside the target's: `newer` if the target still has what this run had copied from the source, `gone`
 * if the source has it no more, `alone` if the target does not have it.
 */
export type Verdict = 'same' | 'newer' | 'different' | 'alone' | 'gone';

/**
 * Compares keys on both ends of an open slot by DUMP and PTTL: production servers do not offer DEBUG DIGEST. Each node dumps sets
 * and hashes in its own order, and other versions write other bytes, so values whose DUMP differs are compared by what clients
 * see. One verdict for each key, in order. Rule 24 (docs/moving-slots.md).
 */
export async function compareCopies(
  ends: Ends,
  db: number,
  keys: readonly string[],
  copy?: KeyCopy,
): Promise<Verdict[]> {
  const [here, there] = await Promise.all([read(ends, 'source', db, keys), read(ends, 'target', db, keys)]);
  return inParallel(keys, async (key, index): Promise<Verdict> => {
    const [mine, theirs] = [here[index], there[index]];
    if (!mine || mine.dump === null) return 'gone';
    if (!theirs || theirs.dump === null) return 'alone';
    const isSame =
      sameTtl(ttlOf(mine.ttl), ttlOf(theirs.ttl)) &&
      (mine.dump === theirs.dump || (await sameContent(ends, db, key, [mine.dump, theirs.dump])));
    if (isSame) return 'same';
    return key === copy?.key && theirs.dump === copy.dump ? 'newer' : 'different';
  });
}

/** What is known of the target's copies besides their values. */
export interface Known {
  /** What this run has put there. */
  readonly copy?: KeyCopy | undefined;
  /** The operator gives up the values of the target, which does not own the slot. */
  readonly overwrites?: boolean;
}

/** The keys that both ends hold, by whether the target's value may be overwritten. A key that only one side holds is in neither list. */
export async function sortConflicts(
  ends: Ends,
  db: number,
  keys: readonly string[],
  { copy, overwrites = false }: Known = {},
): Promise<{ replaceable: string[]; different: string[] }> {
  const verdicts = await compareCopies(ends, db, keys, copy);
  const isReplaceable = (verdict: Verdict | undefined): boolean =>
    verdict === 'same' || verdict === 'newer' || (verdict === 'different' && overwrites);
  return {
    replaceable: keys.filter((_, index) => isReplaceable(verdicts[index])),
    different: keys.filter((_, index) => verdicts[index] === 'different' && !overwrites),
  };
}

async function sameContent(ends: Ends, db: number, key: string, dumps: readonly Reply[]): Promise<boolean> {
  if (dumps.some((dump) => String(dump).length > MOST_COMPARED_BYTES)) return false;
  const contentAt = (end: 'source' | 'target') =>
    contentOf(
      async ([word = '', , ...more]) =>
        (await askAbout(ends, end, db, [String(word)], [key], more.map(String)))[0] ?? null,
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
  ends: Ends,
  end: 'source' | 'target',
  db: number,
  keys: readonly string[],
): Promise<Value[]> {
  const [dumps, ttls] = await Promise.all([
    askAbout(ends, end, db, ['DUMP'], keys),
    askAbout(ends, end, db, ['PTTL'], keys),
  ]);
  return keys.map((_, index) => ({ dump: found(dumps[index]), ttl: found(ttls[index]) }));
}

// A node that gives a slot away answers ASK for keys that it does not hold, such as those of a batch already moved.
function found(reply: Reply | undefined): Reply {
  if (reply === undefined) return null;
  if (!(reply instanceof ReplyError)) return reply;
  if (reply.code === 'ASK') return null;
  throw reply;
}
