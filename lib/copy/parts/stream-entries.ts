import type { Command, Reply } from '../../../resp/index.ts';

/** The largest number in an id. */
const MOST = 2n ** 64n - 1n;

/** The id after one; undefined after the largest. Redis 6.0 does not take a range without its first id. */
export function idAfter(id: string): string | undefined {
  const [ms = 0n, sequence = 0n] = id.split('-').map(BigInt);
  if (sequence < MOST) return `${ms}-${sequence + 1n}`;
  return ms < MOST ? `${ms + 1n}-0` : undefined;
}

/** Entries as XRANGE lists them, flat: of each its id, how many fields and values follow, and these. Undefined for another reply. */
export function flatEntries(reply: Reply | undefined): string[] | undefined {
  if (!Array.isArray(reply)) return undefined;
  const flat: string[] = [];
  for (const entry of reply) {
    const [id, fields] = Array.isArray(entry) ? entry : [];
    if (typeof id !== 'string' || !Array.isArray(fields)) return undefined;
    flat.push(id, String(fields.length));
    for (const text of fields) flat.push(String(text));
  }
  return flat;
}

/** Commands that add these entries to a stream. */
export function addEntries(key: string, flat: readonly string[]): Command[] {
  const commands: Command[] = [];
  for (let at = 0; at < flat.length; ) {
    const [id = '', length = ''] = [flat[at], flat[at + 1]];
    const end = at + 2 + Number(length);
    commands.push(['XADD', key, id, ...flat.slice(at + 2, end)]);
    at = end;
  }
  return commands;
}
