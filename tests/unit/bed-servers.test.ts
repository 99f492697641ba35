import assert from 'node:assert/strict';
import { it } from 'node:test';
import { parseVersion } from '../bed/servers.ts';

it('`parseVersion()` reads the output of Redis and Valkey', () => {
  assert.deepEqual(
    parseVersion('Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=a3fde'),
    {
      name: 'redis-6.0',
      kind: 'redis',
      version: '6.0.16',
      major: 6,
      minor: 0,
    },
  );
  const valkey = parseVersion(
    'Valkey server v=9.1.0-rc1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1',
  );
  assert.deepEqual([valkey.name, valkey.version], ['valkey-9.1', '9.1.0-rc1']);
});

it('`parseVersion()` refuses anything else', () => {
  assert.throws(() => parseVersion('nginx version: nginx/1.22.1'), /Cannot read a server's version/);
});
