import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseClientList } from '../../lib/nodes/client-list.ts';

test('`parseClientList()` reads the output of old and new servers, for all address families', () => {
  const text = [
    'id=3 addr=127.0.0.1:5000 fd=8 name= age=1 idle=0 flags=N db=0 cmd=RESTORE-ASKING user=default',
    'id=12 addr=[::1]:41000 laddr=[::1]:7000 fd=9 name=redis-trib age=75 idle=12 tot-net-in=812 tot-net-out=9 cmd=client|list lib-name=x user=default',
    'id=13 addr=/run/redis.sock:0 fd=9 name= age=0 cmd=NULL',
    'name=none',
    '',
  ].join('\n');
  assert.deepEqual(parseClientList(text), [
    {
      id: '3',
      from: '127.0.0.1:5000',
      host: '127.0.0.1',
      name: '',
      ageSeconds: 1,
      received: undefined,
      command: 'restore-asking',
    },
    {
      ...{ id: '12', from: '[::1]:41000', host: '::1', name: 'redis-trib' },
      ...{ ageSeconds: 75, received: 812, command: 'client|list' },
    },
    {
      ...{ id: '13', from: '/run/redis.sock:0', host: '/run/redis.sock:0', name: '' },
      ...{ ageSeconds: 0, received: undefined, command: 'NULL' },
    },
  ]);
});
