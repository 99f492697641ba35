import { slotOfKey } from '../../model/slot.ts';

/** What the name of a key ends with while it is written in parts. */
const UNFINISHED = ':redis-trib-unfinished';
/** What the name of a stream ends with at the source while it is deleted there. */
const LEAVING = ':redis-trib-leaving';

/** The name under which a key is written until it is whole. */
export function partName(key: string): string {
  return markedName(key, UNFINISHED);
}

/** True for names that `partName` gives: what is under them is not data yet. */
export function isPartName(name: string): boolean {
  return markedKey(name, UNFINISHED) !== undefined;
}

/** The name that a stream has at the source from the moment it is not to change there any more. */
export function leavingName(key: string): string {
  return markedName(key, LEAVING);
}

/** The key that was given this name by `leavingName()`; undefined for other names. */
export function keyThatLeaves(name: string): string | undefined {
  return markedKey(name, LEAVING);
}

/**
 * A name of the same slot, so that the key can be renamed, which begins with the key, so that the same ACL rules hold. The length makes it
 * the name of this key alone: `x` and `x{x}` have the same beginning.
 */
function markedName(key: string, mark: string): string {
  const slot = slotOfKey(key);
  const end = `:${key.length}${mark}`;
  for (const tagged of tagsFor(key)) {
    const name = `${tagged}${end}`;
    if (slotOfKey(name) === slot) return name;
  }
  return '';
}

function markedKey(name: string, mark: string): string | undefined {
  if (!name.endsWith(mark)) return undefined;
  const length = /:(\d+)$/.exec(name.slice(0, -mark.length))?.[1];
  const key = name.slice(0, Number(length));
  return length !== undefined && markedName(key, mark) === name ? key : undefined;
}

// A key with a tag keeps it. Most others can be their own tag; a brace in the wrong place takes a number, found by trial.
function* tagsFor(key: string): Generator<string> {
  yield key;
  yield `${key}{${key}}`;
  for (let number = 0; ; number++) yield `${key}{${number}}`;
}
