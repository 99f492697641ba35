// Runs test files, each in a process of its own and several at a time: `npm run test:unit`, `npm run test:integration`, which
// uses any available server, and `npm run test:matrix [-- server...] [--whole]`, which runs them on every supported server; what
// servers hardly change runs on one or a few (`tests/matrix.ts`) unless the whole is asked for.
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { inParallel } from '../lib/nodes/parallel.ts';
import { defaultServer, isServerName, serverNames } from './bed/servers.ts';
import { chooseSeed } from './helpers/seed.ts';
import { type Outcome, runTestFile } from './helpers/test-file.ts';
import { FEW, ONCE, runsOn } from './matrix.ts';

/** Unit tests use a core each; most integration tests wait for nodes more than they work. */
const AT_ONCE = { unit: 2, integration: 5 };

/** Files of integration tests that are run again if they fail. With more, something is broken. */
const MOST_AGAIN = 6;

const [what, ...words] = process.argv.slice(2);
const isWhole = words.includes('--whole');
const asked = words.filter((word) => word !== '--whole');
const folder = what === 'unit' ? 'unit' : 'integration';

/** All files of the folder, on a given server if one was asked for. */
interface Row {
  readonly name: string;
  readonly env: NodeJS.ProcessEnv;
}

function rowsOf(): Row[] {
  const env: NodeJS.ProcessEnv = { ...process.env, REDIS_TRIB_TEST_PROGRAMS: resolve('dist-tests/programs') };
  if (what === 'unit' || what === 'integration') return [{ name: what, env }];
  const seed = env.REDIS_TRIB_TEST_SEED;
  return (asked.length > 0 ? asked : serverNames).map((name, index) => ({
    name,
    env: {
      ...env,
      REDIS_TRIB_TEST_SERVER: name,
      // What is a sample on each server is another one on the next.
      ...(seed === undefined ? {} : { REDIS_TRIB_TEST_SEED: `${chooseSeed(seed) + index}` }),
    },
  }));
}

async function run({ name, env }: Row, file: string): Promise<Outcome> {
  const outcome = await runTestFile(join('dist-tests', folder, file), env);
  const seconds = (outcome.elapsedMs / 1000).toFixed(1);
  if (!outcome.isOk) console.log(outcome.output);
  console.log(`${outcome.isOk ? '✔' : '✖'} ${name} ${file.replace('.js', '.ts')} (${seconds} s)`);
  return outcome;
}

function report(name: string, outcomes: readonly Outcome[]): void {
  const total = (key: 'passed' | 'failed' | 'skipped'): number =>
    outcomes.reduce((sum, outcome) => sum + outcome[key], 0);
  console.log(`${name}: ${total('passed')} passed, ${total('failed')} failed, ${total('skipped')} skipped`);
}

const unknown = asked.find((name) => !isServerName(name));
if (unknown !== undefined) {
  console.error(`No server "${unknown}": choose from ${serverNames.join(', ')}`);
  process.exit(2);
}
execFileSync(process.execPath, ['tests/build-tests.mjs'], { stdio: 'inherit' });
const rows = rowsOf().map((row) => ({ ...row, outcomes: [] as Outcome[] }));
const built = join('dist-tests', folder);
// By size, because the largest usually take longest: if one of them began last, it would run alone at the end.
const files = readdirSync(built)
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => ({ name, size: statSync(join(built, name)).size }))
  .sort((a, b) => b.size - a.size)
  .map(({ name }) => name);
const gone =
  folder === 'integration'
    ? Object.keys({ ...ONCE, ...FEW }).filter((name) => !files.includes(name.replace('.ts', '.js')))
    : [];
if (gone.length > 0) throw new Error(`tests/matrix.ts names files that do not exist: ${gone.join(', ')}`);
const isFor = (row: Row, file: string): boolean =>
  what !== 'matrix' || runsOn(file.replace('.js', '.ts'), row.name, { defaultServer, isWhole });
const filesFor = (row: Row): string[] => files.filter((file) => isFor(row, file));
const failures: { readonly row: (typeof rows)[number]; readonly file: string; readonly outcome: Outcome }[] =
  [];
// All in one queue, so that no server runs alone at the end.
await inParallel(
  rows.flatMap((row) => filesFor(row).map((file) => ({ row, file }))),
  async ({ row, file }) => {
    const outcome = await run(row, file);
    row.outcomes.push(outcome);
    if (!outcome.isOk) failures.push({ row, file, outcome });
    if (row.outcomes.length === filesFor(row).length) report(row.name, row.outcomes);
  },
  AT_ONCE[folder],
);
// Servers keep time: elections, bans and links end differently where others use the machine. What fails alone, too, is wrong.
const unsteady: string[] = [];
if (folder === 'integration' && failures.length <= MOST_AGAIN)
  for (const { row, file, outcome } of failures) {
    console.log(`${row.name} ${file.replace('.js', '.ts')} failed: it is run again, alone`);
    const again = await run(row, file);
    row.outcomes[row.outcomes.indexOf(outcome)] = again;
    if (again.isOk) unsteady.push(`${row.name} ${file.replace('.js', '.ts')}`);
  }
if (unsteady.length > 0) console.log(`Passed only when run again, see above: ${unsteady.join(', ')}`);
const left = files.length - Math.min(...rows.map((row) => filesFor(row).length));
if (left > 0) console.log(`Up to ${left} files do not run on a server: tests/matrix.ts says why`);
const failed = rows.filter(({ outcomes }) => outcomes.some(({ isOk }) => !isOk)).map(({ name }) => name);
if (failed.length > 0) {
  console.error(`Failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
