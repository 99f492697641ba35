/**
 * A number as atof() of C reads it, in single precision as redis-cli keeps it: the longest beginning of the text that is a number,
 * decimal or hexadecimal, and 0 if there is none.
 */
export function atof(text: string): number {
  const decimal = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/i;
  const [, sign, whole = '', part = '', power = '0'] =
    /^\s*([+-]?)0x([\da-f]*)(?:\.([\da-f]*))?(?:p([+-]?\d+))?/i.exec(text) ?? [];
  if (sign !== undefined && whole + part !== '') {
    const digits = Number.parseInt(whole + part, 16);
    const value = digits * 2 ** (Number(power) - 4 * part.length);
    return Math.fround(sign === '-' ? -value : value);
  }
  const [, minus, word] = /^\s*([+-]?)(inf|nan)/i.exec(text) ?? [];
  if (word?.toLowerCase() === 'nan') return Number.NaN;
  if (word) return minus === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return Math.fround(Number(decimal.exec(text)?.[0].trim() ?? 0));
}
