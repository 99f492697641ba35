import { printable } from '../printable.ts';
import { mapLegend, slotMap } from '../slot-map.ts';
import type { Report, ReportedFinding, ReportTable } from './report.ts';

/** Width of a slot map: as much as a page of a code review shows without scrolling. */
const COLUMNS = 100;
/** Rows that a comment still shows in one piece. */
const SHOWN_ROWS = 200;

/** A report as GitHub's Markdown, for a pull request. */
export function reportMarkdown({ title, verdict, facts, findings, maps, tables, steps }: Report): string {
  return [
    `## ${plain(title)}`,
    `**${plain(verdict)}**`,
    facts.map(([name, value]) => `${plain(name)}: ${plain(value)}`).join(' · '),
    ...(findings && findings.length > 0 ? ['### Findings', ...findings.map(findingText)] : []),
    ...maps.flatMap(({ title, owners, keys }) => [
      `### ${plain(title)}`,
      fenced([...slotMap(owners, { columns: COLUMNS, keys }), mapLegend({ keys })].join('\n')),
    ]),
    ...(steps.length > 0
      ? ['### Steps', steps.map((step, index) => `${index + 1}. ${plain(step)}`).join('\n')]
      : []),
    ...tables.flatMap(tableText),
  ].join('\n\n');
}

/**
 * Text in which nothing is markup: no HTML, no link, no one who is called by name, no reference to an issue. All on one line.
 */
function plain(text: string): string {
  return (
    printable(text)
      .replace(/\s+/g, ' ')
      .replace(/[\\`*_[\]<>|~$]/g, '\\$&')
      .replace(/&/g, '&amp;')
      .replace(/^(\d*)([#+.-])(?=[ #])/, '$1\\$2')
      // These become links where they are rendered, also after a backslash.
      .replace(/@|#(?=\w)|:(?=\/\/)|\bwww(?=\.)/gi, '$&<!-- -->')
  );
}

function findingText({ severity, kind, message, hint }: ReportedFinding): string {
  const line = `- **${plain(severity)}** ${plain(message)} (${plain(kind)})`;
  return hint === undefined ? line : `${line}\n\n${indented(fenced(printable(hint)))}`;
}

const indented = (text: string): string => text.replace(/^/gm, '  ');

// Longer than any fence in it.
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}text\n${printable(text)}\n${fence}`;
}

function tableText({ title, head, numeric, rows }: ReportTable): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rest = rows.length - SHOWN_ROWS;
  return [
    `### ${plain(title)}`,
    [
      line(head.map(plain)),
      line(head.map((_, at) => (numeric.includes(at) ? '---:' : '---'))),
      ...rows.slice(0, SHOWN_ROWS).map((row) => line(row.map(plain))),
    ].join('\n'),
    ...(rest > 0 ? [`and ${rest} more`] : []),
  ];
}
