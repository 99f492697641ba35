import { formatRanges } from '../../model/slot.ts';
import type { NodeVitals } from '../../operations/snapshot.ts';
import { count } from '../figures.ts';
import type { TextLine } from './line.ts';
import { age, brief } from './marks.ts';

/** What is known of one node, in lines. */
export function nodeDetails(node: NodeVitals, all: readonly NodeVitals[]): TextLine[] {
  const master = all.find(({ id }) => id === node.masterId);
  const place =
    node.role === 'master'
      ? `master of shard ${node.shard}`
      : `replica of ${master?.address ?? node.masterId ?? 'no known master'}`;
  const { memory } = node;
  const limit = memory && memory.max > 0 ? ` of ${brief(memory.max, 1024)} (${memory.policy})` : '';
  const figures = [
    ...(node.version === null ? [] : [node.version]),
    ...(node.uptimeSeconds === null ? [] : [`up for ${age(node.uptimeSeconds)}`]),
    ...(node.clients === null ? [] : [count(node.clients, 'client')]),
    ...(memory ? [`memory ${brief(memory.used, 1024)}${limit}`] : []),
  ];
  const slots = formatRanges(node.slots);
  return [
    [{ text: `${node.address}  `, style: 'bold' }, { text: `${place}  ${figures.join('  ')}` }],
    [{ text: `id      ${node.id}` }],
    [{ text: `run id  ${node.runId ?? '-'}` }],
    [{ text: `slots   ${slots === '' ? 'none' : slots}` }],
    ...(node.error === null ? [] : [[{ text: node.error, style: 'error' }] satisfies TextLine]),
  ];
}
