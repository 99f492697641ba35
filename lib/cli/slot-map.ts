import type { NodeMemory } from '../model/details.ts';
import { expandSlots, SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { SlotFill, SlotHolder } from '../operations/slot-fill.ts';
import type { Io } from './io.ts';
import { line, type Piece, type TextLine } from './top/line.ts';
import { brief, levelOf } from './top/marks.ts';

/** A node and the slots that it owns. */
export interface SlotOwner {
  readonly name: string;
  readonly slots: readonly SlotRange[];
  /** Shown only with keys. @default not known */
  readonly memory?: Pick<NodeMemory, 'used' | 'max'> | undefined;
}

/** A line of a map for a node. */
export function ownerOf({ id, address, slots }: SlotHolder, fill?: SlotFill): SlotOwner {
  return { name: address, slots, memory: fill?.memory.get(id) };
}

export interface MapOptions {
  /** Width of the terminal. */
  readonly columns: number;
  /** Only characters of ASCII. */
  readonly ascii?: boolean;
  /** By slot: how many keys it has, NaN if that is not known. @default not shown */
  readonly keys?: Float64Array | undefined;
}

/** True if a terminal shows only ASCII: that is known by the locale alone, as elsewhere. */
export function isAsciiOnly(env: Io['env']): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return locale !== '' && !/utf-?8/i.test(locale);
}

/** Widest bar that is of use: a cell of it stands for 128 slots. */
const MOST_CELLS = 128;
/** Narrowest bar, in a terminal that has no place for more, and with a column for memory. */
const [LEAST_CELLS, LEAST_BESIDE_MEMORY] = [16, 32];
/** Longest name that is shown whole; of a longer one the end, which has the port. */
const LONGEST_NAME = 30;
/** Between two columns. */
const GAP = '  ';

/** How much of a cell a node owns: nothing, a little, up to half, more, all of it. */
const SHADES = ['·', '░', '▒', '▓', '█'];
const ASCII_SHADES = ['.', ':', '+', '*', '#'];

/** A line of the map: figures, and what stands in the cells. */
interface Row {
  readonly name: string;
  /** Slots, keys and memory, as far as they are shown. */
  readonly figures: readonly string[];
  readonly bar: (cells: number) => TextLine;
}

/**
 * Who owns which slots, as a picture: a line for each node, on which the slots from 0 to 16383 stand from left to right. A line
 * for slots that nobody owns, if there are any. With keys, a last line shows how many are in each cell, whoever owns it, and each node
 * has figures: what is full is seen without comparing shades. Nothing depends on colour.
 */
export function slotMapLines(
  owners: readonly SlotOwner[],
  { columns, ascii = false, keys }: MapOptions,
): TextLine[] {
  const shades = ascii ? ASCII_SHADES : SHADES;
  const free = freeSlots(owners);
  const rowOf = ({ name, slots, memory }: SlotOwner, at: number): Row => ({
    name: shortened(name, ascii),
    figures: [`${countIn(slots)}`, ...(keys ? [keysText(keysIn(slots, keys)), memoryText(memory)] : [])],
    bar: (cells) =>
      line(
        sharesIn(slots, cells)
          .map((share) => shades[shadeOf(share)] ?? '')
          .join(''),
        `shard${at + 1}`,
      ),
  });
  const rows = owners.map(rowOf);
  if (free.length > 0) rows.push(freeRow(free, rowOf));
  if (keys) rows.push(keysRow(owners, keys, ascii));
  const heads = !keys ? [''] : ['slots', 'keys', ...(owners.some(({ memory }) => memory) ? ['memory'] : [])];
  const nameWidth = widthOf(rows.map(({ name }) => name));
  const widths = heads.map((head, column) =>
    widthOf([head, ...rows.map(({ figures }) => figures[column] ?? '')]),
  );
  const cellsBeside = (all: readonly number[]): number =>
    columns - 1 - all.reduce((sum, width) => sum + GAP.length + width, nameWidth) - GAP.length;
  // Memory has a place in other commands, too.
  if (widths.length > 2 && cellsBeside(widths) < LEAST_BESIDE_MEMORY) widths.pop();
  const cells = Math.max(LEAST_CELLS, Math.min(MOST_CELLS, cellsBeside(widths)));
  const before = (name: string, figures: readonly string[]): Piece => ({
    text: [
      name.padEnd(nameWidth),
      ...widths.map((width, at) => (figures[at] ?? '').padStart(width)),
      '',
    ].join(GAP),
  });
  return [
    [before('', heads), { text: scale(cells) }],
    ...rows.map(({ name, figures, bar }) => [before(name, figures), ...bar(cells)]),
  ];
}

/** The same as plain text. */
export function slotMap(owners: readonly SlotOwner[], options: MapOptions): string[] {
  return slotMapLines(owners, options).map((pieces) =>
    pieces
      .map(({ text }) => text)
      .join('')
      .trimEnd(),
  );
}

/** What the signs of a map mean. */
export function mapLegend({ ascii = false, keys }: Omit<MapOptions, 'columns'>): string {
  const [none, ...some] = ascii ? ASCII_SHADES : SHADES;
  const all = some.pop();
  const owned = `${all} owns all slots of a cell, ${some.toReversed().join(' ')} some, ${none} none`;
  return keys ? `${owned}. Last line: keys in each cell` : owned;
}

function freeRow(free: readonly SlotRange[], rowOf: (owner: SlotOwner, at: number) => Row): Row {
  const { bar, ...row } = rowOf({ name: '(no node)', slots: free }, 0);
  return {
    ...row,
    figures: row.figures.slice(0, 1),
    bar: (cells) => bar(cells).map(({ text }) => ({ text, style: 'error' })),
  };
}

/** How many keys each cell has, as levels, each in the colour of the node that owns most of it. */
function keysRow(owners: readonly SlotOwner[], keys: Float64Array, ascii: boolean): Row {
  // Of those that own slots, as for keys.
  const used = owners.reduce((sum, { slots, memory }) => {
    return slots.length === 0 ? sum : sum + (memory?.used ?? Number.NaN);
  }, 0);
  const total = owners.reduce((sum, { slots }) => sum + keysIn(slots, keys), 0);
  return {
    name: 'total',
    figures: [
      `${owners.reduce((sum, { slots }) => sum + countIn(slots), 0)}`,
      keysText(total),
      Number.isNaN(used) ? '?' : brief(used, 1024),
    ],
    bar: (cells) => {
      const counts = keysInCells(keys, cells);
      const most = Math.max(0, ...counts.map((count) => count || 0));
      const shares = owners.map(({ slots }) => sharesIn(slots, cells));
      return counts.map((count, cell): Piece => {
        const owned = shares.map((own) => own[cell] ?? 0);
        const text = Number.isNaN(count) ? '?' : count === 0 ? ' ' : levelOf(count / most, { ascii });
        return { text, style: `shard${owned.indexOf(Math.max(...owned)) + 1}` };
      });
    },
  };
}

/** By cell: the keys in its slots, as far as they are known. NaN if none is. */
export function keysInCells(keys: Float64Array, cells: number): number[] {
  return Array.from({ length: cells }, (_, cell) => {
    const known = [...keys.subarray(startOf(cell, cells), startOf(cell + 1, cells))].filter(
      (count) => count >= 0,
    );
    return known.length === 0 ? Number.NaN : known.reduce((sum, count) => sum + count, 0);
  });
}

/** The keys in these slots; NaN if they are not known of each. */
function keysIn(slots: readonly SlotRange[], keys: Float64Array): number {
  return expandSlots(slots).reduce((sum, slot) => sum + (keys[slot] ?? Number.NaN), 0);
}

function keysText(keys: number): string {
  return Number.isNaN(keys) ? '?' : brief(keys);
}

function memoryText(memory: SlotOwner['memory']): string {
  if (!memory) return '?';
  return `${brief(memory.used, 1024)}${memory.max > 0 ? `/${brief(memory.max, 1024)}` : ''}`;
}

const widthOf = (texts: readonly string[]): number => Math.max(0, ...texts.map((text) => text.length));

/** The first slot of a cell. */
const startOf = (cell: number, cells: number): number => Math.ceil((cell * SLOT_COUNT) / cells);

function scale(cells: number): string {
  const marks = cells >= 48 ? [0, 4096, 8192, 12288] : [0, 8192];
  const line = marks
    .map((slot, index) => {
      const width =
        Math.floor(((marks[index + 1] ?? SLOT_COUNT) * cells) / SLOT_COUNT) -
        Math.floor((slot * cells) / SLOT_COUNT);
      return `${slot}`.padEnd(width);
    })
    .join('');
  return line.slice(0, cells).trimEnd();
}

/** Of each cell of a bar: the share of its slots, 0 to 1. */
export function sharesIn(slots: readonly SlotRange[], cells: number): number[] {
  const owned: number[] = new Array(cells).fill(0);
  for (const [first, last] of slots) {
    for (
      let cell = Math.floor((first * cells) / SLOT_COUNT);
      cell < cells && startOf(cell, cells) <= last;
      cell++
    ) {
      const [start, end] = [
        Math.max(first, startOf(cell, cells)),
        Math.min(last + 1, startOf(cell + 1, cells)),
      ];
      owned[cell] = (owned[cell] ?? 0) + Math.max(0, end - start);
    }
  }
  return owned.map((count, cell) => count / (startOf(cell + 1, cells) - startOf(cell, cells)));
}

// A single slot is seen, and one that is missing, too.
function shadeOf(share: number): number {
  if (share === 0) return 0;
  if (share >= 1) return 4;
  return share <= 0.25 ? 1 : share <= 0.5 ? 2 : 3;
}

/** The slots that none of these nodes owns. */
export function freeSlots(owners: readonly SlotOwner[]): SlotRange[] {
  const ranges = owners.flatMap(({ slots }) => slots).sort(([a], [b]) => a - b);
  const free: SlotRange[] = [];
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) free.push([next, first - 1]);
    next = Math.max(next, last + 1);
  }
  return next < SLOT_COUNT ? [...free, [next, SLOT_COUNT - 1]] : free;
}

/** How many slots there are in ranges. */
export function countIn(slots: readonly SlotRange[]): number {
  return slots.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

function shortened(name: string, ascii: boolean): string {
  return name.length <= LONGEST_NAME ? name : `${ascii ? '~' : '…'}${name.slice(1 - LONGEST_NAME)}`;
}
