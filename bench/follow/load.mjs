/**
 * A cluster client that writes, deletes and lets expire at a steady rate until it is told to stop, in a process of its own. Then it
 * looks for each value that was acknowledged on the cluster that it is told, and counts those that are not there.
 */
import process from 'node:process';
import { ClusterClient } from '../../tests/helpers/cluster-client.ts';
import { text } from '../migrate/cluster.mjs';

const [ports, rate, keys, bytes] = [process.argv[2].split(','), ...process.argv.slice(3).map(Number)];
const TICK_MS = 5;
/** Of a hundred writes, so many delete and so many let expire after a second. */
const [DELETES, EXPIRIES] = [5, 5];
const EXPIRE_MS = 1000;
const READ_AT_ONCE = 200;

const clientOf = (some) =>
  new ClusterClient(...some.map((port) => ({ host: '127.0.0.1', port: Number(port) })));
const client = clientOf(ports);
/** By number of the key: its last acknowledged value; undefined if it was deleted, expires, or a write to it is under way. */
const values = new Map();
const busy = new Set();
let [writes, failures, sent, isStopped] = [0, 0, 0, false];

async function write(number) {
  const name = `key:${number}`;
  busy.add(number);
  values.delete(number);
  const chance = Math.random() * 100;
  const value = `${sent}:${text(bytes)}`;
  try {
    if (chance < DELETES) await client.command(name, ['DEL', name]);
    else if (chance < DELETES + EXPIRIES)
      await client.command(name, ['SET', name, value, 'PX', `${EXPIRE_MS}`]);
    else {
      await client.command(name, ['SET', name, value]);
      values.set(number, value);
    }
    writes++;
    busy.delete(number);
  } catch {
    // What became of it is not known: the key stays busy and is not looked for.
    if (!isStopped) failures++;
  }
}

async function countLost(some) {
  const there = clientOf(some);
  const held = [...values];
  let lost = 0;
  for (let from = 0; from < held.length; from += READ_AT_ONCE) {
    const part = held.slice(from, from + READ_AT_ONCE);
    const found = await Promise.all(part.map(([number]) => there.get(`key:${number}`)));
    lost += part.filter(([, value], index) => found[index] !== value).length;
  }
  await there.close();
  return { looked: held.length, lost };
}

const started = performance.now();
const timer = setInterval(() => {
  for (const due = ((performance.now() - started) * rate) / 1000; sent < due; sent++) {
    const number = Math.floor(Math.random() * keys);
    if (!busy.has(number)) write(number);
  }
}, TICK_MS);

process.on('message', async (message) => {
  if (message === 'count') {
    process.send({ writes, ms: performance.now() - started });
    return;
  }
  if (message === 'stop') {
    // What the pause holds back is never run: its connections are closed.
    isStopped = true;
    clearInterval(timer);
    await client.close();
    process.send({ writes, failures });
    return;
  }
  process.send(await countLost(message));
  process.disconnect();
  process.exit();
});
process.send('ready');
