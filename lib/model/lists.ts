/** The end of a list that was cut: `and 3 more`, `and 1 more node`, `and 3 more nodes`. */
export function andMore(count: number, noun = ''): string {
  if (noun === '') return `and ${count} more`;
  return `and ${count} more ${noun}${count === 1 ? '' : 's'}`;
}

/** The first of some texts, and how many more there are if that is not all. */
export function shorten(texts: readonly string[], most: number, noun = ''): string[] {
  const rest = texts.length - most;
  return rest > 0 ? [...texts.slice(0, most), andMore(rest, noun)] : [...texts];
}

/** A text as the beginning of a sentence. */
export function capitalised(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
