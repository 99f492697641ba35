import type { Task } from './task.ts';
import type { Sight } from './watch.ts';

/** How a migration ended: `done` only says that a server says so. */
export type Ending = { readonly type: 'done' } | { readonly type: 'failed'; readonly reason: string };

/** The two ends' entries of a migration, the newest where it is there more than once. */
export function entriesOf(task: Task, [source, target]: readonly [Sight, Sight]): (Task | undefined)[] {
  return [
    source.tasks?.find(({ id, end }) => id === task.id && end === 'source'),
    target.tasks?.find(({ id, end }) => id === task.id && end === 'target'),
  ];
}

/** How a migration ended, or undefined while it may go on: both ends have to say that it is over. */
export function endingOf(task: Task, sights: readonly [Sight, Sight]): Ending | undefined {
  const entries = entriesOf(task, sights);
  if (entries.some((entry) => entry?.outcome === 'done')) return { type: 'done' };
  const isOver = (index: 0 | 1) => sights[index].tasks && entries[index]?.outcome !== 'running';
  if (!isOver(0) || !isOver(1)) return undefined;
  const reasons = entries.map((entry) => entry?.error ?? '').filter((text) => text !== '');
  // The one that gave up first has more to say than the one that lost its connection by that.
  const telling = reasons.find((text) => !/connection lost|disconnected/i.test(text)) ?? reasons[0];
  return { type: 'failed', reason: telling ?? 'the servers know nothing of it any more' };
}
