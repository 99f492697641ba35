// Runs the integration tests on every supported server, two at a time: `npm run test:matrix [-- server...]`.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { inParallel } from '../lib/apply/parallel.ts';
import { serverNames } from './bed/servers.ts';

const AT_ONCE = 2;

const asked = process.argv.slice(2);
execFileSync(process.execPath, ['tests/build-tests.mjs'], { stdio: 'inherit' });
const files = readdirSync('dist-tests/integration')
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => `dist-tests/integration/${name}`);

interface Run {
  readonly server: string;
  readonly status: number | null;
  readonly output: string;
  readonly seconds: number;
}

async function runOn(server: string): Promise<Run> {
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', '--test', '--test-reporter=spec', '--test-concurrency=2', ...files],
    { env: { ...process.env, REDIS_TRIB_TEST_SERVER: server }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const run = { server, status, output, seconds: (performance.now() - started) / 1000 };
  report(run);
  return run;
}

function report({ server, status, output, seconds }: Run): void {
  const total = (name: string): number => Number(new RegExp(`^ℹ ${name} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  if (status !== 0) console.log(output);
  console.log(
    `${server.padEnd(10)} ${total('pass')} passed, ${total('fail')} failed, ${total('skipped')} skipped (${seconds.toFixed(0)} s)`,
  );
}

const runs = await inParallel(asked.length > 0 ? asked : serverNames, runOn, AT_ONCE);
const failed = runs.filter(({ status }) => status !== 0).map(({ server }) => server);
if (failed.length > 0) {
  console.error(`Failed on: ${failed.join(', ')}`);
  process.exitCode = 1;
}
