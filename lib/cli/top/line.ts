import { printable } from '../printable.ts';
import type { Marks } from './marks.ts';

/** How a piece of text looks: nothing depends on it alone. */
export type Style = 'plain' | 'bold' | 'dim' | 'good' | 'warning' | 'error' | 'selected' | `shard${number}`;

export interface Piece {
  readonly text: string;
  /** @default 'plain' */
  readonly style?: Style;
}

/** A line of the picture, in pieces from left to right. */
export type TextLine = readonly Piece[];

/** Colours of the eight that every terminal has; those for good and bad are not among the shards'. */
const SHARD_COLOURS = [36, 34, 35, 96, 94, 95];
const SHARD = 'shard';
const CODES: Readonly<Record<string, string>> = {
  bold: '1',
  dim: '2',
  good: '32',
  warning: '33',
  error: '31',
  selected: '7',
};

/** A line of one piece. */
export function line(text: string, style: Style = 'plain'): TextLine {
  return [{ text, style }];
}

export interface Rendering extends Marks {
  readonly columns: number;
  readonly isColoured: boolean;
}

/** The text of a line, cut where the terminal ends. With `isColoured`, as a terminal shows its styles. */
export function render(pieces: TextLine, { columns, isColoured, ascii }: Rendering): string {
  const all = pieces.map(({ text, style = 'plain' }) => ({ text: safe(text), style }));
  const isCut = all.reduce((sum, { text }) => sum + text.length, 0) > columns;
  let [left, shown] = [columns, ''];
  for (const { text, style } of all) {
    const isLast = isCut && left > 0 && text.length >= left;
    const cut = isLast ? `${text.slice(0, left - 1)}${ascii ? '~' : '…'}` : text.slice(0, left);
    left -= cut.length;
    const code = codeOf(style);
    shown += isColoured && code !== undefined && cut !== '' ? `\u001b[${code}m${cut}\u001b[m` : cut;
  }
  // A line that is selected is seen to be one from end to end.
  if (isColoured && pieces[0]?.style === 'selected') return `${shown}\u001b[7m${' '.repeat(left)}\u001b[m`;
  return isColoured ? shown : shown.trimEnd();
}

// What nodes write must not act on the terminal.
function safe(text: string): string {
  return /[^ -~]/.test(text) ? printable(text).replaceAll(/[\n\t]/g, ' ') : text;
}

function codeOf(style: Style): string | undefined {
  if (!style.startsWith(SHARD)) return CODES[style];
  const shard = Number(style.slice(SHARD.length));
  return `${SHARD_COLOURS[(shard + SHARD_COLOURS.length - 1) % SHARD_COLOURS.length]}`;
}
