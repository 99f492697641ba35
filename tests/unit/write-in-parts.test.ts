import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { type Destination, onOwner } from '../../lib/copy/parts/write-in-parts.ts';
import { parseAddress } from '../../lib/model/address.ts';
import { Connections } from '../../lib/nodes/connections.ts';
import { eventually } from '../bed/client.ts';
import { startMadeUp } from '../helpers/made-up-server.ts';

test('onOwner() leaves no connection open if it is stopped while it connects', async () => {
  let connecting: Socket | undefined;
  await using server = await startMadeUp(() => (socket) => {
    connecting = socket;
  });
  const connections = new Connections({});
  const stop = new AbortController();
  const to = { context: { connections, signal: stop.signal }, db: 0 } as unknown as Destination;
  const work = onOwner(to, parseAddress(server.address), async () => assert.fail('it was not stopped'));
  await eventually('it connects', () => connecting !== undefined);
  stop.abort(new Error('enough'));
  // Its answer comes too late.
  connecting?.write('+OK\r\n');
  await assert.rejects(work);
  await eventually('the connection is closed', () => connecting?.readyState !== 'open', 2000);
  await connections.close();
});
