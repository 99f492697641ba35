/** Text that leaves a picture as it is until it is complete, for terminals that know this; others ignore it. */
const [BEGIN, END] = ['\u001b[?2026h', '\u001b[?2026l'];

/**
 * What a terminal must be sent to show these lines, when it shows those before: only the lines that differ, in one text. Empty if none
 * does.
 */
export function frame(before: readonly string[] | undefined, lines: readonly string[]): string {
  const known = before?.length === lines.length ? before : undefined;
  // The line is erased first: a cursor beyond the last column would erase the character there.
  const changed = lines.flatMap((text, index) =>
    known?.[index] === text ? [] : [`\u001b[${index + 1};1H\u001b[2K${text}`],
  );
  if (changed.length === 0) return '';
  return `${BEGIN}${known ? '' : '\u001b[2J'}${changed.join('')}${END}`;
}
