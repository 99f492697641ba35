/**
 * How fast two clusters are compared, beside the import that made them the same:
 *
 *     npm run bench:compare -- [--keys 1000000] [--bytes 100] [--rounds 3] [--server redis-8.6] [--other valkey-9.1]
 *
 * In each round the second cluster is emptied, filled by an import from the first, and compared with it, each in a process of its own
 * with its peak of resident memory and the processor time of all that took part. `--expiring 50` gives so many of a hundred keys a time to
 * live, `--hashes 50` makes so many of them hashes.
 */
import { parseArgs } from 'node:util';
import { connectTo } from '../tests/bed/client.ts';
import { openBed } from '../tests/bed/index.ts';
import { startMasters } from '../tests/helpers/clusters.ts';
import { build } from './migrate/build.mjs';
import { runProgram } from './migrate/child.mjs';
import { text } from './migrate/cluster.mjs';
import { memorySampler } from './migrate/memory.mjs';
import { median } from './report.mjs';

const { values: options } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: '100' },
    rounds: { type: 'string', default: '3' },
    server: { type: 'string', default: 'redis-8.6' },
    other: { type: 'string', default: '' },
    expiring: { type: 'string', default: '0' },
    hashes: { type: 'string', default: '0' },
  },
});
const [keys, bytes, rounds] = [options.keys, options.bytes, options.rounds].map(Number);
const [expiring, hashes] = [options.expiring, options.hashes].map(Number);
const CHUNK = 5000;
const MASTERS = 2;

function commandsFor(key, place) {
  const isHash = (place * 7) % 100 < hashes;
  const value = isHash
    ? ['HSET', key, 'one', text(bytes / 2), 'two', text(bytes / 2)]
    : ['SET', key, text(bytes)];
  return [value, ...((place * 3) % 100 < expiring ? [['EXPIRE', key, '86400']] : [])];
}

async function fill(nodes) {
  // On each node keys of its own: one tag for each would be one slot.
  for (const [place, node] of nodes.entries()) {
    const connection = await connectTo(node);
    for (let from = place; from < keys * MASTERS; from += CHUNK * MASTERS) {
      const some = Array.from({ length: CHUNK }, (_, index) => `key:${from + index * MASTERS}`);
      // Those of another node's slots are refused.
      await connection.pipeline(some.flatMap(commandsFor));
    }
    await connection.close();
  }
}

async function tellAll(nodes, ...command) {
  const replies = [];
  for (const node of nodes) {
    const connection = await connectTo(node);
    replies.push(await connection.command(command));
    await connection.close();
  }
  return replies;
}

/** Processor time in seconds that these servers have used. */
async function serverSeconds(nodes) {
  const infos = await tellAll(nodes, 'INFO', 'cpu');
  const used = infos.flatMap((info) => [...String(info).matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)]);
  return used.reduce((sum, [, seconds]) => sum + Number(seconds), 0);
}

const { cli } = build();
const source = await openBed({ server: options.server });
const target = await openBed({ server: options.other || options.server });
try {
  const [from, to] = [await startMasters(source, MASTERS), await startMasters(target, MASTERS)];
  await fill(from);
  const held = (await tellAll(from, 'DBSIZE')).reduce((sum, count) => sum + count, 0);
  const [first, second] = [from[0].address, to[0].address];
  console.log(
    `${held} keys of ${bytes} bytes, ${options.server} to ${options.other || options.server}, Node ${process.versions.node}`,
  );
  const ratios = [];
  for (let round = 0; round < rounds; round++) {
    await tellAll(to, 'FLUSHALL');
    const ran = [];
    for (const words of [
      ['import', second, '--from-cluster', first, '--yes'],
      ['compare', first, second],
    ]) {
      const memory = memorySampler();
      const before = [await serverSeconds(from), await serverSeconds(to)];
      const { ms } = await runProgram(process.execPath, [cli, ...words], {
        onTick: memory.tick,
      });
      ran.push(ms);
      const servers = [(await serverSeconds(from)) - before[0], (await serverSeconds(to)) - before[1]];
      const used = [memory.seconds, ...servers].map((seconds) => seconds.toFixed(1)).join(', ');
      const peak = Math.max(...memory.seen);
      console.log(
        `  ${words[0].padEnd(8)} ${(ms / 1000).toFixed(2)} s  ${Math.round(held / ms)}k keys/s  ${peak.toFixed(0)} MB  processor time of the tool, the first, the second: ${used} s`,
      );
    }
    ratios.push(ran[0] / ran[1]);
  }
  console.log(`A comparison takes 1/${median(ratios).toFixed(2)} of the time of the import`);
} finally {
  await Promise.all([source.close(), target.close()]);
}
