import assert from 'node:assert/strict';
import { it } from 'node:test';
import { returnPort, takePort } from '../bed/ports.ts';

it('`takePort()` gives every caller a different port, from more than one block', async () => {
  const ports = await Promise.all(Array.from({ length: 120 }, () => takePort('127.0.0.1')));
  assert.equal(new Set(ports).size, 120);
  for (const port of ports) assert.ok(port > 10_000 && port + 10_000 < 32_768);
  for (const port of ports) returnPort(port);
});

it('`takePort()` reuses a returned port only after all others', async () => {
  const port = await takePort('127.0.0.1');
  returnPort(port);
  assert.notEqual(await takePort('127.0.0.1'), port);
});
