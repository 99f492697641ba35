/**
 * How long the command line takes to check a cluster of many simulated nodes, and how much memory it needs:
 *
 *     npm run bench:look -- [--nodes 1000] [--rounds 3] [--check]
 *
 * With --check, fails above 2 s or 150 MB.
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const MOST_MS = 2000;
const MOST_MB = 150;

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    check: { type: 'boolean', default: false },
  },
});
const here = fileURLToPath(new URL('.', import.meta.url));

// Measures what is published: JavaScript, built like the package.
const out = mkdtempSync(join(tmpdir(), 'redis-trib-look-'));
await build({
  entryPoints: [join(here, '../cli.ts')],
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  logLevel: 'warning',
});
const preload = join(out, 'rss.cjs');
writeFileSync(
  preload,
  "process.on('exit', () => require('node:fs').writeSync(2, 'rss ' + process.resourceUsage().maxRSS + '\\n'));\n",
);
const nodes = fork(join(here, 'look/nodes.mjs'), [values.nodes]);
const { ports } = await new Promise((resolve, reject) => {
  nodes.once('message', resolve);
  nodes.once('exit', (code) => reject(new Error(`The nodes exited with ${code}`)));
});

/** Runs check once: milliseconds, and peak memory. */
async function measure() {
  const began = performance.now();
  const child = spawn(process.execPath, [
    '-r',
    preload,
    join(out, 'cli.mjs'),
    'check',
    `127.0.0.1:${ports[0]}`,
  ]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`check exited with ${code}:\n${stdout.slice(-2000)}${stderr}`);
  const lines = stdout.match(/^[MS]: /gm)?.length;
  if (lines !== ports.length) throw new Error(`check shows ${lines} of ${ports.length} nodes`);
  return { ms: performance.now() - began, mb: Number(/rss (\d+)/.exec(stderr)?.[1]) / 1024 };
}

try {
  const runs = [];
  for (let round = 0; round < Number(values.rounds); round++) runs.push(await measure());
  const best = Math.min(...runs.map(({ ms }) => ms));
  const most = Math.max(...runs.map(({ mb }) => mb));
  for (const { ms, mb } of runs)
    console.log(`${ports.length} nodes: ${(ms / 1000).toFixed(2)} s, ${mb.toFixed(0)} MB`);
  console.log(
    `best ${(best / 1000).toFixed(2)} s (target ${MOST_MS / 1000} s), peak memory ${most.toFixed(0)} MB (target ${MOST_MB} MB)`,
  );
  if (values.check && (best > MOST_MS || most > MOST_MB)) process.exitCode = 1;
} finally {
  nodes.disconnect();
  rmSync(out, { recursive: true, force: true });
}
