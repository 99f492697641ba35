import type { Dialect } from './dialect.ts';
import { type Fields, readEntries, readRanges, type Task } from './task.ts';

/**
 * Valkey 9.0 and newer: CLUSTER MIGRATESLOTS. The source exports, and does not retry on its own. All ranges go into one
 * migration; each gets its own snapshot, one after the other.
 */
export const valkey: Dialect = {
  name: 'valkey',
  driver: 'source',
  onePerNode: false,
  sourceKeepsFailed: false,
  deletesAtOnce: true,
  mostRetries: 0,
  helpLine: /^MIGRATESLOTS\b/i,
  start: (ranges, targetId) => ['CLUSTER', 'MIGRATESLOTS', 'SLOTSRANGE', ...ranges.flat(), 'NODE', targetId],
  list: ['CLUSTER', 'GETSLOTMIGRATIONS'],
  readTasks: (reply) => readEntries(reply).map(readTask),
  // A single migration cannot be named: this cancels everything that the source exports.
  cancel: () => ['CLUSTER', 'CANCELSLOTMIGRATIONS'],
};

function readTask(field: Fields): Task {
  const state = field('state');
  return {
    id: field('name'),
    end: field('operation').toUpperCase() === 'IMPORT' ? 'target' : 'source',
    slots: readRanges(field('slot_ranges')),
    source: field('source_node'),
    target: field('target_node'),
    state,
    outcome: outcomeOf(state),
    error: field('message') || (state === 'cancelled' ? 'it was cancelled' : ''),
    retries: 0,
    mark: ['state', 'last_update_time', 'cow_size', 'remaining_repl_size'].map(field).join(' '),
  };
}

function outcomeOf(state: string): Task['outcome'] {
  if (state === 'success') return 'done';
  return state === 'failed' || state === 'cancelled' ? 'failed' : 'running';
}
