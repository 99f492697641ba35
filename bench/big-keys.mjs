/**
 * How long servers are busy with one command, and how long a PING waits, while a big key is copied by `import`:
 *
 *     npm run bench:big-keys -- [--megabytes 200] [--server redis-8.6] [--other valkey-9.1] [--only hash] [--cli other/dist/cli.js]
 *
 * One key of each type goes from a server to a cluster of one master. For each: the time and the peak of resident memory of the tool, and on
 * both sides the longest command by the server's latency monitor and the longest PING.
 */
import { parseArgs } from 'node:util';
import { connectTo } from '../tests/bed/client.ts';
import { openBed } from '../tests/bed/index.ts';
import { startMasters } from '../tests/helpers/clusters.ts';
import { build } from './migrate/build.mjs';
import { runProgram } from './migrate/child.mjs';
import { text } from './migrate/cluster.mjs';
import { memorySampler } from './migrate/memory.mjs';

const { values: options } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '200' },
    server: { type: 'string', default: 'redis-8.6' },
    other: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    cli: { type: 'string', default: '' },
  },
});
/** Bytes of one element. */
const ELEMENT = 100;
const CHUNK = 10_000;
const PING_EVERY_MS = 2;
const LONGEST_WAIT_MS = 600_000;
const elements = Math.round((Number(options.megabytes) * 1e6) / ELEMENT);

const pool = text(1_000_000);
/** No two are alike for long: a DUMP is not compressed much. */
const value = (index) => pool.slice((index * 7919) % 999_000).slice(0, ELEMENT - 12);
const element = (index) => `${value(index)}${index}`;
/** Commands that write one chunk of a key of each type. */
const writes = {
  string: (key, from) => [['SETRANGE', key, from * ELEMENT, pool.slice(0, CHUNK * ELEMENT)]],
  list: (key, from) => [['RPUSH', key, ...some(from, (index) => [element(index)])]],
  set: (key, from) => [['SADD', key, ...some(from, (index) => [element(index)])]],
  zset: (key, from) => [['ZADD', key, ...some(from, (index) => [index / 3, element(index)])]],
  hash: (key, from) => [['HSET', key, ...some(from, (index) => [`f${index}`, value(index)])]],
  stream: (key, from) => some(from, (index) => [['XADD', key, `${index + 1}-1`, 'field', value(index)]]),
};

function some(from, make) {
  return Array.from({ length: CHUNK }, (_, index) => make(from + index)).flat();
}

/** Sends PING every few milliseconds. Returns what ends that, and resolves to the longest wait and the longest command. */
async function watch(node) {
  const connections = [await connectTo(node), await connectTo(node)];
  const [pinger, asker] = connections;
  await asker.pipeline([
    ['CONFIG', 'SET', 'latency-monitor-threshold', '1'],
    ['LATENCY', 'RESET'],
  ]);
  let [longest, isOver] = [0, false];
  const pinging = (async () => {
    while (!isOver) {
      const from = performance.now();
      await pinger.command(['PING'], { timeout: LONGEST_WAIT_MS });
      longest = Math.max(longest, performance.now() - from);
      await new Promise((resolve) => setTimeout(resolve, PING_EVERY_MS));
    }
  })();
  return async () => {
    isOver = true;
    await pinging;
    const events = await asker.command(['LATENCY', 'LATEST']);
    const command = Math.max(0, ...events.filter(([name]) => name === 'command').map((event) => event[3]));
    await Promise.all([pinger.close(), asker.close()]);
    return { longest, command };
  };
}

const cli = options.cli || build().cli;
const source = await openBed({ server: options.server });
const target = await openBed({ server: options.other || options.server });
try {
  const [from] = await source.start(1, { cluster: false, config: {} });
  const [to] = await startMasters(target, 1);
  console.log(
    `Keys of ${options.megabytes} MB, ${options.server} to ${options.other || options.server}, Node ${process.versions.node}`,
  );
  for (const [type, write] of Object.entries(writes)) {
    if (!type.startsWith(options.only)) continue;
    const [filler, emptier] = [await connectTo(from), await connectTo(to)];
    for (let at = 0; at < elements; at += CHUNK) await filler.pipeline(write('big', at));
    const ends = [await watch(from), await watch(to)];
    const memory = memorySampler();
    const words = ['import', to.address, '--from', from.address, '--yes'];
    // A key that takes longer than a command may ends it.
    const { ms, text: said } = await runProgram(process.execPath, [cli, ...words], {
      onTick: memory.tick,
    }).catch((error) => ({ ms: Number.NaN, text: error.message }));
    if (Number.isNaN(ms)) console.log(said);
    const [here, there] = [await ends[0](), await ends[1]()];
    const waits = [here, there].map(
      ({ command, longest }) => `${String(command).padStart(5)} (${longest.toFixed(0).padStart(5)}) ms`,
    );
    console.log(
      `  ${type.padEnd(7)} ${(ms / 1000).toFixed(1).padStart(5)} s ${Math.max(...memory.seen)
        .toFixed(0)
        .padStart(6)} MB  longest command (PING), source ${waits[0]}, target ${waits[1]}`,
    );
    for (const connection of [filler, emptier]) {
      await connection.command(['UNLINK', 'big']);
      await connection.close();
    }
  }
} finally {
  await Promise.all([source.close(), target.close()]);
}
