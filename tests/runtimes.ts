// Installs the packed package elsewhere and uses it there on every runtime: `npm run test:runtimes`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type Bed, openBed } from './bed/index.ts';
import { makeExecutable, useExecutable } from './helpers/executable.ts';

/** A program that runs JavaScript, and its arguments before the script. */
interface Runtime {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
}

/** The newest release of each line. They are fetched for the test, and are not dependencies of the project. */
const PACKAGES = ['node22@npm:node@22', 'node24@npm:node@24', 'node26@npm:node@26', 'bun@1', 'deno@2'];
const LONGEST_RUN_MS = 90_000;
const NODES = 4;

const work = mkdtempSync(join(tmpdir(), 'redis-trib-runtimes-'));
const inModules = (...path: string[]): string => join(work, 'node_modules', ...path);

function run(program: string, args: readonly string[], cwd = work): string {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    timeout: LONGEST_RUN_MS,
    env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' },
  });
  assert.equal(
    status,
    0,
    `${program} ${args.join(' ')} ended with ${status ?? signal ?? error}:\n${stdout}${stderr}`,
  );
  return stdout;
}

function install(): readonly Runtime[] {
  const root = fileURLToPath(new URL('..', import.meta.url));
  run('npm', ['run', '--silent', 'build'], root);
  run('npm', ['run', '--silent', 'build:single'], root);
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', work], root),
  ) as [{ filename: string }];
  writeFileSync(join(work, 'package.json'), '{ "private": true, "type": "module" }\n');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['install', ...quiet, join(work, filename), ...PACKAGES]);
  copyFileSync(new URL('./runtimes/core.mjs', import.meta.url), join(work, 'core.mjs'));
  copyFileSync(new URL('./runtimes/required.cjs', import.meta.url), join(work, 'required.cjs'));
  mkdirSync(join(work, 'alone'));
  copyFileSync(join(root, 'dist-single/redis-trib.mjs'), join(work, 'alone/redis-trib.mjs'));
  const node = (version: string): Runtime => ({
    name: `Node ${version}`,
    program: inModules(`node${version}`, 'bin/node'),
    args: [],
  });
  return [
    { name: `Node ${process.versions.node}`, program: process.execPath, args: [] },
    ...['22', '24', '26'].map(node),
    { name: 'Bun', program: inModules('.bin/bun'), args: ['run'] },
    { name: 'Deno', program: inModules('.bin/deno'), args: ['run', '--quiet', '--allow-all'] },
  ];
}

async function use({ name, program, args }: Runtime, bed: Bed): Promise<void> {
  const started = performance.now();
  const nodes = await bed.start(NODES, { config: { 'cluster-node-timeout': '1000' } });
  const addresses = nodes.map(({ address }) => address);
  const script = (file: string, ...rest: string[]): string =>
    run(program, [...args, join(work, file), ...rest]);
  assert.equal(script('core.mjs', ...addresses).trim(), 'all keys there', name);
  assert.equal(script('required.cjs').trim(), 'required', name);
  const cli = 'node_modules/redis-trib/dist/cli.js';
  const checked = JSON.parse(script(cli, 'check', addresses[0] ?? '', '--json')) as { ok: boolean };
  assert.equal(checked.ok, true, name);
  const alone = (...words: string[]): string => script('alone/redis-trib.mjs', ...words);
  assert.match(alone('list', addresses[0] ?? ''), /^Total 3 nodes, 2 masters, 0 fail\n/, name);
  assert.match(alone('help', 'errors'), /^# /m, name);
  for (const node of nodes) await node.kill();
  console.log(
    `${name}: import, require, command line, one file (${((performance.now() - started) / 1000).toFixed(1)} s)`,
  );
}

try {
  const runtimes = install();
  await using bed = await openBed();
  for (const runtime of runtimes) await use(runtime, bed);
  const executable = join(work, 'alone/redis-trib');
  makeExecutable(inModules('node26/bin/node'), executable);
  await useExecutable(executable, bed);
  console.log('An executable with Node 26 in it: command line');
} finally {
  rmSync(work, { recursive: true, force: true });
}
