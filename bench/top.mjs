/**
 * The processor time of `top` on a terminal of 200 × 50, beside a cluster of real nodes, half of them replicas:
 *
 *     npm run bench:top -- [--server redis-8.6] [--nodes 30] [--seconds 100]
 *
 * In per cent of a core, for each ten seconds from its start. Linux only; needs `script` of util-linux.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createCluster } from '../lib/index.ts';
import { openBed } from '../tests/bed/index.ts';
import { addressesOf, allServe, startNodes } from './scale/nodes.mjs';

const SPAN_SECONDS = 10;

const { values } = parseArgs({
  options: {
    server: { type: 'string', default: 'redis-8.6' },
    nodes: { type: 'string', default: '30' },
    seconds: { type: 'string', default: '100' },
  },
});
const cli = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Nanoseconds that all threads of a process have run. */
function ranFor(pid) {
  const ranOf = (thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + ranOf(thread), 0);
}

/** The process that `script` has started. */
async function childOf({ pid }) {
  for (;;) {
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    if (child !== '') return Number(child.split(' ')[0]);
    await sleep(1);
  }
}

const bed = await openBed({ server: values.server });
try {
  const nodes = await startNodes(bed, Number(values.nodes));
  await createCluster(addressesOf(nodes), { replicas: 1 });
  await allServe(nodes);
  await Promise.all(nodes.map(({ connection }) => connection.close()));
  const command = `stty rows 50 cols 200; exec ${process.execPath} ${cli} top ${nodes[0].node.address}`;
  const terminal = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const pid = await childOf(terminal);
  const began = performance.now();
  let [beforeNs, beforeMs] = [0, began];
  for (let at = SPAN_SECONDS; at <= Number(values.seconds); at += SPAN_SECONDS) {
    await sleep(began + at * 1000 - performance.now());
    const [ns, ms] = [ranFor(pid), performance.now()];
    const share = (ns - beforeNs) / 1e6 / (ms - beforeMs);
    console.log(`second ${at - SPAN_SECONDS} to ${at}: ${(share * 100).toFixed(2)} %`);
    [beforeNs, beforeMs] = [ns, ms];
  }
  terminal.stdin.write('q');
} finally {
  await bed.close();
}
