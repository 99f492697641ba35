import type { ClusterSnapshot } from '../../operations/snapshot.ts';
import { count, roughly } from '../figures.ts';
import { brief } from './marks.ts';
import { totalsOf } from './picture.ts';

/** A snapshot in one line, for output that is not a terminal. What all lines have comes first. */
export function figuresLine(snapshot: ClusterSnapshot, timeOf: (at: string) => string): string {
  const { at, state, nodes, moves, findings } = snapshot;
  const highest = (values: readonly (number | null | undefined)[]): number =>
    values.reduce((most: number, value) => Math.max(most, value ?? 0), 0);
  const down = nodes.filter((node) => node.state !== 'up');
  const worst = findings[0];
  return [
    timeOf(at),
    state === 'ok' ? 'serving' : 'not serving',
    count(nodes.length, 'node'),
    ...totalsOf(nodes),
    `lag ${brief(highest(nodes.map(({ lagBytes }) => lagBytes)), 1024)}`,
    `cpu ${Math.round(100 * highest(nodes.map(({ rates }) => rates?.cores)))}%`,
    ...(down.length > 0 ? [`no figures of ${down.map(({ address }) => address).join(', ')}`] : []),
    ...moves.map(
      ({ source, target, slotsDone, slotsOpen, msLeft }) =>
        `moving ${source} -> ${target}: ${slotsDone} slots moved, ${slotsOpen} open${msLeft === null ? '' : ` (${roughly(msLeft)} left)`}`,
    ),
    ...(worst ? [`${count(findings.length, 'finding')}, first: ${worst.message}`] : []),
  ].join('  ');
}
