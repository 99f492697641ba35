/**
 * A rolling restart of three masters with a replica each while a cluster client (ioredis, with its own settings) writes: ours beside a
 * script of redis-cli commands as people write it, on the same servers in turn.
 *
 *     npm run bench:restart -- [SERVER...] [--rounds 1] [--rate 5000] [--only ours|script] [--copy 0]
 *
 * With --copy, a replica needs so many milliseconds to copy its master, as with gigabytes of data.
 */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { createCluster, listNodes, restart } from '../lib/index.ts';
import { openBed } from '../tests/bed/index.ts';
import { serverNames } from '../tests/bed/servers.ts';
import { toolOf } from './migrate/cluster.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '1' },
    rate: { type: 'string', default: '5000' },
    only: { type: 'string', default: '' },
    copy: { type: 'string', default: '0' },
  },
});
/** What `load.mjs` writes on each master. */
const KEYS_OF_MASTER = 800;
const run = promisify(execFile);
const nodeAt = (nodes, port) => nodes.find((node) => node.port === port);

async function ours(nodes) {
  await restart(nodes[0].address, { restartServer: ({ port }) => nodeAt(nodes, port).restart() });
}

/** Replicas first; each master once its replica has been told to take over. Waits for PONG and for a second, and for nothing else. */
async function script(nodes, tool) {
  const cli = async (port, ...words) => (await run(tool, ['-p', `${port}`, ...words])).stdout.trim();
  const restartAt = async (port) => {
    await nodeAt(nodes, port).restart();
    while ((await cli(port, 'ping').catch(() => '')) !== 'PONG') await sleep(100);
    await sleep(1000);
  };
  const seen = (await listNodes(nodes[0].address)).nodes;
  const replicas = seen.filter(({ roleInCluster }) => roleInCluster === 'slave');
  for (const { port } of replicas) await restartAt(port);
  for (const { port, masterId } of replicas) {
    await cli(port, 'cluster', 'failover');
    await sleep(1000);
    await restartAt(seen.find(({ nodeId }) => nodeId === masterId).port);
  }
}

async function measure(nodes, work) {
  const path = fileURLToPath(new URL('./restart/load.mjs', import.meta.url));
  const load = fork(path, [nodes.map(({ port }) => port).join(), options.rate], { execArgv: [] });
  const answer = async () => (await once(load, 'message'))[0];
  try {
    await answer();
    await sleep(2000);
    load.send('measure');
    await answer();
    const started = performance.now();
    let failed = '';
    await work().catch((error) => {
      failed = error.message;
    });
    const seconds = (performance.now() - started) / 1000;
    await sleep(1000);
    load.send('stop');
    return { ...(await answer()), seconds, failed };
  } finally {
    load.kill();
  }
}

function row(name, { writes, longestMs, errors, lost, seconds, failed }) {
  const failures = Object.entries(errors).map(([what, count]) => `${count} × ${what}`);
  const figures = `${Math.round(longestMs)} ms | ${lost} | ${failures.join(', ') || 0} | ${seconds.toFixed(1)} s`;
  return `| ${name} | ${figures} | ${Math.round(writes / (seconds + 1))}/s |${failed ? ` ${failed}` : ''}`;
}

console.log(
  '| | slot unanswered at most | acknowledged keys lost | errors at the client | time | writes |\n|---|---|---|---|---|---|',
);
for (const server of positionals.length > 0 ? positionals : serverNames) {
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const [name, work] of Object.entries({ ours, script })) {
      if (!name.includes(options.only)) continue;
      const bed = await openBed({ server });
      try {
        const config = { appendonly: 'yes', 'cluster-node-timeout': '5000', 'repl-diskless-sync-delay': '0' };
        const delay = Math.round((1000 * Number(options.copy)) / KEYS_OF_MASTER);
        if (delay > 0) config['rdb-key-save-delay'] = `${delay}`;
        const nodes = await bed.start(6, { config });
        await createCluster(
          nodes.map(({ address }) => address),
          { replicas: 1 },
        );
        const result = await measure(nodes, () => work(nodes, toolOf(bed)));
        console.log(row(`${server}, ${name}`, result));
      } finally {
        await bed.close();
      }
    }
  }
}
