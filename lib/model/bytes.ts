const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'] as const;

/** A number of bytes for display: `512 bytes`, `7.1 MB`. 1 KB is 1024 bytes, as in INFO memory. */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // From 1023.95 on it would round to 1024.0.
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

const SHOWN_CHARACTERS = 80;

/** A key, given as latin1 (one char per byte), for display: quoted UTF-8 text, truncated if it is long. */
export function formatKey(key: string): string {
  const text = Buffer.from(key, 'latin1').toString('utf8');
  return JSON.stringify(text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text);
}
