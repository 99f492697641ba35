import type { Dialect } from './dialect.ts';
import { type Fields, readEntries, readRanges, type Task } from './task.ts';

/**
 * Redis 8.4 and newer: CLUSTER MIGRATION. The target imports; it tries again every second, for ever, until it is told to
 * stop: cancelled on the source alone, the migration begins anew.
 */
export const redis: Dialect = {
  name: 'redis',
  driver: 'target',
  onePerNode: true,
  sourceKeepsFailed: true,
  mostRetries: 2,
  helpLine: /^MIGRATION IMPORT\b/i,
  start: (ranges) => ['CLUSTER', 'MIGRATION', 'IMPORT', ...ranges.flat()],
  list: ['CLUSTER', 'MIGRATION', 'STATUS', 'ALL'],
  readTasks: (reply) => readEntries(reply).map(readTask),
  cancel: (taskId) => ['CLUSTER', 'MIGRATION', 'CANCEL', 'ID', taskId],
};

function readTask(field: Fields): Task {
  const end = field('operation') === 'import' ? 'target' : 'source';
  return {
    id: field('id'),
    end,
    slots: readRanges(field('slots')),
    source: field('source'),
    target: field('dest'),
    state: field('state'),
    outcome: outcomeOf(field('state'), end, Number(field('end_time'))),
    error: field('last_error'),
    retries: Number(field('retries')),
    mark: `${field('state')} ${field('retries')} ${field('start_time')}`,
  };
}

// A target says `failed` between two tries too, with no time of its end then; a source does not try by itself.
function outcomeOf(state: string, end: Task['end'], endedAt: number): Task['outcome'] {
  if (state === 'completed') return 'done';
  if (state === 'canceled') return 'failed';
  if (state === 'failed') return end === 'source' || endedAt > 0 ? 'failed' : 'running';
  return 'running';
}
