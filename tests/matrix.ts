// Runs the integration tests on every supported server, several files at a time: `npm run test:matrix [-- server...]`.
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import process from 'node:process';
import { inParallel } from '../lib/apply/parallel.ts';
import { serverNames } from './bed/servers.ts';

// Most tests wait for nodes more than they work.
const AT_ONCE = 5;

const asked = process.argv.slice(2);
const servers = asked.length > 0 ? asked : serverNames;
execFileSync(process.execPath, ['tests/build-tests.mjs'], { stdio: 'inherit' });
const files = readdirSync('dist-tests/integration').filter((name) => name.endsWith('.test.js'));

interface Run {
  readonly status: number | null;
  readonly output: string;
}

async function run(server: string, file: string): Promise<Run> {
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', '--test-reporter=spec', `dist-tests/integration/${file}`],
    { env: { ...process.env, REDIS_TRIB_TEST_SERVER: server }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (status !== 0) console.log(`${server}, ${file}:\n${output}`);
  return { status, output };
}

function report(server: string, runs: readonly Run[]): void {
  const total = (name: string): number =>
    runs
      .map(({ output }) => Number(new RegExp(`^ℹ ${name} (\\d+)`, 'm').exec(output)?.[1] ?? 0))
      .reduce((sum, count) => sum + count, 0);
  console.log(
    `${server.padEnd(10)} ${total('pass')} passed, ${total('fail')} failed, ${total('skipped')} skipped`,
  );
}

// One row for all, so that no server is left to itself at the end.
const jobs = servers.flatMap((server) => files.map((file) => ({ server, file })));
const runs = new Map<string, Run[]>(servers.map((server) => [server, []]));
await inParallel(
  jobs,
  async ({ server, file }) => {
    const done = runs.get(server) ?? [];
    done.push(await run(server, file));
    if (done.length === files.length) report(server, done);
  },
  AT_ONCE,
);
const failed = servers.filter((server) => runs.get(server)?.some(({ status }) => status !== 0));
if (failed.length > 0) {
  console.error(`Failed on: ${failed.join(', ')}`);
  process.exitCode = 1;
}
