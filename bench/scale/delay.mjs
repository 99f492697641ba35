/**
 * Makes nodes far away for clients that connect through its ports. It is a process of its own, so its work does not slow anything
 * that is measured. Takes `{ ports, delayMs }` from its parent and answers with its own ports, in that order.
 *
 * Data is passed on `delayMs` later, in either direction. The TCP handshake is local and takes no time, so the first data of
 * a new connection also waits for the round trip that the handshake would have taken.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import process from 'node:process';

const HOST = '127.0.0.1';

/** Passes on the data from one end, in order, each piece when it is due. */
function forward(from, to, due) {
  const later = (work) => {
    const at = due();
    // A timer may fire a millisecond early.
    const run = () => (performance.now() < at ? setTimeout(run, 1) : work());
    setTimeout(run, at - performance.now());
  };
  from.on('data', (data) => later(() => to.write(data)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => to.destroy());
}

function relay(client, port, delayMs) {
  const opened = performance.now() + 2 * delayMs;
  const server = connect({ host: HOST, port, noDelay: true, allowHalfOpen: true });
  client.setNoDelay(true);
  forward(client, server, () => Math.max(performance.now(), opened) + delayMs);
  forward(server, client, () => performance.now() + delayMs);
}

async function listen(port, delayMs) {
  const server = createServer({ allowHalfOpen: true }, (client) => relay(client, port, delayMs));
  server.listen(0, HOST);
  await once(server, 'listening');
  return server.address().port;
}

process.once('message', async ({ ports, delayMs }) => {
  process.send(await Promise.all(ports.map((port) => listen(port, delayMs))));
});
process.once('disconnect', () => process.exit());
