import { slotOfKey } from '../../model/slot.ts';

/** What the name of a key ends with while it is written in parts. */
const MARK = ':redis-trib-unfinished';

/**
 * The name under which a key is written until it is whole. It is of the same slot, so that it can be renamed, and begins with the key, so
 * that the same ACL rules hold. The length makes it the name of this key alone: `x` and `x{x}` have the same beginning.
 */
export function partName(key: string): string {
  const slot = slotOfKey(key);
  const end = `:${key.length}${MARK}`;
  for (const tagged of tagsFor(key)) {
    const name = `${tagged}${end}`;
    if (slotOfKey(name) === slot) return name;
  }
  return '';
}

/** True for names that `partName` gives: what is under them is not data yet. */
export function isPartName(name: string): boolean {
  if (!name.endsWith(MARK)) return false;
  const length = /:(\d+)$/.exec(name.slice(0, -MARK.length))?.[1];
  return length !== undefined && partName(name.slice(0, Number(length))) === name;
}

// A key with a tag keeps it. Most others can be their own tag; a brace in the wrong place takes a number, found by trial.
function* tagsFor(key: string): Generator<string> {
  yield key;
  yield `${key}{${key}}`;
  for (let number = 0; ; number++) yield `${key}{${number}}`;
}
