import { SLOT_COUNT, type SlotRange } from '../model/slot.ts';
import type { Io } from './io.ts';

/** A node and the slots that it owns. */
export interface SlotOwner {
  readonly name: string;
  readonly slots: readonly SlotRange[];
}

export interface MapOptions {
  /** Width of the terminal. */
  readonly columns: number;
  /** Only characters of ASCII. */
  readonly ascii?: boolean;
}

/** True if a terminal shows only ASCII: that is known by the locale alone, as elsewhere. */
export function isAsciiOnly(env: Io['env']): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  return locale !== '' && !/utf-?8/i.test(locale);
}

/** Widest bar that is of use: a cell of it stands for 128 slots. */
const MOST_CELLS = 128;
/** Narrowest bar, in a terminal that has no place for more. */
const LEAST_CELLS = 16;
/** Longest name that is shown whole; of a longer one the end, which has the port. */
const LONGEST_NAME = 30;

/** How much of a cell a node owns: nothing, a little, up to half, more, all of it. */
const SHADES = ['·', '░', '▒', '▓', '█'];
const ASCII_SHADES = ['.', ':', '+', '*', '#'];

/**
 * Who owns which slots, as a picture: a line for each node, on which the slots from 0 to 16383 stand from left to right. A line
 * for slots that nobody owns, if there are any. Columns line up in any font that a terminal uses, and nothing depends on colour.
 */
export function slotMap(owners: readonly SlotOwner[], { columns, ascii = false }: MapOptions): string[] {
  const free = freeSlots(owners);
  const rows = free.length > 0 ? [...owners, { name: '(no node)', slots: free }] : owners;
  const names = rows.map(({ name }) => shortened(name, ascii));
  const counts = rows.map(({ slots }) => `${countIn(slots)}`);
  const nameWidth = Math.max(0, ...names.map((name) => name.length));
  const countWidth = Math.max(0, ...counts.map((count) => count.length));
  const cells = Math.max(LEAST_CELLS, Math.min(MOST_CELLS, columns - 1 - nameWidth - countWidth - 4));
  const shades = ascii ? ASCII_SHADES : SHADES;
  const head = ' '.repeat(nameWidth + countWidth + 4) + scale(cells);
  return [
    head,
    ...rows.map(({ slots }, row) => {
      const bar = sharesIn(slots, cells)
        .map((share) => shades[shadeOf(share)] ?? '')
        .join('');
      return `${(names[row] ?? '').padEnd(nameWidth)}  ${(counts[row] ?? '').padStart(countWidth)}  ${bar}`;
    }),
  ];
}

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
  const startOf = (cell: number): number => Math.ceil((cell * SLOT_COUNT) / cells);
  for (const [first, last] of slots) {
    for (let cell = Math.floor((first * cells) / SLOT_COUNT); cell < cells && startOf(cell) <= last; cell++) {
      const [start, end] = [Math.max(first, startOf(cell)), Math.min(last + 1, startOf(cell + 1))];
      owned[cell] = (owned[cell] ?? 0) + Math.max(0, end - start);
    }
  }
  return owned.map((count, cell) => count / (startOf(cell + 1) - startOf(cell)));
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
