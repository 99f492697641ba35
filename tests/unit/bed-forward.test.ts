import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, it } from 'node:test';
import { forward } from '../bed/forward.ts';

const sockets: Socket[] = [];
after(() => {
  for (const socket of sockets) socket.destroy();
});

/** Two ends of a connection. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const near = connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  sockets.push(near, far);
  return [near, far];
}

async function forwarded(gate: { isOpen: boolean; delayMs: number }) {
  const [writer, from] = await socketPair();
  const [to, reader] = await socketPair();
  const wake = forward(from, to, { isOpen: () => gate.isOpen, delayMs: () => gate.delayMs });
  let text = '';
  reader.on('data', (chunk) => {
    text += chunk.toString();
  });
  return { writer, reader, wake, text: () => text };
}

it('`forward()` keeps the order, and delays by the given time', async () => {
  const gate = { isOpen: true, delayMs: 30 };
  const { writer, reader, text } = await forwarded(gate);
  const start = performance.now();
  writer.write('one ');
  setTimeout(() => {
    gate.delayMs = 0;
    writer.end('two');
  }, 10);
  await once(reader, 'end');
  // Timers count in whole milliseconds, and may fire up to one early.
  assert.ok(performance.now() - start >= 29);
  assert.equal(text(), 'one two');
});

it('`forward()` holds back everything while the gate is shut, even the end', async () => {
  const gate = { isOpen: false, delayMs: 0 };
  const { writer, reader, wake, text } = await forwarded(gate);
  writer.end('held');
  let hasEnded = false;
  reader.on('end', () => {
    hasEnded = true;
  });
  // What must not happen cannot be waited for
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([text(), hasEnded], ['', false]);
  gate.isOpen = true;
  wake();
  await once(reader, 'end');
  assert.equal(text(), 'held');
});

it('`forward()` carries more than any buffer holds to a slow reader', async () => {
  const { writer, reader, text } = await forwarded({ isOpen: true, delayMs: 0 });
  reader.pause();
  writer.end('x'.repeat(20 << 20));
  setTimeout(() => reader.resume(), 50);
  await once(reader, 'end');
  assert.equal(text().length, 20 << 20);
});
