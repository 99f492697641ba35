import { createHash } from 'node:crypto';
import { SLOT_COUNT } from '../../model/slot.ts';
import { printable } from '../printable.ts';
import { countIn, freeSlots, keysInCells, type SlotOwner, sharesIn } from '../slot-map.ts';
import { brief } from '../top/marks.ts';
import type { Report, ReportedFinding, ReportMap, ReportTable } from './report.ts';
import { STYLE } from './style.ts';

/** Cells of a bar: each stands for 64 slots. */
const CELLS = 256;

/** Only the style of this page applies, and nothing is loaded or run, whatever the text has in it. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** A report as one page that needs nothing beside it. */
export function reportHtml(report: Report): string {
  const { title, ok, verdict, facts, findings, maps, tables, steps } = report;
  const isWarned = findings?.some(({ severity }) => severity === 'warning');
  const verdictClass = ok ? (isWarned ? 'warn' : 'good') : 'bad';
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${text(title)}</title>`,
    `<style>${STYLE}</style>`,
    '</head>',
    '<body>',
    '<header>',
    `<h1>${text(title)}</h1>`,
    `<p class="verdict ${verdictClass}">${text(verdict)}</p>`,
    '<dl>',
    ...facts.map(([name, value]) => `<div><dt>${text(name)}</dt><dd>${text(value)}</dd></div>`),
    '</dl>',
    '</header>',
    '<main>',
    ...(findings && findings.length > 0 ? section('Findings', findings.map(findingHtml)) : []),
    ...maps.flatMap(mapHtml),
    ...(steps.length > 0
      ? section('Steps', ['<ol>', ...steps.map((step) => `<li>${text(step)}</li>`), '</ol>'])
      : []),
    ...tables.flatMap(tableHtml),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

/** Text in which nothing is markup, and nothing turns around or hides what stands beside it. */
function text(value: string): string {
  return printable(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function section(title: string, lines: readonly string[]): string[] {
  return ['<section>', `<h2>${text(title)}</h2>`, ...lines, '</section>'];
}

function findingHtml({ severity, kind, message, hint }: ReportedFinding): string {
  return [
    `<article class="${severity}">`,
    `<p><strong>${text(severity)}</strong> ${text(message)} <code>${text(kind)}</code></p>`,
    ...(hint === undefined ? [] : [`<pre>${text(hint)}</pre>`]),
    '</article>',
  ].join('');
}

function mapHtml({ title, owners, keys }: ReportMap): string[] {
  const free = freeSlots(owners);
  const rows = owners.map((owner) => barHtml(owner, 'owned'));
  if (free.length > 0) rows.push(barHtml({ name: '(no node)', slots: free }, 'free'));
  if (keys) rows.push(keysHtml(keys));
  const legend = `${SLOT_COUNT} slots from left to right${keys ? '; the last line shows where the keys are' : ''}.`;
  return section(title, ['<div class="map">', ...rows, '</div>', `<p class="legend">${legend}</p>`]);
}

/** A column for each cell, as high as it has keys, beside the cell with the most. */
function keysHtml(keys: Float64Array): string {
  const counts = keysInCells(keys, CELLS).map((count) => count || 0);
  const most = Math.max(1, ...counts);
  const columns = counts.map((count, at) => {
    const height = (count / most).toFixed(3);
    return count === 0
      ? ''
      : `<rect x="${at}" y="${(1 - count / most).toFixed(3)}" width="1" height="${height}"/>`;
  });
  const total = brief(keys.reduce((sum, count) => sum + (count || 0), 0));
  return [
    `<span class="name">Keys</span><span class="count">${total}</span>`,
    svg('keys', 'keys', columns),
  ].join('');
}

function svg(kind: string, label: string, shapes: readonly string[]): string {
  return [
    `<svg class="${kind}" viewBox="0 0 ${CELLS} 1" preserveAspectRatio="none" role="img" aria-label="${label}">`,
    `${shapes.join('')}</svg>`,
  ].join('');
}

// A bar is a row of cells: its size does not depend on how scattered the slots are.
function barHtml({ name, slots }: SlotOwner, kind: 'owned' | 'free'): string {
  const shares = sharesIn(slots, CELLS);
  const cells = shares.flatMap((share, at) => {
    if (share === 0 || shares[at - 1] === share) return [];
    const end = shares.findIndex((other, index) => index > at && other !== share);
    const width = (end < 0 ? CELLS : end) - at;
    // A single slot must be seen, and one that nobody owns above all.
    const opacity = share === 1 || kind === 'free' ? '' : ` fill-opacity="${(0.25 + share / 2).toFixed(2)}"`;
    return `<rect x="${at}" width="${width}" height="1"${opacity}/>`;
  });
  return [
    `<span class="name">${text(name)}</span><span class="count">${countIn(slots)}</span>`,
    svg(kind, 'slots', cells),
  ].join('');
}

function tableHtml({ title, head, numeric, rows }: ReportTable): string[] {
  const cells = (row: readonly string[], tag: 'th' | 'td'): string =>
    row
      .map((cell, at) => {
        const scope = tag === 'th' ? ' scope="col"' : '';
        return `<${tag}${scope}${numeric.includes(at) ? ' class="number"' : ''}>${text(cell)}</${tag}>`;
      })
      .join('');
  return section(title, [
    // What is wider than the page is scrolled, by keys as well.
    '<div class="wide" tabindex="0"><table>',
    `<thead><tr>${cells(head, 'th')}</tr></thead>`,
    '<tbody>',
    ...rows.map((row) => `<tr>${cells(row, 'td')}</tr>`),
    '</tbody></table></div>',
  ]);
}
