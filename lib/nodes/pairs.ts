import type { Reply } from '../../resp/index.ts';

/** The elements of an array reply, as text; undefined for any other reply. */
export function textsIn(reply: Reply | undefined): string[] | undefined {
  return Array.isArray(reply) ? reply.map(String) : undefined;
}

/** The names and values in replies of CONFIG GET; undefined if one of them is an error. */
export function pairsIn(replies: readonly (Reply | undefined)[]): Map<string, string> | undefined {
  const pairs = new Map<string, string>();
  for (const reply of replies) {
    const texts = textsIn(reply);
    if (!texts) return undefined;
    for (let at = 0; at + 1 < texts.length; at += 2) pairs.set(texts[at] ?? '', texts[at + 1] ?? '');
  }
  return pairs;
}
