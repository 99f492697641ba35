import type { Task } from './task.ts';
import type { Answer } from './watch.ts';

/** How a migration ended: `done` only means that a server reports success. */
export type Ending = { readonly type: 'done' } | { readonly type: 'failed'; readonly reason: string };

/** Each end's entry of a migration, the newest if there are several. */
export function entriesOf(task: Task, [source, target]: readonly [Answer, Answer]): (Task | undefined)[] {
  return [
    source.tasks?.find(({ id, end }) => id === task.id && end === 'source'),
    target.tasks?.find(({ id, end }) => id === task.id && end === 'target'),
  ];
}

/** How a migration ended, or undefined while it may still run: both ends must report that it is over. */
export function endingOf(task: Task, answers: readonly [Answer, Answer]): Ending | undefined {
  const entries = entriesOf(task, answers);
  if (entries.some((entry) => entry?.outcome === 'done')) return { type: 'done' };
  const isOver = (index: 0 | 1) => answers[index].tasks && entries[index]?.outcome !== 'running';
  if (!isOver(0) || !isOver(1)) return undefined;
  const reasons = entries.map((entry) => entry?.error ?? '').filter((text) => text !== '');
  // The end that gave up first gives a better reason than the one that lost its connection because of that.
  const telling = reasons.find((text) => !/connection lost|disconnected/i.test(text)) ?? reasons[0];
  return { type: 'failed', reason: telling ?? 'the servers no longer list it' };
}
