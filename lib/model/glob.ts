/**
 * Whether a key matches a pattern as SCAN's MATCH takes it (stringmatchlen): `*`, `?`, `[abc]`, `[^a-z]`, and a backslash before a
 * character that stands for itself. Pattern and key are latin1: a character is a byte.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  const parts = partsOf(pattern);
  return (text) => matches(parts, text);
}

/** One character that is accepted, or any number of them. */
type Part = '*' | ((character: string) => boolean);

function partsOf(pattern: string): Part[] {
  const parts: Part[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at] ?? '';
    if (character === '*') {
      if (parts.at(-1) !== '*') parts.push('*');
    } else if (character === '?') {
      parts.push(() => true);
    } else if (character === '[') {
      const { accepts, end } = classAt(pattern, at);
      parts.push(accepts);
      at = end;
    } else {
      const wanted = character === '\\' && at + 1 < pattern.length ? (pattern[++at] ?? '') : character;
      parts.push((one) => one === wanted);
    }
  }
  return parts;
}

/** The set of characters that begins here. One that is not closed ends with the pattern. */
function classAt(
  pattern: string,
  from: number,
): { readonly accepts: (character: string) => boolean; readonly end: number } {
  const isNot = pattern[from + 1] === '^';
  const ranges: [low: string, high: string][] = [];
  let at = from + (isNot ? 2 : 1);
  for (; at < pattern.length && pattern[at] !== ']'; at++) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) at += 1;
    else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const [one = '', other = ''] = [pattern[at], pattern[at + 2]];
      ranges.push(one <= other ? [one, other] : [other, one]);
      at += 2;
      continue;
    }
    const own = pattern[at] ?? '';
    ranges.push([own, own]);
  }
  const isIn = (character: string): boolean =>
    ranges.some(([low, high]) => low <= character && character <= high);
  return { accepts: (character) => isIn(character) !== isNot, end: at };
}

// After a failure only the last star can take more: linear in pattern times text, whatever the pattern.
function matches(parts: readonly Part[], text: string): boolean {
  let [part, at, star, from] = [0, 0, -1, 0];
  while (at < text.length) {
    const wanted = parts[part];
    if (wanted === '*') {
      [star, from] = [part, at];
      part += 1;
    } else if (wanted?.(text[at] ?? '')) {
      part += 1;
      at += 1;
    } else if (star >= 0) {
      part = star + 1;
      from += 1;
      at = from;
    } else return false;
  }
  return parts.slice(part).every((left) => left === '*');
}
