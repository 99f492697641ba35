import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operatorsIn } from '../../lib/apply/claim.ts';

test('`operatorsIn()` finds connections that change the cluster in CLIENT LIST', () => {
  const list = [
    'id=5 addr=127.0.0.1:59850 fd=9 name= age=3 idle=0 flags=N db=0 cmd=client user=default',
    'id=6 addr=127.0.0.1:59851 laddr=127.0.0.1:7000 fd=9 name=redis-trib age=4 idle=0',
    'id=7 addr=[::1]:59852 laddr=[::1]:7000 fd=9 name=redis-trib:change:0123abcd age=75 idle=0',
    'id=8 addr=127.0.0.1:1 fd=9 name=x:redis-trib:change:0123abcd age=75 lib-name=redis-trib:change:1',
    '',
  ].join('\n');
  assert.deepEqual(operatorsIn(list, '[::1]:7000'), [
    { name: 'redis-trib:change:0123abcd', from: '[::1]:59852', ageSeconds: 75, node: '[::1]:7000' },
  ]);
});
