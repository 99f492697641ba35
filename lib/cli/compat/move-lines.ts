import type { NodeRecord } from '../../model/node.ts';
import { formatRanges, toRanges } from '../../model/slot.ts';
import type { ClusterView } from '../../model/view.ts';
import type { SlotOf } from '../../plan/redis-cli-moves.ts';
import { nameOf, nodeLines, nodesInOrder } from './lines.ts';
import type { Words } from './words.ts';

/** The moves that reshard is about to make. */
export interface ReshardTable {
  /** Number of slots asked for. */
  readonly count: number;
  readonly sources: readonly NodeRecord[];
  readonly target: NodeRecord;
  readonly table: readonly SlotOf[];
}

/** The output of `reshard` before it asks. */
export function reshardPlanLines(view: ClusterView, plan: ReshardTable, words: Words): string[] {
  const { count, sources, target, table } = plan;
  const nodes = nodesInOrder(view);
  const shown = (node: NodeRecord): string[] => nodeLines(node, nodes).map((line) => `    ${line}`);
  const bySource = [...new Set(table.map(({ source }) => source))];
  const moves = words.inRanges
    ? bySource.flatMap((source) => {
        const slots = table.filter((item) => item.source === source).map(({ slot }) => slot);
        return toRanges(slots).map((range) => `range ${formatRanges([range])} from ${source.id}`);
      })
    : table.map(({ slot, source }) => `${slot} from ${source.id}`);
  return [
    '',
    `Ready to move ${count} slots.`,
    '  Source nodes:',
    ...sources.flatMap(shown),
    '  Destination node:',
    ...shown(target),
    '  Resharding plan:',
    ...moves.map((move) => `    Moving slot ${move}`),
  ];
}

/** The line for a slot that moves. */
export function movingLine(slot: number, source: NodeRecord, target: NodeRecord, words: Words): string {
  return `Moving slot ${slot} from ${nameOf(source)} to ${nameOf(target)}${words.inRanges ? '' : ': '}`;
}
