import { once } from 'node:events';
import * as net from 'node:net';
import { nowMs } from './clock.mjs';

/**
 * The least that moving the keys costs the servers: the slots are open already, and one MIGRATE per slot, with all its keys, is queued on
 * one connection. Opening, listing and closing are not timed.
 */
export async function moveAtFloor({ cluster, from, to, slots }) {
  const [fromId, toId] = await Promise.all([cluster.idOf(from), cluster.idOf(to)]);
  const each = (make) => slots.map((slot) => ['CLUSTER', 'SETSLOT', String(slot), ...make]);
  await cluster.tell(to, each(['IMPORTING', fromId]));
  await cluster.tell(from, each(['MIGRATING', toId]));
  const lists = await cluster.tell(
    from,
    slots.map((slot) => ['CLUSTER', 'GETKEYSINSLOT', String(slot), '1000000']),
  );
  const filled = lists.filter((keys) => keys.length > 0);
  const span = await migrateAll(from, to, filled);
  const owner = each(['NODE', toId]);
  await cluster.tell(to, owner);
  await cluster.tell(from, owner);
  for (const node of cluster.members) if (node !== from && node !== to) await cluster.tell(node, owner);
  return { ...span, ms: span.to - span.from };
}

async function migrateAll(from, to, lists) {
  const head = ['MIGRATE', to.host, String(to.port), '', '0', '60000', 'KEYS'];
  const wire = Buffer.concat(lists.map((keys) => encode([...head, ...keys])));
  const socket = net.connect({ host: from.host, port: from.port, noDelay: true });
  await once(socket, 'connect');
  const done = new Promise((resolve, reject) => {
    let missing = lists.length * '+OK\r\n'.length;
    if (missing === 0) resolve();
    socket.on('data', (chunk) => {
      if (chunk.includes('-')) reject(new Error(`MIGRATE was refused: ${chunk.toString().slice(0, 200)}`));
      missing -= chunk.length;
      if (missing === 0) resolve();
    });
    socket.once('close', () => reject(new Error('The source closed the connection')));
  });
  try {
    const started = nowMs();
    socket.write(wire);
    await done;
    return { from: started, to: nowMs() };
  } finally {
    socket.destroy();
  }
}

function encode(words) {
  return Buffer.from(
    `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`,
    'latin1',
  );
}
