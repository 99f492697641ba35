import { findTopic } from './topics.ts';

/** Columns between two cells of a table. */
const GAP = 2;
/** A column is not made narrower than this to fit a table into the terminal. */
const LEAST_WIDTH = 12;

/** Lays out a document for a terminal: paragraphs and tables fit into so many columns, and links say which topic they lead to. */
export function renderMarkdown(text: string, columns: number): string {
  return blocksOf(text)
    .map((block) => renderBlock(block, columns))
    .join('\n\n');
}

/** Lines that belong together: a paragraph, a list, a table, a heading, or code. */
function blocksOf(text: string): string[][] {
  const blocks: string[][] = [];
  let block: string[] = [];
  let isFenced = false;
  const end = (): void => {
    if (block.length > 0) blocks.push(block);
    block = [];
  };
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('```')) {
      end();
      isFenced = !isFenced;
    } else if (isFenced) block.push(`    ${line}`);
    else if (line === '') end();
    else block.push(line);
  }
  end();
  return blocks;
}

function renderBlock(lines: readonly string[], columns: number): string {
  const [first = ''] = lines;
  if (first.startsWith('    ')) return lines.join('\n');
  if (first.startsWith('|')) return renderTable(lines, columns);
  if (first.startsWith('#')) return plain(first);
  return paragraphsOf(lines)
    .map((paragraph) => {
      const [mark = ''] = /^ *(?:[-*]|\w+\.) +/.exec(paragraph) ?? [];
      const [head = '', ...rest] = wrap(plain(paragraph.slice(mark.length)), columns - mark.length);
      return [mark + head, ...rest.map((line) => ' '.repeat(mark.length) + line)].join('\n');
    })
    .join('\n');
}

/** A paragraph, or each item of a list, on one line. */
function paragraphsOf(lines: readonly string[]): string[] {
  const paragraphs: string[] = [];
  for (const line of lines) {
    if (paragraphs.length === 0 || /^ *(?:[-*]|\d+\.) /.test(line)) paragraphs.push(line);
    else paragraphs.push(`${paragraphs.pop()} ${line.trim()}`);
  }
  return paragraphs;
}

function renderTable(lines: readonly string[], columns: number): string {
  const [head = [], , ...rows] = lines.map(cellsOf);
  const all = head.every((cell) => cell !== '') ? [head, ...rows] : rows;
  const widths = fit(
    head.map((_, index) => Math.max(1, ...all.map((row) => row[index]?.length ?? 0))),
    columns,
  );
  const laidOut = all.map((row) => widths.map((width, index) => wrap(row[index] ?? '', width)));
  // The next row is easy to see as long as all but the last cell are on one line.
  const isTall = laidOut.some((row) => row.slice(0, -1).some((cell) => cell.length > 1));
  return laidOut
    .map((row) => {
      const height = Math.max(...row.map((cell) => cell.length));
      return Array.from({ length: height }, (_, line) =>
        row
          .map((cell, index) => (cell[line] ?? '').padEnd((widths[index] ?? 0) + GAP))
          .join('')
          .trimEnd(),
      ).join('\n');
    })
    .join(isTall ? '\n\n' : '\n');
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, line.lastIndexOf('|'))
    .split(/(?<!\\)\|/)
    .map((cell) => plain(cell.trim().replaceAll('\\|', '|')));
}

/** The widths as they are or, if they are too wide together, the widest cut until they fit. */
function fit(widths: readonly number[], columns: number): number[] {
  const room = columns - GAP * (widths.length - 1);
  let cap = Math.max(...widths);
  const cut = (): number[] => widths.map((width) => Math.min(width, cap));
  while (cap > LEAST_WIDTH && cut().reduce((sum, width) => sum + width, 0) > room) cap -= 1;
  return cut();
}

/** Breaks a text into lines of at most so many characters, as far as its words allow. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

// Emphasis goes. A link to a document becomes the command that shows it; another link keeps its address if it has one of its own.
function plain(text: string): string {
  return text.replaceAll('**', '').replace(/\[([^\]]+)\]\(([^)]+)\)/g, (_, shown: string, target: string) => {
    const topic = findTopic(/([\w-]+)\.md/.exec(target)?.[1] ?? '');
    const where = topic ? `redis-trib help ${topic}` : /^https?:/.test(target) ? target : '';
    if (where === '' || shown === where) return shown;
    return shown.endsWith('.md') ? where : `${shown} (${where})`;
  });
}

/** Text is not made narrower than this to fit into the terminal. */
const LEAST_TEXT = 20;

/** A line of two columns. */
export type Row = readonly [head: string, text: string];

/** Lines of two columns: the second is broken where the terminal ends. */
export function rows(all: readonly Row[], width: number, columns: number): string[] {
  const indent = ' '.repeat(2 + width + 1);
  return all.flatMap(([head, text]) =>
    wrap(text, Math.max(LEAST_TEXT, columns - indent.length)).map((line, at) =>
      at === 0 ? `  ${head.padEnd(width)} ${line}` : `${indent}${line}`,
    ),
  );
}
