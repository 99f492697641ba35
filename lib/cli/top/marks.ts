/** Which characters a terminal shows. */
export interface Marks {
  /** Only characters of ASCII. */
  readonly ascii: boolean;
}

const EIGHTHS = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
const LEVELS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_LEVELS = ['_', '.', ':', '-', '=', '+', '*', '#'];

/** A bar of so many cells, filled by a share from 0 to 1. */
export function gauge(share: number, cells: number, { ascii }: Marks): string {
  const filled = Math.max(0, Math.min(1, share)) * cells;
  const full = Math.floor(filled);
  if (ascii) return '#'.repeat(Math.round(filled)).padEnd(cells, '.');
  const rest = full < cells ? (EIGHTHS[Math.floor((filled - full) * 8)] ?? '') : '';
  return `${'█'.repeat(full)}${rest}`.padEnd(cells);
}

/** The last of these values in so many cells, the newest on the right. Lowest is 0, and highest at least `top`. */
export function sparkline(
  values: readonly (number | null)[],
  cells: number,
  top: number,
  marks: Marks,
): string {
  const shown = cells > 0 ? values.slice(-cells) : [];
  const highest = Math.max(top, ...shown.map((value) => value ?? 0));
  const text = shown.map((value) => (value === null ? ' ' : levelOf(value / highest, marks)));
  return text.join('').padStart(cells);
}

/** One of eight levels, for a share from 0 to 1. */
export function levelOf(share: number, { ascii }: Marks): string {
  const levels = ascii ? ASCII_LEVELS : LEVELS;
  return levels[Math.min(levels.length - 1, Math.floor(share * levels.length))] ?? '';
}

const UNITS = ['', 'k', 'M', 'G', 'T', 'P'];

/** Three figures and a unit, in at most five characters: `0`, `812`, `41.2k`, `1.3G`. A `step` of 1024 is for bytes. */
export function brief(value: number, step: 1000 | 1024 = 1000): string {
  let [rest, unit] = [Math.max(0, value), 0];
  // From 999.5 on it would round to four figures.
  while (rest >= 999.5 && unit < UNITS.length - 1) {
    rest /= step;
    unit += 1;
  }
  const digits = unit === 0 || rest >= 99.95 ? 0 : 1;
  return `${rest.toFixed(digits)}${UNITS[unit]}`;
}

/** `5 s`, `12 min`, `3 h`, `41 d`. */
export function age(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
