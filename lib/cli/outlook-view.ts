import { formatKey } from '../model/bytes.ts';
import { type LeftKeys, leftWords } from '../model/left-keys.ts';
import { count } from './figures.ts';

/** How keys would be written to a cluster that does not read the format that they are in; no line if it does. */
export function outlookLines({
  converted,
  left,
}: {
  readonly converted: number;
  readonly left: readonly LeftKeys[];
}): string[] {
  const text = `  Convert ${count(converted, 'value')}: the cluster does not read the format that they are in`;
  const stay = left.map(({ why, keys, examples }) => {
    const some = examples.slice(0, 3).map((key) => formatKey(key));
    return `  Leave ${count(keys, 'key')} behind: ${leftWords(why)} (${some.join(', ')}${keys > some.length ? ', …' : ''})`;
  });
  return [...(converted > 0 ? [text] : []), ...stay];
}
