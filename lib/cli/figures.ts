/** `1 slot`, `2 slots`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** A number in short form: `9999`, `146k`, `12M`. */
export function short(value: number): string {
  if (value < 10_000) return `${value}`;
  return value < 10_000_000 ? `${Math.round(value / 1000)}k` : `${Math.round(value / 1_000_000)}M`;
}

/** `0.41 s`, `12.3 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** `1.8 ms`, `120 ms`, `2.50 s`. */
export function duration(ms: number): string {
  if (ms >= 1000) return seconds(ms);
  return `${ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** A time that is only estimated: `a second`, `40 s`, `3 min`, `2.5 h`. */
export function roughly(ms: number): string {
  const whole = Math.round(ms / 1000);
  if (whole <= 1) return 'a second';
  if (whole < 120) return `${whole < 10 ? whole : 10 * Math.round(whole / 10)} s`;
  if (whole < 7200) return `${Math.round(whole / 60)} min`;
  return `${(whole / 3600).toFixed(1)} h`;
}
