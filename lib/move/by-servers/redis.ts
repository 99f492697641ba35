import type { Dialect } from './dialect.ts';
import { type Fields, readEntries, readRanges, type Task } from './task.ts';

/**
 * Redis 8.4 and newer: CLUSTER MIGRATION. The target imports. It retries every second, for ever, until it is told to stop: if
 * only the source cancels, the migration starts again.
 */
export const redis: Dialect = {
  name: 'redis',
  driver: 'target',
  onePerNode: true,
  sourceKeepsFailed: true,
  deletesAtOnce: false,
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

// A target also reports `failed` between two attempts, but then without an end time. A source does not retry on its own.
function outcomeOf(state: string, end: Task['end'], endedAt: number): Task['outcome'] {
  if (state === 'completed') return 'done';
  if (state === 'canceled') return 'failed';
  if (state === 'failed') return end === 'source' || endedAt > 0 ? 'failed' : 'running';
  return 'running';
}
