/** A cluster client that writes at a steady rate until it is told to stop, in a process of its own; then it reads everything back. */
import process from 'node:process';
import { Cluster } from 'ioredis';

const [ports, rate] = [process.argv[2].split(',').map(Number), Number(process.argv[3])];
/** Each is a slot of its own: at 5,000 writes/s, each is written every 12 ms. */
const TAGS = 60;
const KEYS_OF_TAG = 40;
const TICK_MS = 5;

// Its own settings are what most programs have.
const cluster = new Cluster(ports.map((port) => ({ host: '127.0.0.1', port })));
const keys = Array.from({ length: TAGS * KEYS_OF_TAG }, (_, index) => ({
  name: `{${index % TAGS}}:${Math.floor(index / TAGS)}`,
  tag: index % TAGS,
  sent: 0,
  acknowledged: 0,
  isBusy: false,
}));
const answeredAt = Array.from({ length: TAGS }, () => 0);
const errors = {};
let [writes, longestMs, next, isMeasured] = [0, 0, 0, false];

function noteAnswer(tag) {
  const now = performance.now();
  if (isMeasured) longestMs = Math.max(longestMs, now - answeredAt[tag]);
  answeredAt[tag] = now;
}

async function write(key) {
  key.isBusy = true;
  key.sent++;
  const value = key.sent;
  try {
    await cluster.set(key.name, value);
    key.acknowledged = value;
    writes++;
    noteAnswer(key.tag);
  } catch (error) {
    const what = String(error.message).split(' ').slice(0, 4).join(' ');
    errors[what] = (errors[what] ?? 0) + 1;
  }
  key.isBusy = false;
}

/** Values may be newer than what was acknowledged, and never older. */
async function countLost() {
  let lost = 0;
  for (let from = 0; from < keys.length; from += 200) {
    const some = keys.slice(from, from + 200);
    const values = await Promise.all(some.map(({ name }) => cluster.get(name)));
    lost += some.filter(({ acknowledged }, index) => Number(values[index] ?? 0) < acknowledged).length;
  }
  return lost;
}

await new Promise((resolve) => cluster.once('ready', resolve));
await Promise.all(keys.map(write));
const started = performance.now();
let begun = 0;
const timer = setInterval(() => {
  const due = ((performance.now() - started) * rate) / 1000;
  for (; begun < due; begun++) {
    const key = keys[next++ % keys.length];
    if (!key.isBusy) write(key);
  }
}, TICK_MS);

process.on('message', async (message) => {
  if (message === 'measure') {
    for (let tag = 0; tag < TAGS; tag++) answeredAt[tag] = performance.now();
    [isMeasured, writes, longestMs] = [true, 0, 0];
    for (const what of Object.keys(errors)) delete errors[what];
    process.send('measuring');
    return;
  }
  clearInterval(timer);
  while (keys.some(({ isBusy }) => isBusy)) await new Promise((resolve) => setTimeout(resolve, 20));
  for (let tag = 0; tag < TAGS; tag++) noteAnswer(tag);
  process.send({ writes, longestMs, errors, lost: await countLost() });
  cluster.disconnect();
  process.disconnect();
});
process.send('ready');
