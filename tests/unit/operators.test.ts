import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTask } from '../../lib/apply/atomic-tasks.ts';
import { readOperators } from '../../lib/apply/operators.ts';

test('`readOperators()` finds those that change the cluster in CLIENT LIST', () => {
  const list = [
    'id=5 addr=127.0.0.1:59850 fd=9 name= age=3 idle=0 flags=N db=0 cmd=client user=default',
    'id=6 addr=127.0.0.1:59851 laddr=127.0.0.1:7000 fd=9 name=redis-trib age=4 idle=0',
    'id=7 addr=[::1]:59852 laddr=[::1]:7000 fd=9 name=redis-trib:change:0123abcd age=75 idle=0',
    'id=8 addr=127.0.0.1:1 fd=9 name=x:redis-trib:change:0123abcd age=75 lib-name=redis-trib:change:1',
    '',
  ].join('\n');
  assert.deepEqual(readOperators(list, '[::1]:7000'), [
    { name: 'redis-trib:change:0123abcd', from: '[::1]:59852', ageSeconds: 75, node: '[::1]:7000' },
  ]);
});

test('`readTask()` reads what Redis says of an atomic migration', () => {
  const entry = (state: string, end: number) => [
    ...['id', 'x', 'slots', '7-7 10-12', 'source', 'a', 'dest', 'b', 'operation', 'import', 'state', state],
    ...['last_error', '', 'retries', 0, 'end_time', end],
  ];
  const task = { source: 'a', target: 'b', slots: [7, 10, 11, 12] };
  assert.deepEqual(readTask(entry('auth-reply', -1)), { ...task, state: 'auth-reply', isRunning: true });
  assert.equal(readTask(entry('failed', -1)).isRunning, true, 'it will be tried again');
  assert.equal(readTask(entry('completed', 1_795_383_272_744)).isRunning, false);
});

test('`readTask()` reads what Valkey says of an atomic migration', () => {
  const entry = (state: string) => [
    ...[
      'name',
      'x',
      'operation',
      'EXPORT',
      'slot_ranges',
      '7-7 10-12',
      'target_node',
      'b',
      'source_node',
      'a',
    ],
    ...['create_time', 1, 'state', state, 'message', ''],
  ];
  const task = { source: 'a', target: 'b', slots: [7, 10, 11, 12] };
  assert.deepEqual(readTask(entry('snapshotting')), { ...task, state: 'snapshotting', isRunning: true });
  for (const state of ['success', 'failed', 'cancelled'])
    assert.equal(readTask(entry(state)).isRunning, false);
});
