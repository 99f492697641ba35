import { countSlots } from '../../model/node.ts';
import type { NodeVitals } from '../../operations/snapshot.ts';
import type { Piece, Style, TextLine } from './line.ts';
import { brief, gauge, type Marks, sparkline } from './marks.ts';
import type { TopState } from './state.ts';

/** What there is room for. */
interface Fit {
  readonly gap: number;
  readonly node: number;
  /** 1 for the first letter alone. */
  readonly role: 7 | 1;
  readonly bar: number;
  readonly spark: number;
  readonly hasTraffic: boolean;
}

/** From the widest terminal to the narrowest: the first that fits is taken. */
const FITS: readonly Fit[] = [
  { gap: 2, node: 40, role: 7, bar: 10, spark: 30, hasTraffic: true },
  { gap: 2, node: 40, role: 7, bar: 10, spark: 16, hasTraffic: true },
  { gap: 2, node: 40, role: 7, bar: 8, spark: 8, hasTraffic: true },
  { gap: 1, node: 40, role: 7, bar: 6, spark: 8, hasTraffic: true },
  { gap: 1, node: 40, role: 7, bar: 4, spark: 5, hasTraffic: true },
  { gap: 1, node: 30, role: 1, bar: 4, spark: 5, hasTraffic: true },
  { gap: 1, node: 30, role: 1, bar: 4, spark: 0, hasTraffic: true },
  { gap: 1, node: 30, role: 1, bar: 4, spark: 5, hasTraffic: false },
  { gap: 1, node: 22, role: 1, bar: 4, spark: 0, hasTraffic: false },
  { gap: 1, node: 22, role: 1, bar: 0, spark: 0, hasTraffic: false },
];
const NARROWEST: Fit = { gap: 1, node: 16, role: 1, bar: 0, spark: 0, hasTraffic: false };

interface Column {
  readonly header: string;
  /** At least so wide, so that columns do not move with every figure. */
  readonly width: number;
  readonly isText?: boolean;
  readonly cell: (node: NodeVitals) => Piece;
}

/** Columns that say what a node is. A node without figures has a sentence instead of all others. */
const OF_IDENTITY = 4;

const [MEMORY_HIGH, MEMORY_FULL] = [0.75, 0.9];
const [BUSY, SATURATED] = [0.8, 0.95];
const LATE_BYTES = 1024 * 1024;

/** The head of the table and a line for each of these nodes. */
export function nodeTable(
  nodes: readonly NodeVitals[],
  all: readonly NodeVitals[],
  state: TopState,
  columns: number,
  marks: Marks,
): [head: TextLine, ...rows: TextLine[]] {
  const { fit, table } = fitting(all, state, columns, marks);
  const gap = ' '.repeat(fit.gap);
  const head: TextLine = [
    {
      text: ` ${table.map(({ header, width, isText }) => pad(header, width, isText)).join(gap)}`,
      style: 'bold',
    },
  ];
  return [head, ...nodes.map((node) => rowOf(node, table, gap, state.selected === node.id))];
}

/** The richest table that the terminal has room for. */
function fitting(
  all: readonly NodeVitals[],
  state: TopState,
  columns: number,
  marks: Marks,
): { readonly fit: Fit; readonly table: readonly Column[] } {
  const known = new Known();
  for (const fit of FITS) {
    const table = columnsOf(all, state, fit, marks, known);
    if (widthOf(table, fit.gap) <= columns) return { fit, table };
  }
  return { fit: NARROWEST, table: columnsOf(all, state, NARROWEST, marks, known) };
}

function rowOf(node: NodeVitals, table: readonly Column[], gap: string, isSelected: boolean): TextLine {
  const trouble = troubleOf(node);
  const shown = trouble ? table.slice(0, OF_IDENTITY) : table;
  const cells = shown.flatMap(({ width, isText, cell }, index): Piece[] => {
    const { text, ...style } = cell(node);
    return [...(index > 0 ? [{ text: gap }] : []), { text: pad(text, width, isText), ...style }];
  });
  const all = [
    { text: isSelected ? '>' : ' ' },
    ...cells,
    ...(trouble ? [{ text: gap }, trouble] : []),
  ] satisfies Piece[];
  return isSelected ? all.map(({ text }) => ({ text, style: 'selected' })) : all;
}

function troubleOf({ state, silentMs, error }: NodeVitals): Piece | undefined {
  switch (state) {
    case 'up':
      return undefined;
    case 'loading':
      return { text: 'reads its data from disk', style: 'warning' };
    case 'late':
      return {
        text: silentMs === null ? 'no answer yet' : `no answer for ${(silentMs / 1000).toFixed(1)} s`,
        style: 'warning',
      };
    case 'down':
      return { text: error ?? 'does not answer', style: 'error' };
  }
}

/** Columns that are the same whatever there is room for, by their headers: what they show is made once for a picture. */
class Known extends Map<string, Column> {}

function columnsOf(
  all: readonly NodeVitals[],
  state: TopState,
  fit: Fit,
  marks: Marks,
  known: Known,
): Column[] {
  const isByShard = state.sort === 'shard';
  const hasLimit = all.some(({ memory }) => memory !== null && memory.max > 0);
  const widest = (least: number, texts: readonly string[]): number =>
    texts.reduce((width, text) => Math.max(width, text.length), least);
  const names = widest(
    4,
    all.map(({ address }) => address),
  );
  const right = (header: string, least: number, of: (node: NodeVitals) => Piece): Column => {
    const made = known.get(header);
    if (made) return made;
    const pieces = new Map(all.map((node) => [node, of(node)]));
    const texts = [...pieces.values()].map(({ text }) => text);
    const column: Column = {
      header,
      width: widest(Math.max(least, header.length), texts),
      cell: (node) => pieces.get(node) ?? of(node),
    };
    known.set(header, column);
    return column;
  };
  const traffic: Column[] = [
    right('in/s', 5, ({ rates }) => ({ text: rates ? brief(rates.bytesInPerSecond, 1024) : '-' })),
    right('out/s', 5, ({ rates }) => ({ text: rates ? brief(rates.bytesOutPerSecond, 1024) : '-' })),
  ];
  const bar: Column = {
    header: '',
    width: fit.bar,
    isText: true,
    cell: ({ memory }) => ({
      text: memory && memory.max > 0 ? gauge(memory.counted / memory.max, fit.bar, marks) : '',
      style: memoryStyle(memory),
    }),
  };
  const spark: Column = {
    header: '',
    width: fit.spark,
    isText: true,
    cell: ({ id }) => ({ text: sparkline(state.history.get(id) ?? [], fit.spark, 1, marks), style: 'dim' }),
  };
  return [
    right('#', 1, ({ shard, role }) => ({
      text: shard === null || (isByShard && role !== 'master') ? '' : `${shard}`,
    })),
    {
      header: 'node',
      width: Math.min(names, fit.node),
      isText: true,
      cell: ({ address, isFailed }) => ({
        text: shortened(address, Math.min(names, fit.node), marks),
        style: isFailed ? 'error' : 'plain',
      }),
    },
    {
      header: fit.role === 1 ? '' : 'role',
      width: fit.role,
      isText: true,
      cell: ({ role }) => ({
        text: fit.role === 1 ? role.slice(0, 1).toUpperCase() : role,
        style: role === 'master' ? 'bold' : 'plain',
      }),
    },
    right('slots', 5, (node) => ({ text: node.role === 'master' ? `${countSlots(node)}` : '' })),
    right('keys', 5, ({ keys }) => ({ text: keys === null ? '-' : brief(keys) })),
    right('memory', hasLimit ? 11 : 5, ({ memory }) => ({ text: memoryText(memory) })),
    ...(hasLimit && fit.bar > 0 ? [bar] : []),
    right('ops/s', 5, ({ rates }) => ({ text: rates ? brief(rates.opsPerSecond) : '-' })),
    ...(fit.hasTraffic ? traffic : []),
    right('lag', 5, lagPiece),
    right('cpu', 4, ({ rates }) => cpuPiece(rates?.cores)),
    ...(fit.spark > 0 ? [spark] : []),
  ];
}

function memoryText(memory: NodeVitals['memory']): string {
  if (!memory) return '-';
  const used = brief(memory.used, 1024);
  return memory.max > 0 ? `${used}/${brief(memory.max, 1024)}` : used;
}

function memoryStyle(memory: NodeVitals['memory']): Style {
  const share = memory && memory.max > 0 ? memory.counted / memory.max : 0;
  return share >= MEMORY_FULL ? 'error' : share >= MEMORY_HIGH ? 'warning' : 'good';
}

function lagPiece({ role, link, lagBytes }: NodeVitals): Piece {
  if (role === 'master') return { text: '' };
  if (link === 'copying') return { text: 'copies', style: 'warning' };
  if (link === 'down') return { text: 'down', style: 'error' };
  if (lagBytes === null) return { text: '-' };
  return { text: brief(lagBytes, 1024), style: lagBytes >= LATE_BYTES ? 'warning' : 'plain' };
}

function cpuPiece(cores: number | undefined): Piece {
  if (cores === undefined) return { text: '-' };
  const style = cores >= SATURATED ? 'error' : cores >= BUSY ? 'warning' : 'plain';
  return { text: `${Math.round(100 * cores)}%`, style };
}

function widthOf(table: readonly Column[], gap: number): number {
  return 1 + table.reduce((sum, { width }) => sum + width, 0) + gap * (table.length - 1);
}

function pad(text: string, width: number, isText = false): string {
  return isText ? text.padEnd(width) : text.padStart(width);
}

// The end of a name has the port.
function shortened(name: string, width: number, { ascii }: Marks): string {
  return name.length <= width ? name : `${ascii ? '~' : '…'}${name.slice(1 - width)}`;
}
